"""What the store knows, for as many browsers as look: one *feed* for each (page, range, area, site).

A feed keeps what it last read of every series. `window` is all of it, for a browser that has just come. While
somebody watches, the feed asks again every `TICK_S` and tells all viewers only what changed, encoded once: new
buckets, buckets that late readings changed, series that came or went. Without viewers it asks nothing.

A tick asks for little: from where the clock stood `LATE_S` ago. Every `SWEEP_S` it asks for the whole range, so
what arrives even later is found as well. When a tick takes long, the next one waits `REST` times as long, so that
looking at a town never keeps a store busy for more than a fifth of its time. While the store is away the feed asks
on, and keeps what it has.
"""

import asyncio
import contextlib
import gzip
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import msgspec
import structlog

from dashboards.pages import PAGES
from dashboards.panels import Kind, Page, Panel, Span
from haina.query import Query, Series
from haina.query.reader import QueryRefused, Reader, StoreError
from haina.query.wire import MAX_QUERIES

log = structlog.get_logger()

# How far back one may look, and how wide windows are then: 60 to 96 of them.
RANGES: dict[str, tuple[int, int]] = {
    "1h": (3_600, 60),
    "6h": (6 * 3_600, 300),
    "24h": (24 * 3_600, 900),
    "7d": (7 * 24 * 3_600, 7_200),
}

TICK_S = 2.0
LATE_S = 15.0
SWEEP_S = 30.0
REST = 4.0
IDLE_S = 60.0  # a feed without viewers is forgotten after this
MAX_FEEDS = 32
MAX_VIEWERS = 256
MAX_WAITING = 32  # events a viewer may be behind before it is told to fetch a new window

Key = tuple[int, str, str, str]  # line, area, site, device


class TooMany(Exception):
    """More feeds or viewers than the console serves; one sentence."""


@dataclass(frozen=True)
class Chosen:
    """What a browser looks at. Raises ValueError with a sentence when there is no such thing."""

    page: str
    range: str = "24h"
    area: str = ""
    site: str = ""

    def __post_init__(self) -> None:
        if self.page not in PAGES:
            raise ValueError(f"no page {self.page[:40]!r}; there are {', '.join(PAGES)}")
        if self.range not in RANGES:
            raise ValueError(f"no range {self.range[:40]!r}; there are {', '.join(RANGES)}")
        if max(len(self.area), len(self.site)) > 48:
            raise ValueError("an area or site has at most 48 characters")


@dataclass
class _Held:
    """What a panel's queries last said: buckets by series, and why the store refused one of them."""

    buckets: dict[Key, dict[int, float | int | str]] = field(default_factory=dict)
    refused: str = ""


@dataclass
class _Asked:
    """Queries that go in one request, each with the panel and line it is for."""

    start_ms: int
    end_ms: int
    entries: list[tuple[Panel, int, Query]]


