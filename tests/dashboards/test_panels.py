"""Panels are defined once, and everything that shows them can show all of them."""

import re
from pathlib import Path

import pytest

from dashboards.grafana import render
from dashboards.pages import PAGES, SITES
from dashboards.panels import Kind, Line, Panel, Span, readings
from dashboards.text import LANGUAGES, catalogue, text
from haina.contract import MEASUREMENTS, REFUSALS
from haina.query import Aggregate, Query
from haina.query.influxql import compile_influxql, time_range
from haina.query.sql import compile_sql
from simulator.population import build_town
from simulator.scenario import load
from simulator.town import Town
from tests.simulator.towns import TruthList

ALL = [(page, panel) for page in PAGES.values() for panel in page.panels]
DASHBOARDS = Path(render.__file__).parents[1]


def test_both_renderers_know_every_kind_of_panel():
    assert set(render._KINDS) == set(Kind)
    browser = (DASHBOARDS / "console" / "browser" / "kinds.js").read_text(encoding="utf-8")
    table = browser[browser.index("export const KINDS") :]
    assert set(re.findall(r"^  (\w+):", table, re.MULTILINE)) == {kind.value for kind in Kind}


def test_every_kind_of_panel_is_used_somewhere():
    assert {panel.kind for _, panel in ALL} == set(Kind)


def test_one_id_is_one_panel():
    known = {}
    for _, panel in ALL:
        same = known.setdefault(panel.id, panel)
        assert (same.lines, same.kind) == (panel.lines, panel.kind)


@pytest.mark.parametrize(("page", "panel"), ALL, ids=[f"{page.id}-{panel.id}" for page, panel in ALL])
def test_every_query_of_a_panel_compiles_in_both_languages_with_and_without_a_choice(page, panel):
    for line in panel.lines:
        for area, site in (("", ""), ("a01", ""), ("a01", "c-01")):
            query = panel.asked(line, 300, area, site)
            assert query.window_s == (max(300, panel.least_window_s) if panel.span is Span.WINDOWS else None)
            influxql = compile_influxql(query, time_range=time_range(0, 1))
            assert ("\"area\" = 'a01'" in influxql) == (bool(area) and not panel.everywhere)
            assert compile_sql(query, 0, 1)
        assert "$timeFilter" in render.statement(panel, line)


def test_every_measurement_of_the_contract_is_counted_on_the_collectors_page():
    lines = PAGES["collector"].panel("messages_by_measurement").lines
    assert [line.query.measurement for line in lines] == list(MEASUREMENTS)


def test_a_running_window_is_left_out_where_it_would_mislead_and_only_there():
    lasting = Panel("x", Kind.TIME_SERIES, (Line(Query("weather", "temperature_c")),))
    counting = Panel("x", Kind.TIME_SERIES, (Line(readings("weather")),))
    across = Panel("x", Kind.TIME_SERIES, (Line(Query("weather", "temperature_c", across=Aggregate.MAX)),))
    assert [panel.whole_windows_only for panel in (lasting, counting, across)] == [False, True, True]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"kind": Kind.TEXT, "lines": (Line(readings("weather")),)}, "a text panel asks nothing"),
        ({"kind": Kind.STAT, "lines": ()}, "needs a line"),
        ({"kind": Kind.STAT, "lines": (Line(readings("weather")),)}, "shows the range or what is recent"),
        ({"kind": Kind.HEATMAP, "lines": (Line(readings("weather")),), "span": Span.RANGE}, "draws windows"),
        ({"kind": Kind.TIME_SERIES, "lines": (Line(readings("weather")),), "width": 13}, "1 to 12 columns"),
    ],
)
def test_a_panel_whose_parts_do_not_fit_is_refused_with_a_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        Panel("x", **wrong)


# Words


OF_THE_CONSOLE = ("no_broker", "no_clock", "no_reply", "no_desk", "no_console")
"""Why a command did not even get through."""


def every_name():
    """The ids of all devices of the laptop's town, where every kind is, each with its site's."""
    town = Town(seed=1, start_ms=1_790_006_400_000, run="names", boot=1, truth=TruthList())
    build_town(load("laptop"), town)
    return [(device, site.id) for site in town.sites.values() for device in site.devices]


def used_keys():
    keys = {"page.history"}  # a dashboard of Grafana's alone
    for page, panel in ALL:
        keys |= {f"page.{page.id}", f"panel.{panel.id}", f"about.{panel.id}", f"unit.{panel.unit}"}
        keys |= {f"line.{line.name}" for line in panel.lines if line.name}
        keys |= {f"state.{state.name}" for state in panel.states}
    for kind in SITES.values():
        keys.add(f"console.kind_{kind.id}")
        for headline in kind.headlines:
            keys |= {f"unit.{headline.unit}", f"console.headline.{headline.name}"}
    for device, site in every_name():
        keys.add(f"device.{re.sub(r'-[0-9]+$', '', device)}")
        if not re.fullmatch(r"[a-z][0-9]+", site):
            keys.add(f"site.{re.sub(r'-a[0-9]+$', '', site)}")
    keys |= {f"console.why.{code}" for code in [*REFUSALS, *OF_THE_CONSOLE]}
    for path in [*DASHBOARDS.rglob("*.py"), *DASHBOARDS.rglob("*.js")]:
        keys |= set(re.findall(r"[\"'`](console\.[a-z0-9_.]+)[\"'`]", path.read_text(encoding="utf-8")))
    return keys


def test_both_languages_have_the_same_keys_and_none_is_missing_or_unused():
    for language in LANGUAGES:
        assert set(catalogue(language)) == used_keys(), language


def test_the_chinese_catalogue_is_chinese_and_the_english_one_is_not():
    han = re.compile(r"[一-鿿]")
    same_everywhere = {"console.language_name.en", "console.language_name.zh"}  # languages go by their own names
    for key, english in catalogue("en").items():
        assert key in same_everywhere or not han.search(english), key
        if key.startswith(("panel.", "about.", "state.", "page.")) and key != "panel.co2":
            assert han.search(text("zh", key)), key


def test_the_words_for_a_refusal_name_what_its_reply_says():
    for code, values in REFUSALS.items():
        assert set(re.findall(r"{(\w+)}", text("en", f"console.why.{code}"))) == set(values), code


def test_placeholders_are_the_same_in_both_languages():
    for key, english in catalogue("en").items():
        assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", text("zh", key))), key


def test_an_unknown_key_is_refused_with_a_sentence():
    with pytest.raises(KeyError, match=r"text/zh\.toml has no 'console\.nothing'"):
        text("zh", "console.nothing")
