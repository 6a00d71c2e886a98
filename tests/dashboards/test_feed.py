"""A feed asks once for everybody, tells only what changed, and rests when nobody looks."""

import asyncio
import gzip
import json
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboards.console import feed as module
from dashboards.console.feed import Chosen, Feed, Feeds, TooMany, Viewer
from dashboards.pages import PAGES
from dashboards.panels import Span
from haina.query import Series
from haina.query.reader import QueryRefused, StoreUnreachable

HOUR_MS = 3_600_000
NOW_MS = 1_772_604_000_000  # a whole hour


class Memory:
    """A store in this process: readings by (measurement, site), answered as one value a window."""

    def __init__(self):
        self.readings = {}
        self.asked = []
        self.is_away = False
        self.refused = None

    async def run_many_async(self, queries, start_ms, end_ms):
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreUnreachable("the store does not answer")
        self.asked.append((len(queries), start_ms, end_ms))
        return [self._answer(query, start_ms, end_ms) for query in queries]

    def _answer(self, query, start_ms, end_ms):
        if query.measurement == self.refused:
            return QueryRefused("too long a query")
        wanted = [condition.values[0] for condition in query.where if condition.column == "site"]
        found = {}
        for (name, site), values in self.readings.items():
            if name != query.measurement or (wanted and site not in wanted):
                continue
            tags = {"site": site, "area": "a01", "device": "d"}
            for at, value in values.items():
                if start_ms <= at < end_ms:
                    width_ms = (query.window_s or 0) * 1000
                    window = at // width_ms * width_ms if width_ms else start_ms
                    key = tuple((tag, tags[tag]) for tag in query.group)
                    buckets = found.setdefault(key, {})
                    buckets[window] = buckets.get(window, 0) + value
        return [Series(dict(key), sorted(each), [each[at] for at in sorted(each)]) for key, each in found.items()]

    def say(self, name, at_ms, value, site="c01"):
        self.readings.setdefault((name, site), {})[at_ms] = value


class Town:
    """A clock to set, and what was heard of the store."""

    def __init__(self):
        self.now_ms = NOW_MS
        self.heard = []


def build_feed(memory, town, page="centres", range_name="1h", **chosen):
    return Feed(Chosen(page, range_name, **chosen), memory, lambda: town.now_ms, town.heard.append)


@pytest.fixture
def quick(monkeypatch):
    """Ticks follow each other without waiting."""
    monkeypatch.setattr(module, "TICK_S", 0.0)
    monkeypatch.setattr(module, "REST", 0.0)


@asynccontextmanager
async def watching(feed, count=1):
    viewers = [Viewer() for _ in range(count)]
    for viewer in viewers:
        feed.join(viewer)
    try:
        yield viewers
    finally:
        for viewer in viewers:
            feed.leave(viewer)
        await feed.close()


