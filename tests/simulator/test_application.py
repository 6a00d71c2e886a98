"""A new application is new files and nothing else: the one in CONTRIBUTING.md, in a copy of Haina."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.application import Shared, applications, place_kinds

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("haina", "simulator", "collector", "dashboards")
SCENARIO = """\
title: A town with a creek
areas:
  a01: {gauges: 2}
sites:
  - {kind: gauge, id: stone-bridge, area: a02, usual_m: 0.8}
parameters:
  creek: {rise_m_per_h: 0.5}
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Haina with the application of CONTRIBUTING.md in it."""
    root = tmp_path_factory.mktemp("haina")
    for room in ROOMS:
        shutil.copytree(ROOT / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    guide = guide[guide.index("## Add an application") : guide.index("## Add a panel")]
    files = re.findall(r"in `([a-z/_]+\.\w+)`(?:(?!```).)*```\w+\n(.*?)```", guide, re.DOTALL)
    assert [Path(name).suffix for name, _ in files] == [".py", ".py", ".py", ".toml", ".toml"]
    for name, text in files:
        assert not (root / name).exists(), f"{name} is no new file"
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    (root / "creek-town.yaml").write_text(SCENARIO, encoding="utf-8")
    return root


def run(copy: Path, *words: str) -> str:
    """What a command of the copy answers."""
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_places_and_parameters_are_keys_of_a_scenario_and_its_devices_speak(copy: Path) -> None:
    ask = ("-m", "haina", "simulate", "--scenario", "creek-town.yaml", "--start", "2026-06-20T00:00+08:00")
    said = [json.loads(line) for line in run(copy, *ask, "--duration", "6h", "--to", "-").splitlines()]
    gauges = {line["topic"] for line in said if line["topic"].endswith("/creek_level")}
    assert {topic.split("/")[4] for topic in gauges} == {"g01", "g13", "stone-bridge"}
    schema = json.loads(run(copy, "-m", "haina", "scenario", "schema"))
    assert schema["$defs"]["AreaPlan"]["properties"]["gauges"]["maximum"] == 8
    assert schema["$defs"]["CreekParameters"]["properties"]["fall_h"]["source"] == "assumed"
    assert schema["$defs"]["GaugeSite"]["properties"]["usual_m"]["maximum"] == 10


def test_no_two_applications_share_a_name_a_kind_a_key_or_a_letter() -> None:
    kinds = place_kinds()
    assert len({application.name for application in applications()}) == len(applications())
    for shared in ("kind", "count", "letter"):
        assert len({getattr(kind, shared) for kind in kinds}) == len(kinds), shared


def test_an_application_opens_after_those_it_names_and_may_ask_for_what_they_offer() -> None:
    order = [application.name for application in applications()]
    for application in applications():
        assert all(order.index(name) < order.index(application.name) for name in application.after)
    with pytest.raises(LookupError, match="nobody offered a Path"):
        Shared(("a01",), 1.0).offered(Path)


def test_a_slip_in_its_keys_is_told_with_its_line(copy: Path) -> None:
    (copy / "slip.yaml").write_text(SCENARIO.replace("gauges: 2", "gauges: 9").replace("rise_m", "raise_m"))
    load = "from simulator.scenario import *\ntry: load('slip.yaml')\nexcept BadScenario as bad: print(bad)"
    assert run(copy, "-c", load).splitlines() == [
        "slip.yaml:3: areas.a01.gauges: must be 8 or less (got 9)",
        "slip.yaml:7: parameters.creek.raise_m_per_h: unknown key; did you mean 'rise_m_per_h'?",
    ]


def test_what_it_says_is_in_the_contract_and_in_every_form_of_it(copy: Path) -> None:
    assert (
        json.loads(run(copy, "-m", "haina", "contract", "schema", "--measurement", "creek_level"))["title"]
        == "creek_level"
    )
    assert "telemetry_creek_level" in run(copy, "-m", "haina", "contract", "asyncapi")
    assert 'CREATE TABLE "creek_level"' in run(copy, "-m", "haina", "contract", "tables")


def test_its_page_is_rendered_for_grafana_and_the_console_and_has_its_words(copy: Path) -> None:
    run(copy, "-m", "haina", "dashboards", "render")
    board = json.loads((copy / "dashboards/grafana/zh/creek.json").read_text(encoding="utf-8"))
    assert [panel["title"] for panel in board["panels"]] == ["河道水位"]
    told = "from dashboards.console.page import _head, PAGES; print(_head(PAGES['creek'], 'en', ''))"
    page = run(copy, "-c", told)
    assert '"name": "Gauge on the creek"' in page
    assert '"title": "Water in the creek"' in page
