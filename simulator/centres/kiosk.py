"""A kiosk: serving, breaking, being repaired, running out of paper.

The kiosks of a kind are one SimPy resource with a slot for each. Whoever holds a slot has a kiosk: a customer, or
whatever keeps the kiosk from working. A kiosk that fails takes its slot before the customers who wait, so it must be
idle or be given up at that very moment; `Kiosks.take_out` is only called then.

A kiosk breaks in its *modes*, each with a mean time between failures and a mean time to repair: card readers fail,
screens freeze, the network goes. Paper jams come with sessions. Somebody notices after a while and calls a
technician, who travels and then repairs; the command `dispatch` calls one at once. A restart cures a card reader and
a frozen screen from afar. The network comes back by itself.

Paper, toner and blank cards are used up. A refill is ordered before they are out and brought by a technician; the
command `refill` sends one at once. A night every few weeks a kiosk is in planned maintenance.
"""

from collections import deque
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import simpy

from haina.contract.centre import KIOSK_STATE
from haina.contract.measurement import Value
from simulator.centres.parameters import CentreParameters
from simulator.centres.support import REFILL, REPAIR, Support
from simulator.randomness import Stream
from simulator.town import DAY_S, CommandHandler, Device, Refused, Site

Process = Generator[Any, Any, None]

IDLE, BUSY, FAULT, MAINTENANCE = 0, 1, 2, 3
HOUR_S = 3_600
CURED_BY_RESTART = frozenset({"card_reader", "frozen_screen"})
CURED_BY_ITSELF = frozenset({"network"})
MAKES_CARDS = frozenset({"household", "medical-insurance"})
NEEDS_NO_TONER = frozenset({"pick-up"})
_JAM_REPAIR_CV = 0.8
_REFILL_S = 300.0  # assumed
_NIGHT_H = (2.0, 4.0)  # assumed: when planned maintenance begins
REPAIRER, RETURNING = -(10**16), -(10**15)
"""Who gets a slot first; customers come after, by the millisecond from which their ticket counts."""


class Mode(NamedTuple):
    """A way to break: how often, and how long the repair takes on average, in hours."""

    fault: str
    mtbf_h: float
    mttr_h: float


def modes(p: CentreParameters) -> tuple[Mode, ...]:
    """The modes that strike by themselves; paper jams come with sessions."""
    return (
        Mode("card_reader", p.card_reader_mtbf_h, p.card_reader_mttr_h),
        Mode("frozen_screen", p.frozen_screen_mtbf_h, p.frozen_screen_mttr_h),
        Mode("network", p.network_mtbf_h, p.network_mttr_h),
    )


class Supply:
    """Something a kiosk uses up. `left_pct` is what is left of a full one."""

    def __init__(self, per_full: int, left_pct: float) -> None:
        self._pct_each = 100 / per_full
        self.left_pct = left_pct

    def use(self, count: int) -> None:
        self.left_pct = max(self.left_pct - count * self._pct_each, 0.0)


class Kiosk:
    """One kiosk and what it says of itself."""

    def __init__(self, device: Device, paper: Supply, toner: Supply | None, blanks: Supply | None) -> None:
        self.device = device
        self.state = IDLE
        self.fault = "none"
        self.paper, self.toner, self.blanks = paper, toner, blanks
        named = {"paper_pct": paper, "toner_pct": toner, "blanks_pct": blanks}
        self._supplies = {field: supply for field, supply in named.items() if supply is not None}
        self._levels: dict[str, Value] = {}
        self._read_levels()
        self.session: simpy.Process | None = None  # of the customer who is served now
        self.refill: Refill | None = None
        env = device.site.env
        self.stocked, self.called, self.restarted = env.event(), env.event(), env.event()

    def say_state(self) -> None:
        self.device.send(KIOSK_STATE, {"state": self.state, "fault": self.fault, **self._levels})

    def _read_levels(self) -> None:
        """What the kiosk says of its supplies until they change."""
        self._levels = {field: round(supply.left_pct, 1) for field, supply in self._supplies.items()}

    def become(self, state: int, fault: str = "none") -> None:
        self.state, self.fault = state, fault
        self.say_state()

    def use(self, sheets: int, cards: int) -> None:
        self.paper.use(sheets)
        if self.toner is not None:
            self.toner.use(sheets)
        if self.blanks is not None:
            self.blanks.use(cards)
        self._read_levels()

    def runs_low(self, level_pct: float) -> bool:
        return any(supply.left_pct < level_pct for supply in self._supplies.values())

    @property
    def is_out_of_something(self) -> bool:
        return any(supply.left_pct <= 0 for supply in self._supplies.values())

    def fill(self) -> None:
        """Everything is full; `stocked` tells whoever waits for it."""
        for supply in self._supplies.values():
            supply.left_pct = 100.0
        self._read_levels()
        stocked, self.stocked = self.stocked, self.device.site.env.event()
        stocked.succeed()


