"""What the console makes of what the broker and the store say of the town."""

import asyncio

import pytest

from dashboards.console import pulse as pulse_module
from dashboards.console import town as module
from dashboards.console.feed import Chosen, Feeds, Viewer
from dashboards.console.pulse import Pulse
from dashboards.console.town import NotDone, TownWatch
from haina.contract import CLOCK_TOPIC, Clock, Meta, Phase, Status, encode, telemetry_payload
from haina.mqtt import BrokerAddress, Publish
from haina.query import Series
from haina.query.wire import Held

NOWHERE = BrokerAddress("127.0.0.1", 9)


def hear(town, topic, payload):
    town.received([Publish(topic.encode(), payload, 0, True, False, 0)])


def tell_clock(town, run="today", time=1_000_000_000_000, **more):
    hear(town, CLOCK_TOPIC, encode(Clock(run=run, time=time, speed=1.0, phase=Phase.LIVE, **more)))


def introduce(town, site, kind="home", run="today", origin="sim", area="a01", position=(121.4, 31.25)):
    meta = Meta(kind="gateway", run=run, origin=origin, position=position, labels={"site_kind": kind})
    hear(town, f"haina/v1/meta/{area}/{site}/gateway/info", encode(meta))


def say_online(town, site, online, area="a01"):
    hear(town, f"haina/v1/status/{area}/{site}/gateway/connection", encode(Status(online=online, boot=1)))


def shown(town):
    return {site.id: site.state for site in town.shown()}


def test_a_site_is_unknown_until_its_gateway_says_whether_it_is_connected():
    town = TownWatch(NOWHERE)
    introduce(town, "h1")
    assert shown(town) == {"h1": "unknown"}
    say_online(town, "h1", True)
    assert shown(town) == {"h1": "online"}
    say_online(town, "h1", False)
    assert shown(town) == {"h1": "offline"}


def test_what_the_broker_keeps_of_an_earlier_run_is_not_drawn_but_real_devices_always_are():
    town = TownWatch(NOWHERE)
    introduce(town, "h1", run="yesterday")
    introduce(town, "h2", run="today")
    introduce(town, "h3", run="", origin="device")
    assert set(shown(town)) == {"h1", "h2", "h3"}  # as long as nobody said which run this is
    tell_clock(town, run="today")
    assert set(shown(town)) == {"h2", "h3"}
    assert town.changes()[0], "browsers are told to fetch all sites again"


def test_the_simulators_own_site_and_sites_without_a_place_are_not_drawn():
    town = TownWatch(NOWHERE)
    introduce(town, "simulator", kind="simulator", area="town")
    introduce(town, "h1", position=None)
    say_online(town, "h2", True)
    assert shown(town) == {}


def test_members_of_crews_are_where_they_last_said_and_those_of_an_earlier_run_are_forgotten():
    town = TownWatch(NOWHERE)
    tell_clock(town, run="today")
    for seq, state in enumerate((1, 2), start=1):
        at = {"state": state, "longitude_deg": 121.4, "latitude_deg": 31.25, "destination": "h1", "errand": "check"}
        said = telemetry_payload(1_000_000_000_000, 1, seq, at)
        hear(town, "haina/v1/telemetry/a01/committee-a01/volunteer-1/crew_member", said)
    (moved,) = town.moved()
    assert (moved["name"], moved["state"], moved["destination"]) == ("committee-a01/volunteer-1", "working", "h1")
    assert town.moved() == []
    tell_clock(town, run="tomorrow")
    assert not town.members


def test_help_is_asked_of_the_desk_that_sends_it_and_serves_the_home():
    town = TownWatch(NOWHERE)
    introduce(town, "h1", area="a01")
    for site, area, crew, serves in (
        ("committee-a01", "a01", "volunteer", "a01"),
        ("committee-a02", "a02", "volunteer", "a02"),
        ("care-station", "a02", "nurse", "all"),
    ):
        meta = Meta(kind="help-desk", run="today", origin="sim", labels={"crew": crew, "serves": serves})
        hear(town, f"haina/v1/meta/{area}/{site}/desk/info", encode(meta))
    other = Meta(kind="incident-desk", run="today", origin="sim", labels={"crew": "ambulance", "serves": "all"})
    hear(town, "haina/v1/meta/a01/station-a01/desk/info", encode(other))
    home = town.sites["h1"]
    asked = {helper: town.help_desk(home, helper) for helper in ("volunteer", "telephone", "nurse", "ambulance")}
    assert {helper: desk and desk.site for helper, desk in asked.items()} == {
        "volunteer": "committee-a01",
        "telephone": "committee-a01",
        "nurse": "care-station",
        "ambulance": None,
    }


