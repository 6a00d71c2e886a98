"""How the parts are: broker, clock, store and collector, told to every open page about once a second.

Like the feeds, this rests when nobody looks: the collector is not asked and the store is not described. What is the
same as a second ago is not told again.
"""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import structlog

from dashboards.console.feed import Feeds, Viewer, encode_event
from dashboards.console.town import Health, TownWatch
from dashboards.pages.centres import FAULT
from haina.query import Aggregate, Query
from haina.query.reader import QueryRefused, Reader, StoreError
from haina.store_url import collector_entry, is_loopback
from haina.tls import client_context

log = structlog.get_logger()

PULSE_S = 1.0
COLLECTOR_EVERY_S = 2.0
COLLECTOR_TIMEOUT_S = 3.0
DESCRIBE_EVERY_S = 10.0
FAULTS_EVERY_S = 4.0
FAULTS_RECENT_S = 300  # a kiosk says its state every minute
# A store this far behind the town's clock, and this long by the wall at the pace it goes, is stale.
STALE_TOWN_S = 600.0
STALE_WALL_S = 20.0

_KIOSKS = Query("kiosk_state", "state", Aggregate.LAST, group=("site", "device"))


class Pulse:
    """Asks around while somebody looks, and tells all who do."""

    def __init__(self, town: TownWatch, reader: Reader, collector: str, ca_file: Path | None = None) -> None:
        self.feeds: Feeds | None = None
        self._town = town
        self._reader = reader
        self._collector_url = collector
        host = httpx.URL(collector).host
        self._client = httpx.AsyncClient(
            timeout=COLLECTOR_TIMEOUT_S,
            trust_env=not is_loopback(host),
            verify=client_context(ca_file),
            headers=collector_entry(),
        )
        self._store: tuple[Health, str] = ("unknown", "")
        self._collector: tuple[Health, str] = ("unknown", "")
        self._status: dict[str, Any] | None = None
        self._latest: dict[str, int] = {}
        self._behind_s = 0.0  # the store behind the clock, when it was last described
        self._due: dict[str, float] = {}
        self._told = b""

    def store_heard(self, problem: str) -> None:
        """What became of asking the store: a sentence, empty when it answered."""
        before, _ = self._store
        self._store = ("unavailable", problem) if problem else ("ok", "")
        if problem and before != "unavailable":
            log.warning("the store is down", reason=problem)
        elif not problem and before == "unavailable":
            log.info("the store is back")

    def state(self) -> dict[str, Any]:
        """What a page's header shows."""
        clock = self._town.clock
        shown = self._town.shown()
        counts = dict.fromkeys(("online", "offline", "fault", "unknown"), 0)
        for site in shown:
            counts[site.state] += 1
        return {
            "clock": None if clock is None else msgspec.to_builtins(clock),
            "town": self._town.clock_health(),
            "broker": self._town.broker_health(),
            "store": self._store_health(),
            "collector": self._collector,
            "counts": counts,
        }

    def state_event(self) -> bytes:
        return encode_event("state", self.state())

    def line(self) -> dict[str, Any]:
        """What the collector's page shows beside its panels."""
        return {"status": self._status, "latest_ms": self._latest, "now_ms": self._town.now_ms}

    def line_event(self) -> bytes:
        return encode_event("line", self.line())

    async def beat_forever(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await asyncio.sleep(PULSE_S)
                if self.feeds is not None and self.feeds.viewers:
                    try:
                        await self._beat(self.feeds)
                    except Exception:
                        log.exception("the console's pulse failed")
        finally:
            with contextlib.suppress(Exception):
                await self._client.aclose()

    async def _beat(self, feeds: Feeds) -> None:
        if self._is_due("collector", COLLECTOR_EVERY_S):
            await self._ask_collector()
        if self._is_due("faults", FAULTS_EVERY_S) and (feeds.watched("town") or feeds.watched("centres")):
            await self._ask_faults()
        if self._is_due("describe", DESCRIBE_EVERY_S):
            await self._describe()
        state = self.state_event()
        if state != self._told:
            self._told = state
            _tell(feeds.viewers, state)
        everything, changed = self._town.changes()
        if everything:
            _tell(feeds.viewers, encode_event("sites_again", {}))
        elif changed:
            _tell(feeds.viewers, encode_event("sites", [site.told() for site in changed]))
        moved = self._town.moved()
        if moved:
            _tell(feeds.viewers, encode_event("members", moved))
        if feeds.watched("collector"):
            _tell(feeds.viewers, self.line_event())

    def _is_due(self, what: str, every_s: float) -> bool:
        now_s = time.monotonic()
        if now_s < self._due.get(what, 0.0):
            return False
        self._due[what] = now_s + every_s
        return True

    async def _ask_collector(self) -> None:
        try:
            answer = await self._client.get(f"{self._collector_url}/status")
            answer.raise_for_status()
            self._status = answer.json()
            problems = self._status.get("problems", []) if isinstance(self._status, dict) else ["unreadable status"]
            self._collector = ("problem", "; ".join(map(str, problems))) if problems else ("ok", "")
        except (httpx.HTTPError, ValueError) as failed:
            reason = str(failed) or type(failed).__name__
            self._collector = ("unavailable", f"{self._collector_url} does not answer ({reason})")

    async def _ask_faults(self) -> None:
        now_ms = self._town.now_ms
        try:
            found = await self._reader.run_async(_KIOSKS, now_ms - FAULTS_RECENT_S * 1000, now_ms + 1)
        except QueryRefused:
            return
        except StoreError as failed:
            self.store_heard(str(failed))
            return
        faults: dict[str, tuple[str, ...]] = {}
        for series in found:
            if series.values and series.values[-1] == FAULT:
                site = series.tags.get("site", "")
                faults[site] = (*faults.get(site, ()), series.tags.get("device", ""))
        self._town.set_faults(faults)

    async def _describe(self) -> None:
        """What the newest reading of each measurement is; in a thread, for InfluxDB has to look for it."""
        try:
            held = await asyncio.to_thread(self._reader.describe)
        except QueryRefused:
            return
        except StoreError as failed:
            self.store_heard(str(failed))
            return
        self._latest = {name: described.latest_ms for name, described in held.items()}
        clock = self._town.clock
        self._behind_s = (clock.time - max(self._latest.values())) / 1000 if clock and self._latest else 0.0

    def _store_health(self) -> tuple[Health, str]:
        health, sentence = self._store
        clock = self._town.clock
        if health != "ok" or clock is None:
            return health, sentence
        if self._behind_s > max(STALE_TOWN_S, STALE_WALL_S * max(1.0, clock.achieved)):
            return "stale", f"{self._behind_s:.0f}"
        return health, sentence


def _tell(viewers: list[Viewer], event: bytes) -> None:
    for viewer in viewers:
        viewer.tell(event)
