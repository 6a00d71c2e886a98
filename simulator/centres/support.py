"""What the centres of a town share: remote operators, technicians, and each other.

*Operators* help by video from one desk. A session that needs one waits for whoever is free, first come, first served,
so help queues when many centres are busy at once. *Technicians* travel on the town's map from one base to repair and
refill kiosks. And who was turned away at one centre may try the *nearest other* one.

So one more centre can delay a call or a repair at another: that is what sharing means. What each visitor, kiosk and
centre draws stays its own all the same. Without operators help is at hand at once, without technicians repairs take no
travel: so it is for a centre that stands alone, and in a town whose parameters share nothing.
"""

import math
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import simpy

from haina.contract.centre import OPERATOR_DESK
from haina.zone import Position, distance_m
from simulator.application import found
from simulator.centres.parameters import CentreParameters
from simulator.crew import Crew, Member
from simulator.randomness import Stream
from simulator.town import Device, Site, Town

if TYPE_CHECKING:
    from simulator.centres.centre import Centre

BASE = "o01"
"""The id of the site where operators sit and technicians start."""

_MINUTE_S = 60
REPAIR, REFILL = 0, 1  # the more urgent errand first


class Support:
    """The desk and the crew of a town's centres, and the centres in the order in which they opened."""

    def __init__(self, env: simpy.Environment, p: CentreParameters) -> None:
        self._env, self._p = env, p
        self.operators: simpy.PriorityResource | None = None
        self.technicians: Crew | None = None
        self.centres: list[Centre] = []
        self._answered = self._abandoned = 0

    def help(self, draws: Stream, length_s: float) -> Generator[Any, Any, bool]:
        """Wait for an operator and be helped for so long; False when nobody came before patience ended."""
        if self.operators is None:
            yield self._env.timeout(length_s)
            return True
        with self.operators.request() as call:
            yield call | self._env.timeout(draws.weibull(self._p.help_patience_shape, self._p.help_patience_s))
            if not call.triggered:
                self._abandoned += 1
                return False
            self._answered += 1
            yield self._env.timeout(length_s)
        return True

    def send_technician(self, site: Site, errand: str, urgency: int) -> Generator[Any, Any, Member | None]:
        """Wait until a technician has arrived; without a crew nobody comes, and nobody need be waited for."""
        if self.technicians is None:
            return None
        return (yield from self.technicians.send(site, errand=errand, priority=urgency))

    def release(self, technician: Member | None) -> None:
        if technician is not None and self.technicians is not None:
            self.technicians.release(technician)

    def nearest(self, position: Position, kind: str, but: "Centre | None" = None) -> "Centre | None":
        """The nearest centre that has this kind of kiosk, other than `but`."""
        able = [centre for centre in self.centres if centre is not but and kind in centre.pools]
        return min(able, key=lambda centre: distance_m(centre.site.position, position), default=None)

    def seek(self, position: Position, kind: str) -> bool:
        """Let somebody from there go to the nearest centre with such a kiosk now; False when there is none.

        For other models: a founder, say, who needs a business licence.
        """
        centre = self.nearest(position, kind)
        if centre is not None:
            centre.receive(kind)
        return centre is not None

    def keep_reporting(self, desk: Device) -> Generator[Any, Any, None]:
        """Every minute, what the operators' desk says."""
        assert self.operators is not None
        yield self._env.timeout(desk.site.stream("report phase").uniform(0, _MINUTE_S))
        while True:
            desk.send(
                OPERATOR_DESK,
                {
                    "operators": self.operators.capacity,
                    "busy_operators": self.operators.count,
                    "waiting_calls": len(self.operators.queue),
                    "answered_calls": self._answered,
                    "abandoned_calls": self._abandoned,
                },
            )
            self._answered = self._abandoned = 0
            yield self._env.timeout(_MINUTE_S)


def found_support(town: Town, area: str, centres: int, p: CentreParameters) -> Support:
    """The operators' desk and the technicians' crew for so many centres, at one base; each only if it is shared."""
    support = Support(town.env, p)
    if centres and (p.centres_per_operator or p.centres_per_technician):
        base = found(town, area, BASE, "crew")
        if p.centres_per_operator:
            operators = math.ceil(centres / p.centres_per_operator)
            support.operators = simpy.PriorityResource(town.env, operators)  # all alike: first come, first served
            town.env.process(support.keep_reporting(base.device("desk", "video-desk")))
        if p.centres_per_technician:
            members = math.ceil(centres / p.centres_per_technician)
            support.technicians = Crew(
                base, "technician", members, p.technician_m_per_s, turnout_s=p.technician_turnout_s
            )
    return support