def content(event):
    name, data = event.decode().strip().split("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def next_delta(viewer):
    while True:
        event = await viewer.next(5)
        assert event is not None
        name, told = content(event)
        if name == "delta":
            return told


def test_all_viewers_get_the_very_same_bytes_from_one_question(quick):
    async def scenario():
        memory, town = Memory(), Town()
        memory.say("centre_air", NOW_MS - HOUR_MS // 2, 600.0)
        feed = build_feed(memory, town)
        async with watching(feed, 20) as viewers:
            events = [await viewer.next(5) for viewer in viewers]
        assert all(event is events[0] for event in events)
        spans = {(panel.span, panel.recent_s * (panel.span is Span.RECENT)) for panel in PAGES["centres"].panels}
        per_tick = len(spans)
        assert len(memory.asked) == per_tick * feed.asked

    asyncio.run(scenario())


def test_nothing_is_asked_when_nobody_watches(quick):
    async def scenario():
        memory, town = Memory(), Town()
        feed = build_feed(memory, town)
        async with watching(feed) as [viewer]:
            await next_delta(viewer)
        asked = len(memory.asked)
        for step in range(20):
            town.now_ms += step * 1_000
            await asyncio.sleep(0.002)
        assert len(memory.asked) == asked

    asyncio.run(scenario())


def test_a_delta_holds_only_the_buckets_that_changed(quick):
    async def scenario():
        memory, town = Memory(), Town()
        for minute in range(60):
            memory.say("centre_air", NOW_MS - minute * 60_000, 500.0 + minute)
        feed = build_feed(memory, town)
        async with watching(feed) as [viewer]:
            first = await next_delta(viewer)
            assert len(first["panels"]["co2"]["series"][0]["t"]) == 60
            town.now_ms += 60_000
            memory.say("centre_air", town.now_ms, 777.0)
            told = await next_delta(viewer)
            while "co2" not in told["panels"]:
                told = await next_delta(viewer)
        assert told["panels"]["co2"]["series"] == [{"key": [0, "", "c01", ""], "t": [town.now_ms], "v": [777.0]}]
        assert "power" not in told["panels"]

    asyncio.run(scenario())


def test_a_window_that_still_runs_is_left_out_of_counts_and_kept_in_means(quick):
    async def scenario():
        memory, town = Memory(), Town()
        town.now_ms = NOW_MS + 30_000
        memory.say("centre_air", NOW_MS + 10_000, 500.0)
        memory.say("centre_queue", NOW_MS + 10_000, 3)
        feed = build_feed(memory, town)
        panels = json.loads((await feed.window())[0])["panels"]
        assert panels["co2"]["series"][0]["t"] == [NOW_MS]
        assert panels["arrivals"]["series"] == []

    asyncio.run(scenario())


def test_a_rate_is_per_its_own_time_and_not_per_window(quick):
    async def scenario():
        memory, town = Memory(), Town()
        memory.say("home_water", NOW_MS - HOUR_MS // 2, 8.0)  # litres in a quarter of an hour
        feed = build_feed(memory, town, page="care")
        panels = json.loads((await feed.window())[0])["panels"]
        assert panels["water"]["width_ms"] == 900_000
        assert panels["water"]["series"][0]["v"] == [32.0]  # litres per hour

    asyncio.run(scenario())


def test_a_window_zipped_and_plain_say_the_same(quick):
    async def scenario():
        memory, town = Memory(), Town()
        memory.say("centre_air", NOW_MS - 60_000, 500.0)
        plain, zipped = await build_feed(memory, town).window()
        assert gzip.decompress(zipped) == plain

    asyncio.run(scenario())


def test_a_window_asked_for_while_a_tick_is_under_way_waits_for_it(quick, monkeypatch):
    monkeypatch.setattr(module, "TICK_S", 1.0)

    async def scenario():
        memory, town = Memory(), Town()
        memory.say("centre_air", NOW_MS - 60_000, 500.0)
        feed = build_feed(memory, town)
        async with watching(feed):
            await asyncio.sleep(0)  # the tick has asked and waits for the answer
            panels = json.loads((await feed.window())[0])["panels"]
        assert panels["co2"]["series"]

    asyncio.run(scenario())


def test_a_store_that_is_away_leaves_what_was_read_and_is_told(quick):
    async def scenario():
        memory, town = Memory(), Town()
        memory.say("centre_air", NOW_MS - 60_000, 500.0)
        feed = build_feed(memory, town)
        before = json.loads((await feed.window())[0])["panels"]
        memory.is_away = True
        town.now_ms += 1_000
        assert json.loads((await feed.window())[0])["panels"] == before
        assert town.heard == ["", "the store does not answer"]

    asyncio.run(scenario())


def test_a_refused_query_spoils_its_own_panel_only(quick):
    async def scenario():
        memory, town = Memory(), Town()
        memory.say("centre_air", NOW_MS - 60_000, 500.0)
        memory.refused = "centre_energy"
        panels = json.loads((await build_feed(memory, town).window())[0])["panels"]
        assert panels["power"]["refused"] == "too long a query"
        assert panels["co2"]["series"]

    asyncio.run(scenario())


def test_what_does_not_fit_is_left_off_and_counted(quick):
    async def scenario():
        memory, town = Memory(), Town()
        for number in range(20):
            memory.say("centre_air", NOW_MS - 60_000, 400.0 + number, site=f"c{number:02d}")
        panels = json.loads((await build_feed(memory, town).window())[0])["panels"]
        shown = [series["key"][2] for series in panels["co2"]["series"]]
        assert shown == [f"c{number:02d}" for number in range(8, 20)]  # the highest, in the order of their names
        assert panels["co2"]["left_off"] == 8

    asyncio.run(scenario())


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["centre_air", "centre_queue", "kiosk_state", "centre_energy"]),
        st.integers(-70, 0),  # minutes from now
        st.integers(0, 5),
        st.sampled_from([f"c{number:02d}" for number in range(15)]),
        st.sampled_from([0, 0, 20_000, 60_000, 600_000]),  # how far the clock goes on
        st.booleans(),  # whether the reading is taken back instead
    ),
    max_size=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES)