def test_a_meta_message_taken_back_removes_its_site():
    town = TownWatch(NOWHERE)
    introduce(town, "h1")
    hear(town, "haina/v1/meta/a01/h1/gateway/info", b"")
    assert shown(town) == {}


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("haina/v1/meta/a01/h1/gateway/info", b"{"),
        ("haina/v1/meta/a01/h1/gateway/info", b'{"kind": 3}'),
        ("haina/v1/status/a01/h1/gateway/connection", b"[]"),
        ("haina/v1/moon/a01/h1/gateway/info", b"{}"),
        (CLOCK_TOPIC, b"noon"),
    ],
)
def test_what_cannot_be_read_is_passed_over(topic, payload):
    town = TownWatch(NOWHERE)
    hear(town, topic, payload)
    introduce(town, "h2")
    assert "h2" in shown(town)
    assert town.clock is None


def test_more_sites_than_the_limit_are_left_out(monkeypatch):
    monkeypatch.setattr(module, "MAX_SITES", 3)
    town = TownWatch(NOWHERE)
    for number in range(5):
        introduce(town, f"h{number}")
    assert set(shown(town)) == {"h0", "h1", "h2"}


def test_unknown_stale_and_unavailable_are_three_different_things(monkeypatch):
    town = TownWatch(NOWHERE)
    assert town.broker_health() == ("unknown", "")
    assert town.clock_health()[0] == "unknown"
    monkeypatch.setattr(module, "FIRST_ANSWER_S", -1.0)
    assert town.broker_health() == ("unavailable", "mqtt://127.0.0.1:9 does not answer")
    tell_clock(town)
    assert town.clock_health()[0] == "stale"  # it was told once, and there is no connection to hear more


def test_a_command_without_a_broker_or_a_clock_says_why_it_was_not_sent():
    async def scenario():
        town = TownWatch(NOWHERE)
        with pytest.raises(NotDone, match="the broker is unavailable"):
            await town.command("town", "simulator", "clock", "set", {})

    asyncio.run(scenario())


class Store:
    """Answers the pulse's questions from what is put in."""

    def __init__(self):
        self.kiosks = []
        self.latest_ms = 0

    async def run_async(self, query, start_ms, end_ms):
        return [Series({"site": site, "device": device}, [start_ms], [state]) for site, device, state in self.kiosks]

    def describe(self):
        return {"wearable": Held(0, self.latest_ms)}


def watched_pulse(town, store):
    pulse = Pulse(town, store, "http://127.0.0.1:9")
    pulse.feeds = Feeds(store, lambda: town.now_ms, pulse.store_heard)
    pulse.feeds.feed(Chosen("town")).viewers.add(Viewer())
    return pulse


def test_a_centre_with_a_kiosk_in_fault_is_drawn_so_until_the_kiosk_works_again(monkeypatch):
    monkeypatch.setattr(pulse_module, "FAULTS_EVERY_S", 0.0)

    async def scenario():
        town, store = TownWatch(NOWHERE), Store()
        tell_clock(town)
        introduce(town, "c1", kind="centre")
        say_online(town, "c1", True)
        pulse = watched_pulse(town, store)
        store.kiosks = [("c1", "kiosk-1", 1), ("c1", "kiosk-2", 2)]
        await pulse._beat(pulse.feeds)
        assert shown(town) == {"c1": "fault"}
        assert town.sites["c1"].faults == ("kiosk-2",)
        store.kiosks = [("c1", "kiosk-1", 1), ("c1", "kiosk-2", 0)]
        await pulse._beat(pulse.feeds)
        assert shown(town) == {"c1": "online"}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("behind_s", "achieved", "health"), [(60, 1.0, "ok"), (3_600, 1.0, "stale"), (3_600, 2_000.0, "ok")]
)
def test_a_store_far_behind_the_clock_is_stale_unless_the_clock_races(behind_s, achieved, health):
    async def scenario():
        town, store = TownWatch(NOWHERE), Store()
        tell_clock(town, achieved=achieved)
        store.latest_ms = town.now_ms - behind_s * 1_000
        pulse = watched_pulse(town, store)
        pulse.store_heard("")
        await pulse._beat(pulse.feeds)
        assert pulse.state()["store"][0] == health
        assert pulse.state()["collector"][0] == "unavailable"

    asyncio.run(scenario())
