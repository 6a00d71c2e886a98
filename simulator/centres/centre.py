"""An unmanned service centre, from the smart gate to the slip of paper.

People come (`arrivals`), pass the gate with a card or a code and a face check, and take a ticket for a service. Who
sees too long a queue turns round (*balks*). The others wait for a kiosk of the right kind (`kiosk`) as long as their
patience lasts; who loses it leaves (*reneges*). A session takes a lognormal time, longer for people over 75; some
need remote help, some fail. A kiosk that breaks in a session sends its customer back to the head of the queue, or
away. Meanwhile everybody breathes (`room`).

A centre starts with people in it: as many as its rate of arrivals and their usual stay imply, each at the ticket
machine. They were not counted at the gate by this run; queue and kiosks are in their steady state minutes later.
"""

from collections.abc import Generator
from typing import Any

import simpy

from haina.contract.centre import (
    CENTRE_AIR,
    CENTRE_DOOR,
    CENTRE_ENERGY,
    CENTRE_QUEUE,
    KIOSK_SESSION,
    SERVICES,
)
from simulator.centres.arrivals import Demand
from simulator.centres.kiosk import CUSTOMER, RETURNING, Kiosk, Kiosks
from simulator.centres.parameters import CentreParameters
from simulator.room import Room
from simulator.town import DAY_S, Site
from simulator.weather import Weather

Process = Generator[Any, Any, None]

MINUTE_S = 60
# Assumed: what people come for, how long it takes against the average, and sheets printed.
DEMAND = {"household": 0.30, "social-security": 0.25, "medical-insurance": 0.20, "certificate": 0.15, "tax": 0.10}
_RELATIVE_TIME = {
    "residence_permit": 1.3,
    "id_card": 1.1,
    "pension_check": 0.7,
    "contribution_record": 0.8,
    "insurance_card": 1.0,
    "reimbursement": 1.5,
    "tax_certificate": 0.9,
    "certificate_print": 0.6,
    "property_query": 0.5,
}
_MOST_SHEETS = 4
_METERS_SINCE_D = 18_262  # assumed: the power meter was new on 1 January 2020
_METER_KWH_PER_DAY = 60  # assumed, above what a centre uses: a later start finds the meter further on
_FIVE_KIOSKS, _LEAST_ROOM = 5, 2  # a floor area is that of five kiosks, and no smaller than that of two