class Feed:
    """One (page, range, area, site) for all who look at it."""

    def __init__(self, chosen: Chosen, reader: Reader, now_ms: Callable[[], int], heard: Callable[[str], None]) -> None:
        self.chosen = chosen
        self.viewers: set[Viewer] = set()
        self.asked = 0  # ticks so far
        self.told = 0  # deltas sent so far
        self._page: Page = PAGES[chosen.page]
        self._reader = reader
        self._now_ms = now_ms
        self._heard = heard
        self._held = {panel.id: _Held() for panel in self._page.panels if panel.kind is not Kind.TEXT}
        self._told_ms = 0
        self._read_ms = 0  # the clock when the store was last asked
        self._read_s = self._swept_s = self._ranged_s = float("-inf")
        self._ranged_ms = 0
        self._clocks: deque[tuple[float, int]] = deque(maxlen=64)
        self._window: tuple[bytes, bytes] | None = None
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.used_s = time.monotonic()

    @property
    def is_idle(self) -> bool:
        return not self.viewers and time.monotonic() - self.used_s > IDLE_S

    async def window(self) -> tuple[bytes, bytes]:
        """Everything, as JSON and as the same gzipped; encoded once as long as nothing changes."""
        self.used_s = time.monotonic()
        await self._refresh()  # waits for one under way, and asks nothing when the last is fresh enough
        if self._window is None:
            document = {**self._times(), "panels": {name: self._whole(name) for name in self._held}}
            encoded = msgspec.json.encode(document)
            self._window = encoded, gzip.compress(encoded, compresslevel=5, mtime=0)
        return self._window

    def join(self, viewer: "Viewer") -> None:
        """Tell this viewer every change from now on."""
        self.viewers.add(viewer)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._tick_forever())

    def leave(self, viewer: "Viewer") -> None:
        self.viewers.discard(viewer)
        self.used_s = time.monotonic()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _tick_forever(self) -> None:
        while self.viewers:
            began_s = time.monotonic()
            try:
                await self._refresh()
            except Exception:
                log.exception("a feed could not be read", page=self.chosen.page)
            await asyncio.sleep(max(TICK_S, REST * (time.monotonic() - began_s)))

    # Asking

    async def _refresh(self) -> None:
        """Ask for what may have changed, keep it, tell the viewers."""
        async with self._lock:
            now_ms, now_s = self._now_ms(), time.monotonic()
            if now_s - self._read_s < TICK_S / 2:
                return
            sweep = now_s - self._swept_s >= SWEEP_S or now_ms < self._read_ms
            ranged = sweep or self._range_is_due(now_ms, now_s)
            asked = list(self._questions(now_ms, self._since_ms(now_ms, now_s, sweep), ranged))
            self._read_s = now_s
            try:
                answers = [await self._ask(each) for each in asked]
            except StoreError as failed:
                self._heard(str(failed))
                return
            self._heard("")
            self.asked += 1
            self._read_ms = now_ms
            self._clocks.append((now_s, now_ms))
            if sweep:
                self._swept_s = now_s
            if ranged:
                self._ranged_s, self._ranged_ms = now_s, now_ms
            changed: dict[str, Any] = {}
            for each, found in zip(asked, answers, strict=True):
                pairs = zip(each.entries, found, strict=True)
                for panel_id, entries in groupby(pairs, key=lambda pair: pair[0][0].id):
                    panel = self._page.panel(panel_id)
                    difference = self._keep(panel, each, [(entry[1], answer) for entry, answer in entries])
                    if difference is not None:
                        changed[panel_id] = difference
            self._tell(changed)

    def _range_is_due(self, now_ms: int, now_s: float) -> bool:
        _, window_s = RANGES[self.chosen.range]
        return abs(now_ms - self._ranged_ms) >= window_s * 1000 or now_s - self._ranged_s >= TICK_S * 5

    def _since_ms(self, now_ms: int, now_s: float, sweep: bool) -> int:
        """From when on buckets are asked for: all of them, or those that may still change."""
        if sweep or not self._clocks:
            return 0
        while len(self._clocks) > 1 and self._clocks[1][0] < now_s - LATE_S:
            self._clocks.popleft()
        return min(self._clocks[0][1], now_ms)

    def _questions(self, now_ms: int, since_ms: int, ranged: bool) -> "list[_Asked]":
        """The requests of a tick: one for all windows, one for the range, one for each `recent_s`."""
        range_s, window_s = RANGES[self.chosen.range]
        asked: dict[tuple[int, int], _Asked] = {}
        widths = [max(window_s, panel.least_window_s) * 1000 for panel in self._page.panels]
        range_start_ms = now_ms - range_s * 1000
        for panel in self._page.panels:
            if panel.kind is Kind.TEXT or (panel.span is Span.RANGE and not ranged):
                continue
            match panel.span:
                case Span.WINDOWS:
                    # One start for all widths: each divides or is followed by a wider one, and partial windows are cut.
                    start_ms = max(range_start_ms, since_ms) // max(widths) * max(widths)
                case Span.RANGE:
                    start_ms = range_start_ms
                case Span.RECENT:
                    start_ms = now_ms - panel.recent_s * 1000
            request = asked.setdefault((start_ms, panel.span is Span.WINDOWS), _Asked(start_ms, now_ms + 1, []))
            for number, line in enumerate(panel.lines):
                query = panel.asked(line, window_s, self.chosen.area, self.chosen.site)
                request.entries.append((panel, number, query))
        return list(asked.values())

    async def _ask(self, asked: _Asked) -> "list[list[Series] | QueryRefused]":
        queries = [query for _, _, query in asked.entries]
        found: list[list[Series] | QueryRefused] = []
        for first in range(0, len(queries), MAX_QUERIES):
            part = queries[first : first + MAX_QUERIES]
            found += await self._reader.run_many_async(part, asked.start_ms, asked.end_ms)
        return found

    # Keeping

    def _keep(
        self, panel: Panel, asked: _Asked, answers: Sequence[tuple[int, "list[Series] | QueryRefused"]]
    ) -> dict[str, Any] | None:
        """Merge an answer; what to tell the viewers about it, None when nothing changed."""
        held = self._held[panel.id]
        fresh = _Held()
        for number, answer in answers:
            if isinstance(answer, QueryRefused):
                fresh.refused = str(answer)
                continue
            for series in answer:
                fresh.buckets[_key(number, series.tags)] = self._buckets(panel, series)
        if panel.span is not Span.WINDOWS:
            if (fresh.buckets, fresh.refused) == (held.buckets, held.refused):
                return None
            self._held[panel.id] = fresh
            return self._whole(panel.id)
        width_ms = self._width_ms(panel)
        first_ms = (self._read_ms - RANGES[self.chosen.range][0] * 1000) // width_ms * width_ms
        kept: dict[Key, dict[int, float | int | str]] = {}
        for key in held.buckets.keys() | fresh.buckets.keys():
            # What was asked for is now as answered, including buckets that went; what is older stays.
            old = {at: value for at, value in held.buckets.get(key, {}).items() if first_ms <= at < asked.start_ms}
            new = {at: value for at, value in fresh.buckets.get(key, {}).items() if at >= first_ms}
            if old or new:
                kept[key] = old | new
        before = held
        self._held[panel.id] = _Held(kept, fresh.refused)
        return self._difference(panel, before, self._held[panel.id], first_ms)

    def _difference(self, panel: Panel, before: _Held, after: _Held, first_ms: int) -> dict[str, Any] | None:
        shown_before, _ = _shown(panel, before)
        shown, left_off = _shown(panel, after)
        is_whole = (
            set(shown_before) - set(shown)
            or before.refused != after.refused
            or any(
                at >= first_ms and at not in after.buckets[key] for key in shown_before for at in before.buckets[key]
            )
        )
        if is_whole:
            return self._whole(panel.id)
        changed = []
        for key in shown:
            old = before.buckets.get(key, {})
            buckets = {at: value for at, value in after.buckets[key].items() if old.get(at) != value}
            if buckets:
                changed.append(_told(key, buckets))
        return {"series": changed, "left_off": left_off} if changed else None

    def _buckets(self, panel: Panel, series: Series) -> dict[int, float | int | str]:
        if panel.span is not Span.WINDOWS:
            return {0: series.values[-1]} if series.values else {}
        width_ms = self._width_ms(panel)
        end_ms = self._read_ms - width_ms if panel.whole_windows_only else self._read_ms
        rate = panel.per_s * 1000 / width_ms if panel.per_s is not None else None
        return {
            at: value if rate is None or isinstance(value, str) else round(value * rate, 4)
            for at, value in zip(series.times_ms, series.values, strict=True)
            if at <= end_ms
        }

    def _width_ms(self, panel: Panel) -> int:
        return max(RANGES[self.chosen.range][1], panel.least_window_s) * 1000

    # Telling

    def _times(self) -> dict[str, int]:
        now_ms = self._read_ms or self._now_ms()
        return {"now_ms": now_ms, "start_ms": now_ms - RANGES[self.chosen.range][0] * 1000, "tick": self.asked}

    def _whole(self, panel_id: str) -> dict[str, Any]:
        panel, held = self._page.panel(panel_id), self._held[panel_id]
        shown, left_off = _shown(panel, held)
        return {
            "whole": True,
            "width_ms": self._width_ms(panel) if panel.span is Span.WINDOWS else 0,
            "series": [_told(key, held.buckets[key]) for key in shown],
            "left_off": left_off,
            "refused": held.refused,
        }

    def _tell(self, changed: dict[str, Any]) -> None:
        """One encoding for all viewers. A tick without changes still moves the time axis, when the clock moved."""
        if not changed and self._read_ms == self._told_ms:
            return
        self._window, self._told_ms = None, self._read_ms
        event = encode_event("delta", {**self._times(), "panels": changed})
        self.told += 1
        for viewer in self.viewers:
            viewer.tell(event)


