"""The smart gate: one person at a time shows a card or a code, and then a face.

A reading may go wrong and be repeated; some people the gate will not know however often they try. Who has tried
often enough is turned away. Companions are checked as well: they pass or wait outside.
"""

from collections.abc import Generator
from typing import Any

import simpy

from haina.contract.centre import GATE_CHECK
from simulator.centres.parameters import CentreParameters
from simulator.centres.visitor import Visitor
from simulator.randomness import Stream
from simulator.town import Site

_CHECK_CV = 0.4  # assumed


class Gate:
    """The gate of a centre."""

    def __init__(self, site: Site, p: CentreParameters) -> None:
        self._site, self._env, self._p = site, site.env, p
        self._device = site.device("gate", "smart-gate")
        self.lane = simpy.PriorityResource(site.env, capacity=1)  # all alike: first come, first served

    def admit(self, visitor: Visitor) -> Generator[Any, Any, int]:
        """Check a visitor and then the companions; how many persons came in, 0 when the visitor did not."""
        came_s = self._env.now
        persons = 0
        with self.lane.request() as turn:
            yield turn
            if (yield from self._check(visitor, came_s)):
                persons = 1
                for _ in range(visitor.companions):
                    persons += yield from self._check(visitor, came_s)
        return persons

    def _check(self, visitor: Visitor, came_s: float) -> Generator[Any, Any, bool]:
        draws, p, began_s = visitor.draws, self._p, self._env.now
        shows_card = draws.chance(p.gate_card_share)
        shown_s, misread = (p.gate_card_s, p.gate_card_misread) if shows_card else (p.gate_code_s, p.gate_code_misread)
        is_known = not draws.chance(p.gate_unknown_share)
        tries, passed = 0, False
        while not passed and tries < p.gate_tries:
            tries += 1
            yield self._env.timeout((_time(draws, shown_s) + _time(draws, p.gate_face_s)) * visitor.age.slower)
            misreads = draws.chance(misread) or draws.chance(p.gate_face_misread)
            passed = is_known and not misreads
        self._device.send(
            GATE_CHECK,
            {
                "method": "card" if shows_card else "code",
                "outcome": "passed" if passed else "refused",
                "tries": tries,
                "wait_s": round(min(began_s - came_s, 86_400.0), 1),
                "duration_s": round(min(self._env.now - began_s, 86_400.0), 1),
            },
        )
        return passed


def _time(draws: Stream, mean_s: float) -> float:
    return draws.lognormal_mean_cv(mean_s, _CHECK_CV) if mean_s else 0.0
