"""A kiosk: serving, breaking, being repaired, running out of paper.

The kiosks of a kind are one SimPy resource with a slot for each. Whoever holds a slot has a kiosk: a customer, or
whatever keeps the kiosk from working. A kiosk that fails takes its slot before the customers who wait, so it must be
idle or be given up at that very moment; `Kiosks.take_out` is only called then.

Card readers fail, screens freeze, the network goes: mean time between failures, mean time to repair. Paper jams come
with sessions. A restart cures a card reader and a frozen screen.
"""

from collections import deque
from collections.abc import Generator
from typing import Any

import simpy

from haina.contract.centre import KIOSK_STATE
from simulator.centres.parameters import CentreParameters
from simulator.town import CommandHandler, Device, Site

Process = Generator[Any, Any, None]

IDLE, BUSY, FAULT, MAINTENANCE = 0, 1, 2, 3
HOUR_S = 3_600
CURED_BY_RESTART = frozenset({"card_reader", "frozen_screen"})
_FAULTS, _FAULT_WEIGHTS = ("card_reader", "frozen_screen", "network"), (0.3, 0.4, 0.3)  # assumed
_JAM_REPAIR_CV = 0.8
_REFILL_S = 300.0  # assumed
REPAIRER, RETURNING, CUSTOMER = -1, 0, 1  # who gets a slot first


class Kiosk:
    """One kiosk and what it says of itself."""

    def __init__(self, device: Device, paper_pct: float) -> None:
        self.device = device
        self.state = IDLE
        self.fault = "none"
        self.paper_pct = paper_pct
        self.session: simpy.Process | None = None  # of the customer who is served now
        self.refill_ordered = self.refill_is_here = False
        self.repaired: simpy.Event | None = None

    def say_state(self) -> None:
        self.device.send(KIOSK_STATE, {"state": self.state, "fault": self.fault, "paper_pct": round(self.paper_pct, 1)})

    def become(self, state: int, fault: str = "none") -> None:
        self.state, self.fault = state, fault
        self.say_state()


