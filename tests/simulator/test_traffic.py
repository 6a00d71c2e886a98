"""The traffic of a scenario: what a day of it says, counted."""

import io
import json

from simulator.scenario import parse
from simulator.town import DAY_S
from simulator.traffic import show_traffic, traffic
from tests.simulator.towns import build, live

TEXT = "title: A small town\nareas: {a01: {centres: 1, homes: 3}}\n"


def test_traffic_is_what_a_town_says_in_a_day() -> None:
    measured = traffic(parse(TEXT, "small.yaml"))
    town, _ = build("areas: {a01: {centres: 1, homes: 3}}\n")
    live(town, DAY_S)
    assert measured.messages == len(town.outbox)
    assert measured.payload_bytes == sum(len(emission.payload) for emission in town.outbox)
    assert {row.measurement: row.messages for row in measured.rows}["centre_door"] == DAY_S / 60
    assert measured.devices == sum(len(site.devices) for site in town.sites.values())
    assert measured.rate_hz == measured.messages / DAY_S


def test_the_traffic_is_shown_as_a_table_and_as_json() -> None:
    table, answer = io.StringIO(), io.StringIO()
    show_traffic(parse(TEXT, "small.yaml"), to=table)
    show_traffic(parse(TEXT, "small.yaml"), as_json=True, to=answer)
    said = json.loads(answer.getvalue())
    assert said["scenario"] == "small"
    assert f"{said['messages_per_day']:,}" in table.getvalue()
    for row in said["measurements"]:
        assert row["measurement"] in table.getvalue()
