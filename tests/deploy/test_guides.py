"""docs/full-stack.md and SECURITY.md name only what exists, and all that can be set."""

import re
from pathlib import Path

import pytest
import yaml

from haina.credentials import mosquitto_rules
from haina.mqtt.connection import DEFAULT_MAX_PACKET_BYTES
from tests.brokers import ROOT
from tests.deploy.stack import COMPOSE_FILE, variables

GUIDES = ("docs/full-stack.md", "SECURITY.md")


def text(name: str) -> str:
    return (ROOT / name).read_text()


def test_the_guide_lists_every_setting_with_its_default() -> None:
    listed = dict(re.findall(r"^\| `(HAINA_\w+)` \| `([^`]*)` \|", text("docs/full-stack.md"), re.MULTILINE))
    assert listed == {name: rest for name, (operator, rest) in variables().items() if operator == "-"}


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_names_only_make_targets_that_exist(guide: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^    |&& )make ([a-z-]+)", text(guide), re.MULTILINE))
    assert named
    assert named <= targets


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_names_only_variables_that_something_reads(guide: str) -> None:
    code = "".join(
        path.read_text() for room in ("haina", "simulator", "collector") for path in (ROOT / room).rglob("*.py")
    )
    known = set(variables()) | set(re.findall(r"HAINA_[A-Z_]+", code)) | {"HAINA_TEST_INFLUXD"}
    assert set(re.findall(r"HAINA_[A-Z_]+[A-Z]", text(guide))) <= known


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_links_to_what_is_there(guide: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", text(guide)):
        file, _, heading = link.partition("#")
        target = (ROOT / guide).parent / file if file else ROOT / guide
        assert target.exists(), link
        headings = re.findall(r"^#+ (.+)$", Path(target).read_text(), re.MULTILINE)
        assert not heading or heading in {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in headings}


def test_back_up_and_restore_take_every_volume() -> None:
    volumes = set(yaml.safe_load(COMPOSE_FILE.read_text())["volumes"])
    loops = re.findall(r"for volume in ([^;]+); do", text("docs/full-stack.md"))
    assert [set(loop.split()) for loop in loops] == [volumes, volumes]


def test_the_limits_it_tells_are_those_of_mosquitto() -> None:
    settings = dict(
        line.split(" ", 1)
        for line in text("deploy/mosquitto/mosquitto.conf").splitlines()
        if line and not line.startswith("#")
    )
    guide = text("docs/full-stack.md")
    assert f"{int(settings['max_inflight_messages']):,} messages in flight" in guide
    assert (
        f"{int(settings['max_queued_messages']):,} or {int(settings['max_queued_bytes']) // 2**20} MiB queued" in guide
    )
    assert f"{int(settings['max_packet_size']) // 1024} KiB a packet" in guide
    [packet] = re.findall(r"^    max_packet_size (\d+)$", text("SECURITY.md"), re.MULTILINE)
    assert packet == settings["max_packet_size"] == str(DEFAULT_MAX_PACKET_BYTES)
    assert f"max_packet_size {packet} " in mosquitto_rules()