class Viewer:
    """One open page: the events it still has to be sent."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)

    def tell(self, event: bytes) -> None:
        """Queue an event. A viewer too slow for that loses what waits and is told to begin again."""
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            while not self._events.empty():
                self._events.get_nowait()
            self._events.put_nowait(encode_event("again", {}))

    async def next(self, timeout_s: float) -> bytes | None:
        """The next event, or None after a silence."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._events.get()
        except TimeoutError:
            return None


class Feeds:
    """All feeds, by what is looked at."""

    def __init__(self, reader: Reader, now_ms: Callable[[], int], heard: Callable[[str], None]) -> None:
        self._reader = reader
        self._now_ms = now_ms
        self._heard = heard
        self._feeds: dict[Chosen, Feed] = {}

    def feed(self, chosen: Chosen) -> Feed:
        """The feed for this choice, made if there is none. Raises TooMany."""
        feed = self._feeds.get(chosen)
        if feed is None:
            for idle in [known for known, other in self._feeds.items() if other.is_idle]:
                del self._feeds[idle]
            if len(self._feeds) >= MAX_FEEDS:
                raise TooMany(f"{MAX_FEEDS} different views are open; close one, or look at what others look at")
            feed = self._feeds[chosen] = Feed(chosen, self._reader, self._now_ms, self._heard)
        return feed

    @property
    def viewers(self) -> list[Viewer]:
        return [viewer for feed in self._feeds.values() for viewer in feed.viewers]

    def watched(self, page: str) -> bool:
        """Whether anybody looks at a page."""
        return any(feed.viewers for chosen, feed in self._feeds.items() if chosen.page == page)

    async def close(self) -> None:
        for feed in self._feeds.values():
            await feed.close()


