"""An unmanned service centre, from the smart gate to the slip of paper.

People come (`arrivals`), some of them together, each with an errand (`visitor`). They pass the gate with a card or a
code and a face check (`gate`), and take a ticket for a service. Who sees too long a queue turns round (*balks*). The
others wait for a kiosk of the right kind (`kiosk`) as long as their patience lasts; who loses it leaves (*reneges*).
People over 75 may be given a head start in the queue. A session takes a lognormal time that grows with age; some need
an operator, by video, whom all centres share (`support`); some fail. A kiosk that breaks in a session sends its
customer back to the head of the queue, or away. Some rate the centre at the exit. Whoever leaves without the errand
done may come again another time, here or elsewhere (*retrial*). Meanwhile everybody breathes (`room`).

Now and then a centre loses its power: sensors and kiosks are silent, people leave, the gate stays shut. Or it loses its
uplink: kiosks work on as far as they can, no operator can be reached, and all readings come late.

A centre starts with people in it: as many as its rate of arrivals and their usual stay imply, each at the ticket
machine. They were not counted at the gate by this run; queue and kiosks are in their steady state minutes later.
"""

from collections.abc import Generator
from typing import Any, NamedTuple

import simpy

from haina.contract.centre import (
    CENTRE_AIR,
    CENTRE_DOOR,
    CENTRE_ENERGY,
    CENTRE_QUEUE,
    CENTRE_RATING,
    GATEWAY_OUTAGE,
    KIOSK_SESSION,
)
from haina.contract.measurement import Value
from simulator.centres.arrivals import Demand
from simulator.centres.gate import Gate
from simulator.centres.kiosk import HOUR_S, RETURNING, Kiosk, Kiosks
from simulator.centres.parameters import CentreParameters
from simulator.centres.support import Support
from simulator.centres.visitor import DEMAND, WORK, Public, Visitor, rating
from simulator.randomness import Stream
from simulator.room import Room
from simulator.town import DAY_S, Site
from simulator.weather import Weather

Process = Generator[Any, Any, None]

MINUTE_S = 60
_TOGETHER_S = 90.0  # what the source calls a group: gaps up to this
_MOST_TOGETHER = 20
_NIGHT_H = (22.0, 7.0)  # assumed: nobody comes again between these hours
_METERS_SINCE_D = 18_262  # assumed: the power meter was new on 1 January 2020
_METER_KWH_PER_DAY = 60  # assumed, above what a centre uses: a later start finds the meter further on
_FIVE_KIOSKS, _LEAST_ROOM = 5, 2  # a floor area is that of five kiosks, and no smaller than that of two
_POWER_CUT = "power"