class Kiosks:
    """All kiosks of one kind of a centre."""

    def __init__(self, site: Site, kind: str, devices: list[Device], p: CentreParameters) -> None:
        self.kind = kind
        self._site, self._env, self._p = site, site.env, p
        self.slots = simpy.PriorityResource(site.env, capacity=len(devices))
        self.kiosks: list[Kiosk] = []
        self.idle: deque[Kiosk] = deque()
        for device in devices:
            draws = site.stream(f"{device.id} failures")
            kiosk = Kiosk(device, draws.uniform(p.refill_below_pct, 100))
            self.kiosks.append(kiosk)
            self.idle.append(kiosk)
            device.commands["restart"] = self._restarter(kiosk)
            site.env.process(self._fail(kiosk, draws))

    # -- for customers -------------------------------------------------------------------------

    def begin(self, session: simpy.Process | None) -> Kiosk:
        """The kiosk for a customer who holds a slot: the one that has been idle longest."""
        kiosk = self.idle.popleft()
        kiosk.session = session
        kiosk.become(BUSY)
        return kiosk

    def end(self, kiosk: Kiosk, sheets: int, jams: bool, draws: Any) -> None:
        """The session is over; the customer gives the slot back next. A jam or an empty tray keeps it."""
        kiosk.session = None
        kiosk.paper_pct = max(kiosk.paper_pct - 100 * sheets / self._p.sheets_per_roll, 0.0)
        if kiosk.paper_pct < self._p.refill_below_pct and not kiosk.refill_ordered:
            kiosk.refill_ordered = True
            after_s = draws.exponential(self._p.refill_after_h * HOUR_S)
            self._env.timeout(after_s).callbacks.append(lambda _: self._bring_paper(kiosk))
        if jams:
            self.take_out(kiosk, FAULT, "paper_jam", draws.lognormal_mean_cv(self._p.mttr_h * HOUR_S, _JAM_REPAIR_CV))
        elif kiosk.refill_is_here:
            self._refill(kiosk)
        elif kiosk.paper_pct <= 0:
            self.take_out(kiosk, MAINTENANCE, "none", None)
        else:
            kiosk.become(IDLE)
            self.idle.append(kiosk)

    # -- out of order --------------------------------------------------------------------------

    def take_out(self, kiosk: Kiosk, state: int, fault: str, length_s: float | None) -> None:
        """Keep a kiosk from serving for so long, or until `kiosk.repaired` happens."""
        if kiosk in self.idle:
            self.idle.remove(kiosk)
        kiosk.repaired = self._env.event()
        slot = self.slots.request(priority=REPAIRER)
        kiosk.become(state, fault)
        if fault != "none":
            self._site.town.truth.record("kiosk_fault", self._site, kiosk=kiosk.device.id, fault=fault)
        self._env.process(self._until_repaired(kiosk, slot, fault, length_s))

    def _until_repaired(self, kiosk: Kiosk, slot: Any, fault: str, length_s: float | None) -> Process:
        assert kiosk.repaired is not None
        began_s = self._env.now
        yield kiosk.repaired if length_s is None else self._env.timeout(length_s) | kiosk.repaired
        if fault != "none":
            self._site.town.truth.record(
                "kiosk_repaired",
                self._site,
                kiosk=kiosk.device.id,
                fault=fault,
                by="restart" if kiosk.repaired.triggered else "technician",
                lasted_s=round(self._env.now - began_s, 1),
            )
        kiosk.repaired = None
        if kiosk.refill_is_here:
            self._fill(kiosk)
        kiosk.become(IDLE)
        self.idle.append(kiosk)
        self.slots.release(slot)

    def _fail(self, kiosk: Kiosk, draws: Any) -> Process:
        """Failures of a kiosk for ever; some begin in the middle of one."""
        p = self._p
        if draws.chance(p.mttr_h / (p.mtbf_h + p.mttr_h)):
            self._break(kiosk, draws)
        while True:
            yield self._env.timeout(draws.exponential(p.mtbf_h * HOUR_S))
            if kiosk.state in {IDLE, BUSY}:
                self._break(kiosk, draws)

    def _break(self, kiosk: Kiosk, draws: Any) -> None:
        fault = draws.choice(_FAULTS, _FAULT_WEIGHTS)
        session, kiosk.session = kiosk.session, None
        self.take_out(kiosk, FAULT, fault, draws.exponential(self._p.mttr_h * HOUR_S))
        if session is not None:
            session.interrupt(fault)

    # -- paper ---------------------------------------------------------------------------------

    def _bring_paper(self, kiosk: Kiosk) -> None:
        kiosk.refill_is_here = True
        if kiosk.state == IDLE:
            self._refill(kiosk)
        elif kiosk.state == MAINTENANCE and kiosk.paper_pct <= 0 and kiosk.repaired is not None:
            self._env.timeout(_REFILL_S).callbacks.append(lambda _: _happen(kiosk.repaired))

    def _refill(self, kiosk: Kiosk) -> None:
        self.take_out(kiosk, MAINTENANCE, "none", _REFILL_S)

    def _fill(self, kiosk: Kiosk) -> None:
        kiosk.refill_ordered = kiosk.refill_is_here = False
        kiosk.paper_pct = 100.0

    # -- the command ---------------------------------------------------------------------------

    def _restarter(self, kiosk: Kiosk) -> CommandHandler:
        return lambda _: self.restart(kiosk)

    def restart(self, kiosk: Kiosk) -> str | None:
        """The command `restart`: out of order for a while, cured of what a restart cures."""
        name = kiosk.device.id
        if kiosk.state == BUSY:
            return f"{name} is serving a customer; restart it when it is idle"
        if kiosk.state == MAINTENANCE:
            return f"{name} is in maintenance already"
        if kiosk.state == FAULT and kiosk.fault not in CURED_BY_RESTART:
            return f"a restart does not cure {kiosk.fault.replace('_', ' ')}; a technician is on the way"
        if kiosk.state == IDLE:
            self.take_out(kiosk, MAINTENANCE, "none", self._p.restart_s)
            return None
        kiosk.become(MAINTENANCE, kiosk.fault)
        repaired = kiosk.repaired
        self._env.timeout(self._p.restart_s).callbacks.append(lambda _: _happen(repaired))
        return None


def _happen(event: simpy.Event | None) -> None:
    if event is not None and not event.triggered:
        event.succeed()