def test_window_and_deltas_together_always_say_what_a_new_visitor_would_be_told(quick, changes):
    async def scenario():
        memory, town = Memory(), Town()
        feed = build_feed(memory, town)
        viewer = Viewer()
        page = Browser()
        page.apply(json.loads((await feed.window())[0]))
        feed.viewers.add(viewer)
        for name, minute, value, site, step_ms, is_taken_back in changes:
            at_ms = town.now_ms + minute * 60_000
            if is_taken_back:
                memory.readings.pop((name, site), None)
            else:
                memory.say(name, at_ms, value, site)
            town.now_ms += step_ms
            feed._swept_s = float("-inf")  # the whole range is looked through
            await feed._refresh()
            while not viewer._events.empty():
                kind, told = content(viewer._events.get_nowait())
                assert kind == "delta"
                page.apply(told)
        fresh = build_feed(memory, town)
        assert page.panels() == Browser().apply(json.loads((await fresh.window())[0])).panels()

    asyncio.run(scenario())


class Browser:
    """What `browser/live.js` does with windows and deltas, in a few lines."""

    def __init__(self):
        self._held = {}

    def apply(self, told):
        for name, change in told["panels"].items():
            if change.get("whole"):
                self._held[name] = {**change, "series": {}}
            for series in change["series"]:
                buckets = self._held[name]["series"].setdefault(tuple(series["key"]), {})
                buckets.update(zip(series["t"], series["v"], strict=True))
        for held in self._held.values():
            if held["width_ms"]:
                first = told["start_ms"] // held["width_ms"] * held["width_ms"]
                for key, buckets in held["series"].items():
                    held["series"][key] = {at: value for at, value in buckets.items() if at >= first}
        return self

    def panels(self):
        return {
            name: {key: buckets for key, buckets in held["series"].items() if buckets}
            for name, held in self._held.items()
        }


# Limits


def test_a_viewer_too_slow_for_its_events_is_told_to_begin_again():
    async def scenario():
        viewer = Viewer()
        for number in range(module.MAX_WAITING + 1):
            viewer.tell(module.encode_event("delta", number))
        assert content(await viewer.next(1)) == ("again", {})
        assert await viewer.next(0.01) is None

    asyncio.run(scenario())


def test_more_views_than_the_limit_are_refused_with_a_sentence_until_one_is_idle(monkeypatch):
    monkeypatch.setattr(module, "MAX_FEEDS", 2)

    async def scenario():
        feeds = Feeds(Memory(), lambda: NOW_MS, lambda _problem: None)
        for range_name in ("1h", "6h"):
            feeds.feed(Chosen("town", range_name))
        assert feeds.feed(Chosen("town", "1h")) is feeds.feed(Chosen("town", "1h"))
        with pytest.raises(TooMany, match="2 different views are open"):
            feeds.feed(Chosen("town", "24h"))
        monkeypatch.setattr(module, "IDLE_S", -1.0)
        feeds.feed(Chosen("town", "24h"))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"page": "moon"}, "no page 'moon'; there are town, centres"),
        ({"page": "town", "range": "1y"}, "no range '1y'; there are 1h, 6h"),
        ({"page": "town", "site": "x" * 49}, "at most 48 characters"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_with_a_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        Chosen(**wrong)