class Centre:
    """A centre that lives. Counters are since the last minute's report."""

    def __init__(
        self,
        site: Site,
        kiosk_kinds: list[str],
        persons_per_day: float,
        floor_m2: float | None,
        parameters: CentreParameters,
        weather: Weather,
    ) -> None:
        self._site, self._env, self._p = site, site.env, parameters
        self._door = site.device("door", "door-counter")
        self._queue = site.device("queue", "ticket-system")
        self._air = site.device("air", "air-sensor")
        self._power = site.device("power", "power-meter")
        by_kind: dict[str, list[Any]] = {}
        for number, kind in enumerate(kiosk_kinds, start=1):
            by_kind.setdefault(kind, []).append(site.device(f"kiosk-{number}", "kiosk", service=kind))
        self.pools = {kind: Kiosks(site, kind, devices, parameters) for kind, devices in by_kind.items()}
        self.kiosks = [kiosk for pool in self.pools.values() for kiosk in pool.kiosks]
        self._kinds, self._weights = list(self.pools), [DEMAND[kind] for kind in self.pools]
        self._mean_time = _mean_relative_time(self.pools)
        self._people = site.stream("people")
        self._demand = Demand(site, persons_per_day, parameters)
        self._waiting: dict[object, float] = {}  # who waits -> since when, in the order of the queue's tickets
        self._entries = self._exits = self._occupancy = 0
        self._arrivals = self._balked = self._reneged = 0
        self._busy = 0
        self._measured_s = self._person_seconds = self._busy_seconds = 0.0
        self._last_report_s = 0.0
        inside = self._people.poisson(min(self._demand.rate_per_s(0.0) * self._usual_stay_s(), 200.0))
        for _ in range(inside):
            site.env.process(self._visit(is_inside=True))
        meter_days = max(site.town.start_ms / 1000 / DAY_S - _METERS_SINCE_D, 0)
        floor = floor_m2 or parameters.floor_area_m2 * max(len(self.kiosks), _LEAST_ROOM) / _FIVE_KIOSKS
        draws = site.stream("room")
        meter_kwh = draws.uniform(0, 5_000) + meter_days * _METER_KWH_PER_DAY
        self._room = Room(parameters, weather, floor, draws, inside, meter_kwh)
        site.env.process(self._receive())
        site.env.process(self._report())

    def _usual_stay_s(self) -> float:
        return self._p.stay_before_s + self._p.service_mean_s + self._p.stay_after_s

    # -- people --------------------------------------------------------------------------------

    def _receive(self) -> Process:
        while True:
            yield from self._demand.wait_for_next()
            self._env.process(self._visit(is_inside=False))

    def _visit(self, is_inside: bool) -> Process:
        """One person's visit, from the gate to the gate."""
        draws, p = self._people, self._p
        over_75 = draws.chance(p.over_75_share)
        kind = draws.choice(self._kinds, self._weights)
        service = draws.choice(SERVICES[kind])
        mean_s = p.service_mean_s * _RELATIVE_TIME[service] / self._mean_time * (p.over_75_slower if over_75 else 1.0)
        service_s = draws.lognormal_mean_cv(mean_s, p.service_cv)
        patience_s = draws.exponential(p.patience_mean_s)
        self._count(occupancy=1)
        if not is_inside:
            self._entries += 1
            yield self._env.timeout(draws.exponential(p.stay_before_s))
        self._arrivals += 1
        pool = self.pools[kind]
        if len(pool.slots.queue) >= p.balk_at_persons * len(pool.kiosks):
            self._balked += 1
        else:
            yield from self._use_kiosk(pool, service, service_s, patience_s, over_75)
            yield self._env.timeout(draws.exponential(p.stay_after_s))
        self._exits += 1
        self._count(occupancy=-1)

    def _use_kiosk(self, pool: Kiosks, service: str, service_s: float, patience_s: float, over_75: bool) -> Process:
        """Wait and be served; after a failing kiosk, once more from the head of the queue, or not at all."""
        ticket = object()
        joined_s, priority = self._env.now, CUSTOMER
        while True:
            slot = pool.slots.request(priority=priority)
            self._waiting[ticket] = joined_s
            patience_left_s = max(joined_s + patience_s - self._env.now, 0.0)
            granted = yield slot | self._env.timeout(patience_left_s)
            del self._waiting[ticket]
            if slot not in granted:
                slot.cancel()
                self._reneged += 1
                return
            was_served = yield from self._session(pool, slot, service, service_s, joined_s, over_75)
            if was_served or not self._people.chance(self._p.return_to_queue):
                return
            joined_s, priority = self._env.now, RETURNING

    def _session(
        self, pool: Kiosks, slot: Any, service: str, service_s: float, joined_s: float, over_75: bool
    ) -> Generator[Any, Any, bool]:
        """One session at a kiosk; False when the kiosk broke."""
        draws, p, began_s = self._people, self._p, self._env.now
        assisted = draws.chance(p.assisted_share_over_75 if over_75 else p.assisted_share)
        outcome = "assisted" if assisted else "failed" if draws.chance(p.failed_share) else "completed"
        kiosk = pool.begin(self._env.active_process)
        self._count(busy=1)
        try:
            yield self._env.timeout(service_s * (p.assisted_slower if assisted else 1.0))
        except simpy.Interrupt:
            outcome = "broken"
        self._count(busy=-1)
        self._say_session(kiosk, service, "failed" if outcome == "broken" else outcome, began_s - joined_s, began_s)
        if outcome != "broken":
            jams = draws.chance(p.jam_per_session)
            pool.end(kiosk, draws.integer(1, _MOST_SHEETS) if outcome != "failed" else 0, jams, draws)
        pool.slots.release(slot)
        return outcome != "broken"

    def _say_session(self, kiosk: Kiosk, service: str, outcome: str, wait_s: float, began_s: float) -> None:
        kiosk.device.send(
            KIOSK_SESSION,
            {
                "service": service,
                "outcome": outcome,
                "wait_s": round(min(wait_s, 86_400.0), 1),
                "duration_s": round(min(self._env.now - began_s, 86_400.0), 1),
            },
        )

    def _count(self, occupancy: int = 0, busy: int = 0) -> None:
        """People and busy kiosks from now on; what they were is averaged up to now."""
        passed_s = self._env.now - self._measured_s
        self._person_seconds += passed_s * self._occupancy
        self._busy_seconds += passed_s * self._busy
        self._measured_s = self._env.now
        self._occupancy += occupancy
        self._busy += busy

    # -- reports -------------------------------------------------------------------------------

    def _report(self) -> Process:
        """Every minute, at the centre's own second, all that a centre says by the clock."""
        phase_s = int(self._site.stream("report phase").random() * MINUTE_S * 1000) / 1000
        minute = 0
        while True:
            at_s = minute * MINUTE_S + phase_s
            yield self._env.timeout(max(at_s - self._env.now, 0.0))
            self._say_counts()
            for kiosk in self.kiosks:
                kiosk.say_state()
            self._say_room()
            minute += 1

    def _say_counts(self) -> None:
        self._door.send(
            CENTRE_DOOR,
            {
                "entries_persons": self._entries,
                "exits_persons": self._exits,
                "occupancy_persons": self._occupancy,
            },
        )
        waiting = self._waiting
        self._queue.send(
            CENTRE_QUEUE,
            {
                "waiting_persons": len(waiting),
                "longest_wait_s": round(min(self._env.now - min(waiting.values()), 86_400.0), 1) if waiting else 0.0,
                "arrivals_persons": self._arrivals,
                "balked_persons": self._balked,
                "reneged_persons": self._reneged,
            },
        )
        self._entries = self._exits = self._arrivals = self._balked = self._reneged = 0

    def _say_room(self) -> None:
        self._count()
        length_s = self._env.now - self._last_report_s
        if length_s > 0:
            p = self._p
            kiosks_w = len(self.kiosks) * p.kiosk_idle_w + self._busy_seconds / length_s * p.kiosk_busy_w
            self._room.pass_time(
                length_s, self._person_seconds / length_s, p.base_w + kiosks_w, kiosks_w + 0.5 * p.base_w
            )
        self._person_seconds = self._busy_seconds = 0.0
        self._last_report_s = self._env.now
        self._air.send(CENTRE_AIR, self._room.air())
        self._power.send(CENTRE_ENERGY, self._room.meter())


def kinds_of(kiosks: int) -> list[str]:
    """The kinds of a centre's kiosks: each next one goes where demand for each kiosk would be highest."""
    dealt: list[str] = []
    for _ in range(kiosks):
        dealt.append(max(DEMAND, key=lambda kind: DEMAND[kind] / (dealt.count(kind) + 1)))
    return dealt


def _mean_relative_time(pools: dict[str, Kiosks]) -> float:
    """The mean of `_RELATIVE_TIME` over the services asked for here, so that the mean time is the parameter's."""
    total = sum(DEMAND[kind] for kind in pools)
    return sum(
        DEMAND[kind] / total * sum(_RELATIVE_TIME[service] for service in SERVICES[kind]) / len(SERVICES[kind])
        for kind in pools
    )
