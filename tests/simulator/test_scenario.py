"""Scenarios: what is wrong with a file is said with file, line and key, all of it at once."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from simulator.application import applications, place_kinds
from simulator.scenario import BadScenario, json_schema, load, parse, shipped

KINDS = sorted(kind.kind for kind in place_kinds())
GOOD = "title: t\nareas:\n  a01: {centres: 1, homes: 2}\n"


def faults_of(text: str) -> list[str]:
    with pytest.raises(BadScenario) as wrong:
        parse(text, "town.yaml")
    return str(wrong.value).splitlines()


def test_the_shipped_scenarios_load_and_have_the_size_they_promise() -> None:
    assert shipped() == ["laptop", "pilot-zone"]
    for name, areas, centres, homes in (("laptop", 2, 6, 120), ("pilot-zone", 12, 40, 2_000)):
        scenario = load(name)
        assert scenario.name == name
        assert len(scenario.areas) == areas
        assert sum(area.centres for area in scenario.areas.values()) == centres
        assert sum(area.homes for area in scenario.areas.values()) == homes


def test_a_limit_is_named_with_file_line_and_key() -> None:
    text = GOOD + "sites:\n  - {kind: centre, id: hall, area: a01, kiosks: 2}\n  - kind: centre\n    id: b\n"
    assert faults_of(text + "    area: a01\n    kiosks: 0\n") == [
        "town.yaml:9: sites[1].kiosks: must be 1 or more (got 0)"
    ]


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    faults = faults_of("title: 3\nareas:\n  a01: {homes: 1.5}\n  a99: {}\nboost: high\nparameters: {care: {x: 1}}\n")
    assert [fault.split(": ")[0] for fault in faults] == [f"town.yaml:{line}" for line in (1, 3, 4, 5, 6)]
    assert "must be text (got 3)" in faults[0]
    assert "areas.a01.homes: must be a whole number (got 1.5)" in faults[1]
    assert "no such area on the map" in faults[2]
    assert "boost: must be a number (got 'high')" in faults[3]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("boots: 2\n", "town.yaml:4: boots: unknown key; did you mean 'boost'?"),
        (
            "parameters:\n  centre:\n    patience_s: 9\n",
            "town.yaml:6: parameters.centre.patience_s: unknown key; did you mean 'patience_mean_s'?",
        ),
        ("areas: {a02: {}}\n", "town.yaml:4: areas: stands here twice; it was given in line 2 already"),
        (
            "sites: [{id: q, area: a01}]\n",
            f"town.yaml:4: sites[0]: kind is missing; it is one of {', '.join(map(repr, KINDS))}",
        ),
        (
            "sites: [{kind: home, id: h0001, area: a01}]\n",
            "town.yaml:4: sites[0].id: 'h0001' looks like a numbered site; choose a word, such as town-hall",
        ),
        ("name: x\n", "town.yaml:4: name: comes from the file's name; leave it out"),
    ],
)
def test_each_kind_of_slip_has_its_sentence(text: str, fault: str) -> None:
    assert faults_of(GOOD + text) == [fault]


def test_two_sites_never_share_an_id() -> None:
    home = "{kind: home, id: lin, area: a01}"
    assert "'lin' is taken" in faults_of(f"{GOOD}sites: [{home}, {home}]\n")[0]


@pytest.mark.parametrize("text", ["", "- a\n", "5\n", "title: [\n", "title: t\n\tareas: {}\n", "a: *b\n"])
def test_what_is_no_scenario_at_all_is_refused_with_a_line(text: str) -> None:
    assert all(fault.startswith("town.yaml:") for fault in faults_of(text))


def test_aliases_that_stand_for_more_than_memory_holds_are_refused() -> None:
    layers = "\n".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 9))
    assert any("no scenario needs" in fault for fault in faults_of(f"x0: &x0 [1]\n{layers}\n"))


def test_an_unknown_name_and_a_missing_file_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(BadScenario, match="did you mean 'laptop'"):
        load("lapptop")
    with pytest.raises(BadScenario, match="no such file"):
        load(tmp_path / "none.yaml")


def test_a_file_loads_by_its_path_and_is_called_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "my-town.yaml"
    file.write_text(GOOD)
    assert load(file).name == "my-town"


def test_the_schema_accepts_the_shipped_files_and_tells_unit_and_source_of_every_parameter() -> None:
    schema = json_schema()
    for name in shipped():
        text = (Path(__file__).parents[2] / "simulator" / "scenarios" / f"{name}.yaml").read_text(encoding="utf-8")
        jsonschema.validate(yaml.safe_load(text), schema)
    for application in applications():
        model = application.parameters.__name__
        for parameter in schema["$defs"][model]["properties"].values():
            assert parameter["unit"]
            assert parameter["source"]
            assert parameter["description"]
            assert "default" in parameter