def encode_event(name: str, content: Any) -> bytes:
    """A server-sent event."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(content))


def _key(line: int, tags: dict[str, str]) -> Key:
    return line, tags.get("area", ""), tags.get("site", ""), tags.get("device", "")


def _told(key: Key, buckets: dict[int, float | int | str]) -> dict[str, Any]:
    times = sorted(buckets)
    return {"key": key, "t": times, "v": [buckets[at] for at in times]}


def _shown(panel: Panel, held: _Held) -> tuple[list[Key], int]:
    """Which series a panel has room for, in the order they are drawn, and how many are left off."""
    keys = sorted(held.buckets)
    if panel.order != "asked":
        ranked = sorted(keys, key=lambda key: _weight(held.buckets[key]), reverse=panel.order == "highest")
        keep = ranked[: panel.most_series]
        # Lines keep their colours when they swap places; what is listed is listed by rank.
        shown = sorted(keep) if panel.span is Span.WINDOWS else keep
    else:
        shown = keys[: panel.most_series]
    return shown, len(keys) - len(shown)


def _weight(buckets: dict[int, float | int | str]) -> float:
    return max((value for value in buckets.values() if not isinstance(value, str)), default=0.0)


__all__ = ["RANGES", "Chosen", "Feed", "Feeds", "TooMany", "Viewer", "encode_event"]