class Refill:
    """A refill on order. `freed` is what a technician waits for who stands at a busy kiosk."""

    def __init__(self, env: simpy.Environment) -> None:
        self.hurried = env.event()
        self.freed: simpy.Event | None = None


class Kiosks:
    """All kiosks of one kind of a centre."""

    def __init__(self, site: Site, kind: str, devices: list[Device], p: CentreParameters, support: Support) -> None:
        self.kind = kind
        self._site, self._env, self._p, self._support = site, site.env, p, support
        self._modes = modes(p)
        self.slots = simpy.PriorityResource(site.env, capacity=len(devices))
        self.kiosks: list[Kiosk] = []
        self.idle: deque[Kiosk] = deque()
        for device in devices:
            kiosk = self._install(device)
            self.kiosks.append(kiosk)
            self.idle.append(kiosk)
            device.commands["restart"] = self._obeying(self.restart, kiosk)
            device.commands["dispatch"] = self._obeying(self.dispatch, kiosk)
            device.commands["refill"] = self._obeying(self.refill, kiosk)
            site.env.process(self._fail(kiosk, site.stream(f"{device.id} failures")))
            if p.maintenance_every_d:
                site.env.process(self._maintain(kiosk, site.stream(f"{device.id} maintenance")))

    def _install(self, device: Device) -> Kiosk:
        """A kiosk as it stands on any day: with some of everything left."""
        p, draws = self._p, self._site.stream(f"{device.id} supplies")

        def supply(per_full: int) -> Supply:
            return Supply(per_full, draws.uniform(p.refill_below_pct, 100))

        paper, toner, blanks = supply(p.sheets_per_roll), supply(p.pages_per_toner), supply(p.blanks_per_box)
        return Kiosk(
            device,
            paper,
            toner if self.kind not in NEEDS_NO_TONER else None,
            blanks if self.kind in MAKES_CARDS else None,
        )

    # -- for customers -------------------------------------------------------------------------

    def begin(self, session: simpy.Process | None) -> Kiosk:
        """The kiosk for a customer who holds a slot: the one that has been idle longest."""
        kiosk = self.idle.popleft()
        kiosk.session = session
        kiosk.become(BUSY)
        return kiosk

    def end(self, kiosk: Kiosk, sheets: int, cards: int, draws: Stream) -> None:
        """The session is over; the customer gives the slot back next. A jam, a refill or an empty tray keeps it."""
        kiosk.session = None
        kiosk.use(sheets, cards)
        if kiosk.runs_low(self._p.refill_below_pct) and kiosk.refill is None:
            self._order_refill(kiosk, draws.exponential(self._p.refill_after_h * HOUR_S))
        if sheets and draws.chance(self._p.jam_per_session):
            self._break(kiosk, "paper_jam", draws.lognormal_mean_cv(self._p.jam_mttr_h * HOUR_S, _JAM_REPAIR_CV), draws)
        elif kiosk.is_out_of_something or (kiosk.refill is not None and kiosk.refill.freed is not None):
            self._make_way(kiosk)
            self.take_out(kiosk, MAINTENANCE, "none", kiosk.stocked)
        else:
            self._offer(kiosk)

    def abandon(self, kiosk: Kiosk) -> None:
        """The customer left in the middle of it; the kiosk is as good as before."""
        kiosk.session = None
        self._offer(kiosk)
        self._make_way(kiosk)

    def _offer(self, kiosk: Kiosk) -> None:
        kiosk.become(IDLE)
        self.idle.append(kiosk)

    # -- out of order --------------------------------------------------------------------------

    def take_out(self, kiosk: Kiosk, state: int, fault: str, over: simpy.Event) -> None:
        """Keep a kiosk from serving until `over` happens, and it has something to print on."""
        if kiosk in self.idle:
            self.idle.remove(kiosk)
        slot = self.slots.request(priority=REPAIRER)
        kiosk.become(state, fault)
        self._env.process(self._until(over, kiosk, slot))

    def _until(self, over: simpy.Event, kiosk: Kiosk, slot: Any) -> Process:
        yield over
        while kiosk.is_out_of_something:
            kiosk.become(MAINTENANCE)
            yield kiosk.stocked
        self._offer(kiosk)
        self.slots.release(slot)

    def _fail(self, kiosk: Kiosk, draws: Stream) -> Process:
        """Failures of a kiosk for ever; some begin in the middle of one."""
        for mode in self._modes:
            if kiosk.state == IDLE and draws.chance(self._share_of_time(mode)):
                self._fail_in(mode, kiosk, draws)
        weights = [1 / mode.mtbf_h for mode in self._modes]
        mtbf_s = HOUR_S / sum(weights)
        while True:
            yield self._env.timeout(draws.exponential(mtbf_s))
            mode = draws.choice(self._modes, weights)
            if kiosk.state in {IDLE, BUSY}:
                self._fail_in(mode, kiosk, draws)

    def _share_of_time(self, mode: Mode) -> float:
        """How much of the time a kiosk is out of order so, waiting for a technician's way apart."""
        down_h = mode.mttr_h
        if self._support.technicians is not None and mode.fault not in CURED_BY_ITSELF:
            down_h += self._p.notice_after_h
        return down_h / (mode.mtbf_h + down_h)

    def _fail_in(self, mode: Mode, kiosk: Kiosk, draws: Stream) -> None:
        session, kiosk.session = kiosk.session, None
        self._break(kiosk, mode.fault, draws.exponential(mode.mttr_h * HOUR_S), draws)
        self._make_way(kiosk)
        if session is not None:
            session.interrupt(mode.fault)

    def _break(self, kiosk: Kiosk, fault: str, work_s: float, draws: Stream) -> None:
        event = self._site.begins("kiosk_fault", kiosk=kiosk.device.id, fault=fault)
        kiosk.called, kiosk.restarted = self._env.event(), self._env.event()
        notice_s = draws.exponential(self._p.notice_after_h * HOUR_S)
        self.take_out(kiosk, FAULT, fault, self._env.process(self._mend(kiosk, fault, event, notice_s, work_s)))

    def _mend(self, kiosk: Kiosk, fault: str, event: str, notice_s: float, work_s: float) -> Process:
        """A fault, until a technician, a restart or time has cured it."""
        began_s = self._env.now
        repair = self._env.process(self._repair(kiosk, fault, notice_s, work_s))
        yield repair | kiosk.restarted
        by = "itself" if fault in CURED_BY_ITSELF else "technician"
        if repair.is_alive:
            repair.interrupt()
            by = "restart"
        lasted_s = round(self._env.now - began_s, 1)
        self._site.ends("kiosk_fault", event, kiosk=kiosk.device.id, fault=fault, by=by, lasted_s=lasted_s)

    def _repair(self, kiosk: Kiosk, fault: str, notice_s: float, work_s: float) -> Process:
        """Somebody notices and calls a technician, who comes and works; interrupted when nothing is left to do."""
        technician = None
        try:
            if fault not in CURED_BY_ITSELF and self._support.technicians is not None:
                yield self._env.timeout(notice_s) | kiosk.called
                technician = yield from self._support.send_technician(self._site, "repair kiosk", REPAIR)
            yield self._env.timeout(work_s)
        except simpy.Interrupt:
            pass
        finally:
            self._support.release(technician)

    def _maintain(self, kiosk: Kiosk, draws: Stream) -> Process:
        """Planned maintenance from afar, every so many nights; a kiosk in use is left for the next night."""
        p = self._p
        wait_d = draws.uniform(0, p.maintenance_every_d)
        while True:
            yield self._env.timeout(wait_d * DAY_S)
            hour = draws.uniform(*_NIGHT_H)
            yield self._env.timeout((hour * HOUR_S - self._site.town.local_s()) % DAY_S)
            wait_d = 0.5
            if kiosk.state == IDLE:
                self.take_out(kiosk, MAINTENANCE, "none", self._env.timeout(p.maintenance_s))
                wait_d = max(p.maintenance_every_d - 0.5, 0.5)

    # -- supplies ------------------------------------------------------------------------------

    def _order_refill(self, kiosk: Kiosk, after_s: float) -> None:
        kiosk.refill = Refill(self._env)
        self._env.process(self._bring(kiosk, kiosk.refill, after_s))

    def _bring(self, kiosk: Kiosk, refill: Refill, after_s: float) -> Process:
        """A technician brings everything the kiosk uses, waits for the end of a session, and fills it."""
        yield self._env.timeout(after_s) | refill.hurried
        technician = yield from self._support.send_technician(self._site, "refill kiosk", REFILL)
        if kiosk.state == BUSY:
            refill.freed = self._env.event()
            yield refill.freed
        if kiosk.state == IDLE:
            self.take_out(kiosk, MAINTENANCE, "none", kiosk.stocked)
        yield self._env.timeout(_REFILL_S)
        kiosk.refill = None
        kiosk.fill()
        self._support.release(technician)

    @staticmethod
    def _make_way(kiosk: Kiosk) -> None:
        """Let a technician at the kiosk begin to refill it."""
        if kiosk.refill is not None and kiosk.refill.freed is not None and not kiosk.refill.freed.triggered:
            kiosk.refill.freed.succeed()

    # -- commands ------------------------------------------------------------------------------

    @staticmethod
    def _obeying(act: Callable[[Kiosk], None], kiosk: Kiosk) -> CommandHandler:
        return lambda _: act(kiosk)

    def restart(self, kiosk: Kiosk) -> None:
        """The command `restart`: out of order for a while, cured of what a restart cures."""
        name = kiosk.device.id
        if kiosk.state == BUSY:
            raise Refused(f"{name} is serving a customer; restart it when it is idle", "kiosk_busy", device=name)
        if kiosk.state == MAINTENANCE:
            raise Refused(f"{name} is in maintenance already", "kiosk_in_maintenance", device=name)
        if kiosk.state == FAULT and kiosk.fault not in CURED_BY_RESTART:
            passes = kiosk.fault in CURED_BY_ITSELF
            cure = "it passes by itself" if passes else "dispatch a technician"
            code = "passes_by_itself" if passes else "needs_technician"
            raise Refused(f"a restart does not cure {_spoken(kiosk.fault)}; {cure}", code, fault=kiosk.fault)
        over = self._env.timeout(self._p.restart_s)
        if kiosk.state == IDLE:
            self.take_out(kiosk, MAINTENANCE, "none", over)
            return
        kiosk.become(MAINTENANCE, kiosk.fault)
        self._env.process(_happen(kiosk.restarted, after=over))

    def dispatch(self, kiosk: Kiosk) -> None:
        """The command `dispatch`: a technician is called now, rather than when somebody notices."""
        name = kiosk.device.id
        if kiosk.fault == "none":
            raise Refused(f"{name} is not out of order", "not_in_fault", device=name)
        if kiosk.fault in CURED_BY_ITSELF:
            sentence = f"a technician does not cure {_spoken(kiosk.fault)}; it passes by itself"
            raise Refused(sentence, "passes_by_itself", fault=kiosk.fault)
        if self._support.technicians is None:
            raise Refused("there are no technicians in this town", "no_technicians")
        if kiosk.called.triggered:
            raise Refused(f"a technician was sent to {name} already", "technician_sent", device=name)
        kiosk.called.succeed()

    def refill(self, kiosk: Kiosk) -> None:
        """The command `refill`: it is brought now, ordered before or not."""
        if kiosk.refill is None:
            self._order_refill(kiosk, 0.0)
        elif kiosk.refill.hurried.triggered:
            name = kiosk.device.id
            raise Refused(f"a refill is on its way to {name} already", "refill_sent", device=name)
        assert kiosk.refill is not None
        kiosk.refill.hurried.succeed()


def _spoken(fault: str) -> str:
    return fault.replace("_", " ")


def _happen(event: simpy.Event, after: simpy.Event) -> Process:
    yield after
    event.succeed()