class _Ending(NamedTuple):
    """How a session ended."""

    outcome: str
    cause: str | None = None
    help_wait_s: float | None = None


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
        support: Support | None = None,
    ) -> None:
        self.site, self._env, self._p = site, site.env, parameters
        self._support = support or Support(site.env, parameters)
        self._support.centres.append(self)
        self.gate = Gate(site, parameters)
        self._door = site.device("door", "door-counter")
        self._queue = site.device("queue", "ticket-system")
        self._terminal = site.device("rating", "rating-terminal")
        self._air = site.device("air", "air-sensor")
        self._power = site.device("power", "power-meter")
        by_kind: dict[str, list[Any]] = {}
        for number, kind in enumerate(kiosk_kinds, start=1):
            by_kind.setdefault(kind, []).append(site.device(f"kiosk-{number}", "kiosk", service=kind))
        self.pools = {kind: Kiosks(site, kind, devices, parameters, self._support) for kind, devices in by_kind.items()}
        self.kiosks = [kiosk for pool in self.pools.values() for kiosk in pool.kiosks]
        self._public = Public(list(self.pools), parameters)
        self._together = site.stream("together")
        self._demand = Demand(site, persons_per_day / _errands_per_party(parameters), parameters)
        self._visitors = self._callers = 0
        self._parties: dict[simpy.Process, None] = {}  # whoever is here, at the gate or inside
        self._waiting: dict[Visitor, float] = {}  # who waits -> since when, in the order of the queue's tickets
        self._entries = self._exits = self._occupancy = 0
        self._arrivals = self._balked = self._reneged = self._returning = 0
        self._busy = 0
        self._measured_s = self._person_seconds = self._busy_seconds = 0.0
        self._room_lived_s = 0.0
        expected = min(self._demand.rate_per_s(0.0) * self._usual_stay_s(), 200.0)
        inside = site.stream("people inside").poisson(expected)
        for _ in range(inside):
            self._let_in(self._next_visitor(), is_inside=True)
        meter_days = max(site.town.start_ms / 1000 / DAY_S - _METERS_SINCE_D, 0)
        floor = floor_m2 or parameters.floor_area_m2 * max(len(self.kiosks), _LEAST_ROOM) / _FIVE_KIOSKS
        draws = site.stream("room")
        meter_kwh = draws.uniform(0, 5_000) + meter_days * _METER_KWH_PER_DAY
        self._room = Room(parameters, weather, floor, draws, inside, meter_kwh)
        site.env.process(self._welcome())
        site.env.process(self._report())
        if parameters.power_outages_per_year:
            site.env.process(self._lose_power(site.stream("power outages")))
        if parameters.uplink_outages_per_year:
            site.env.process(self._lose_uplink(site.stream("uplink outages")))

    def _usual_stay_s(self) -> float:
        return self._p.stay_before_s + self._p.service_mean_s + self._p.stay_after_s

    # -- people --------------------------------------------------------------------------------

    def receive(self, kind: str) -> None:
        """Somebody comes for a service of this kind of kiosk, beyond the usual demand."""
        self._callers += 1
        self._let_in(self._public.draw(self.site.stream(f"caller {self._callers}"), kind))

    def _welcome(self) -> Process:
        """People come, and with some of them others: with an errand of their own, or none."""
        p, draws = self._p, self._together
        while True:
            yield from self._demand.wait_for_next()
            visitor, after_s, party = self._next_visitor(), 0.0, 1
            self._let_in(visitor)
            while party < _MOST_TOGETHER and draws.chance(p.together_share):
                party += 1
                if draws.chance(p.companion_share):
                    visitor.companions += 1
                else:
                    after_s += min(draws.exponential(p.together_gap_s), _TOGETHER_S)
                    self._let_in(self._next_visitor(), after_s)

    def _next_visitor(self) -> Visitor:
        self._visitors += 1
        return self._public.draw(self._draws_of(self._visitors))

    def _draws_of(self, visitor: int) -> Stream:
        """The random numbers of the n-th visitor."""
        return self.site.stream(f"visitor {visitor}")

    def _let_in(self, visitor: Visitor, after_s: float = 0.0, *, is_inside: bool = False) -> None:
        self._env.process(self._visit(visitor, after_s, is_inside))

    def _visit(self, visitor: Visitor, after_s: float, is_inside: bool) -> Process:
        """One visit, from the gate to the gate, and what comes of it later."""
        if after_s:
            yield self._env.timeout(after_s)
        party, served = 0, False
        if self.site.has_power:
            me = self._env.active_process
            assert me is not None
            self._parties[me] = None
            try:
                party = 1 if is_inside else (yield from self.gate.admit(visitor))
                if party:
                    self._come_in(party, is_counted=not is_inside)
                    served = yield from self._run_errand(visitor, is_inside)
                    yield self._env.timeout(visitor.draws.exponential(self._p.stay_after_s))
                    self._rate(visitor, served)
            except simpy.Interrupt:
                pass  # a power cut: out they go
            del self._parties[me]
            self._exits += party
            self._count(occupancy=-party)
        if not served:
            yield from self._come_again(visitor)

    def _come_in(self, persons: int, *, is_counted: bool) -> None:
        self._count(occupancy=persons)
        if is_counted:
            self._entries += persons

    def _run_errand(self, visitor: Visitor, is_inside: bool) -> Generator[Any, Any, bool]:
        """From the ticket machine to the end of the service; whether the errand was done."""
        if not is_inside:
            yield self._env.timeout(visitor.draws.exponential(self._p.stay_before_s))
        self._arrivals += 1
        self._returning += visitor.attempts > 1
        pool = self.pools[visitor.kind]
        if len(pool.slots.queue) >= self._p.balk_at_persons * len(pool.kiosks):
            self._balked += 1
            return False
        return (yield from self._use_kiosk(pool, visitor))

    def _use_kiosk(self, pool: Kiosks, visitor: Visitor) -> Generator[Any, Any, bool]:
        """Wait and be served; after a failing kiosk, once more from the head of the queue, or not at all."""
        joined_s = self._env.now
        priority = round((joined_s - (self._p.elderly_head_start_s if visitor.age.is_over_75 else 0.0)) * 1000)
        while True:
            with pool.slots.request(priority=priority) as slot:
                self._waiting[visitor] = joined_s
                patience_left_s = max(joined_s + visitor.patience_s - self._env.now, 0.0)
                try:
                    yield slot | self._env.timeout(patience_left_s)
                finally:
                    del self._waiting[visitor]
                    visitor.waited_s += self._env.now - joined_s
                if not slot.triggered:
                    self._reneged += 1
                    return False
                ending = yield from self._session(pool, visitor, joined_s)
            if ending.cause not in _KIOSK_BROKE:
                return ending.outcome != "failed"
            if not visitor.draws.chance(self._p.return_to_queue):
                return False
            joined_s, priority = self._env.now, RETURNING

    def _session(self, pool: Kiosks, visitor: Visitor, joined_s: float) -> Generator[Any, Any, _Ending]:
        """One session at a kiosk, by a customer who holds a slot."""
        began_s = self._env.now
        kiosk = pool.begin(self._env.active_process)
        self._count(busy=1)
        try:
            ending = yield from self._transact(visitor)
        except simpy.Interrupt as interrupt:
            if interrupt.cause == _POWER_CUT:
                pool.abandon(kiosk)
                raise
            ending = _Ending("failed", str(interrupt.cause))
        finally:
            self._count(busy=-1)
        self._say_session(kiosk, visitor, ending, began_s - joined_s, began_s)
        if ending.cause not in _KIOSK_BROKE:
            work, draws = WORK[visitor.service], visitor.draws
            if ending.outcome == "failed" or not work.most_sheets:
                pool.end(kiosk, 0, 0, draws)
            else:
                pool.end(kiosk, draws.integer(1, work.most_sheets), work.cards, draws)
        return ending

    def _transact(self, visitor: Visitor) -> Generator[Any, Any, _Ending]:
        """What happens between the customer, the kiosk and whoever helps."""
        draws, p = visitor.draws, self._p
        if not draws.chance(visitor.age.assisted_share):
            yield self._env.timeout(visitor.service_s)
            if not self.site.has_uplink and draws.chance(p.offline_failed_share):
                return _Ending("failed", "offline")
            return _Ending("failed", "rejected") if draws.chance(p.failed_share) else _Ending("completed")
        alone = draws.random()
        yield self._env.timeout(visitor.service_s * alone)
        if not self.site.has_uplink:
            return _Ending("failed", "no_help")
        called_s, helped_s = self._env.now, visitor.service_s * (p.assisted_slower - alone)
        if not (yield from self._support.help(draws, helped_s)):
            return _Ending("failed", "no_help", self._env.now - called_s)
        return _Ending("assisted", None, max(self._env.now - called_s - helped_s, 0.0))

    def _rate(self, visitor: Visitor, served: bool) -> None:
        if visitor.draws.chance(self._p.rating_share):
            said: dict[str, Value] = {"rating": rating(visitor, served, self._p), "age_group": visitor.age.group}
            self._terminal.send(CENTRE_RATING, said)

    def _come_again(self, visitor: Visitor) -> Process:
        """Another time, by day, here or at the nearest other centre; or never."""
        p, draws = self._p, visitor.draws
        if visitor.attempts >= p.most_attempts or not draws.chance(p.retrial_share):
            return
        yield self._env.timeout(draws.exponential(p.retrial_after_h * HOUR_S))
        hour = self.site.town.local_hour()
        begins_h, ends_h = _NIGHT_H
        if hour >= begins_h or hour < ends_h:
            yield self._env.timeout(((ends_h - hour) % 24 + draws.exponential(1.0)) * HOUR_S)
        visitor.attempts += 1
        visitor.waited_s = 0.0
        elsewhere = draws.chance(p.retrial_elsewhere)
        other = self._support.nearest(self.site.position, visitor.kind, but=self) if elsewhere else None
        (other or self)._let_in(visitor)

    def _say_session(self, kiosk: Kiosk, visitor: Visitor, ending: _Ending, wait_s: float, began_s: float) -> None:
        said: dict[str, Value] = {
            "service": visitor.service,
            "outcome": ending.outcome,
            "wait_s": round(min(wait_s, 86_400.0), 1),
            "duration_s": round(min(self._env.now - began_s, 86_400.0), 1),
            "kind": visitor.kind,
            "age_group": visitor.age.group,
        }
        if ending.cause is not None:
            said["cause"] = ending.cause
        if ending.help_wait_s is not None:
            said["help_wait_s"] = round(min(ending.help_wait_s, 86_400.0), 1)
        kiosk.device.send(KIOSK_SESSION, said)

    def _count(self, occupancy: int = 0, busy: int = 0) -> None:
        """People and busy kiosks from now on; what they were is averaged up to now."""
        passed_s = self._env.now - self._measured_s
        self._person_seconds += passed_s * self._occupancy
        self._busy_seconds += passed_s * self._busy
        self._measured_s = self._env.now
        self._occupancy += occupancy
        self._busy += busy

    # -- outages -------------------------------------------------------------------------------

    def _lose_power(self, draws: Stream) -> Process:
        """Power cuts for ever. Everybody inside leaves, and nobody comes in."""
        p = self._p
        while True:
            yield self._env.timeout(draws.exponential(365 * DAY_S / p.power_outages_per_year))
            length_s = min(draws.exponential(p.power_outage_h * HOUR_S), DAY_S)
            event = self.site.begins("power_lost", persons=self._occupancy)
            self._let_room_live()
            self.site.switch_power(False)
            for party in list(self._parties):
                party.interrupt(_POWER_CUT)
            yield self._env.timeout(length_s)
            self._let_room_live()
            self.site.switch_power(True)
            self._restored("power", event, length_s)

    def _lose_uplink(self, draws: Stream) -> Process:
        """Uplink failures for ever."""
        p = self._p
        while True:
            yield self._env.timeout(draws.exponential(365 * DAY_S / p.uplink_outages_per_year))
            length_s = min(draws.exponential(p.uplink_outage_h * HOUR_S), DAY_S)
            event = self.site.begins("uplink_lost")
            self.site.switch_uplink(False)
            yield self._env.timeout(length_s)
            self.site.switch_uplink(True)
            self._restored("uplink", event, length_s)

    def _restored(self, lost: str, event: str, length_s: float) -> None:
        self.site.ends(f"{lost}_lost", event, lasted_s=round(length_s, 1))
        self.site.gateway.send(GATEWAY_OUTAGE, {"lost": lost, "duration_s": float(round(length_s))})

    # -- reports -------------------------------------------------------------------------------

    def _report(self) -> Process:
        """Every minute, at the centre's own second, all that a centre says by the clock, if it has power to speak."""
        phase_s = int(self.site.stream("report phase").random() * MINUTE_S * 1000) / 1000
        minute = 0
        while True:
            at_s = minute * MINUTE_S + phase_s
            yield self._env.timeout(max(at_s - self._env.now, 0.0))
            if self.site.has_power:
                self._say_counts()
                for kiosk in self.kiosks:
                    kiosk.say_state()
                self._let_room_live()
                self._air.send(CENTRE_AIR, self._room.air())
                self._power.send(CENTRE_ENERGY, self._room.meter())
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
                "returning_persons": self._returning,
            },
        )
        self._entries = self._exits = self._arrivals = self._balked = self._reneged = self._returning = 0

    def _let_room_live(self) -> None:
        """Let the room's air and electricity catch up with now."""
        self._count()
        length_s = self._env.now - self._room_lived_s
        if length_s > 0:
            p, lit = self._p, self.site.has_power
            kiosks_w = len(self.kiosks) * p.kiosk_idle_w + self._busy_seconds / length_s * p.kiosk_busy_w
            drawn_w, heat_w = (p.base_w + kiosks_w, kiosks_w + 0.5 * p.base_w) if lit else (0.0, 0.0)
            self._room.pass_time(length_s, self._person_seconds / length_s, drawn_w, heat_w, is_open=lit)
        self._person_seconds = self._busy_seconds = 0.0
        self._room_lived_s = self._env.now


def kinds_of(kiosks: int) -> list[str]:
    """The kinds of a centre's kiosks: dealt by demand as seats by votes (Sainte-Laguë), which is fair to small ones."""
    dealt: list[str] = []
    for _ in range(kiosks):
        dealt.append(max(DEMAND, key=lambda kind: DEMAND[kind] / (2 * dealt.count(kind) + 1)))
    return dealt


def _errands_per_party(p: CentreParameters) -> float:
    """People with an errand for each who comes by the clock of demand."""
    return 1 + (1 - p.companion_share) * p.together_share / (1 - p.together_share)


_KIOSK_BROKE = frozenset({"card_reader", "frozen_screen", "network"})
