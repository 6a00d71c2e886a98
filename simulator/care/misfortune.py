"""All that may befall a home, and what somebody who comes there finds and can do.

Read `fate` (chance and truth) first, then one theme at a time: `falls`, `illness`, `wandering`, `household` (smoke and
water), `false_alarms`. None of them tells anybody: sensors show what they show, and the truth ledger keeps the rest.
Help (`simulator.help`) comes only when it is sent from outside; where nobody is sent, family, neighbours and passers-by
settle things in the end, after the assumed times of the parameters. That is so in a run's history, and live as well.
"""

from collections.abc import Mapping
from typing import Any

from simulator.care.falls import Falls
from simulator.care.false_alarms import FalseAlarms
from simulator.care.fate import Fate
from simulator.care.home import Home
from simulator.care.household import Household
from simulator.care.illness import Illness
from simulator.care.life import Life
from simulator.care.wandering import Wandering

_MOST_TRAVEL_S = 86_400.0


class Misfortune:
    """What befalls one home."""

    def __init__(self, home: Home, life: Life, boost: float) -> None:
        self.home, self.life = home, life
        fate = Fate(home, life, boost)
        self.falls = Falls(fate)
        self.illness = Illness(fate)
        self.wandering = Wandering(fate)
        self.household = Household(fate)
        self.false_alarms = FalseAlarms(fate, self.falls)
        fate.notes(
            "resident",
            sex=life.resident.sex,
            age=life.resident.age,
            lives_alone=life.resident.lives_alone,
            frail=life.resident.is_frail,
            conditions=list(life.resident.conditions),
            falls_per_year=round(self.falls.per_year, 4),
            boost=boost,
        )
        home.site.gateway.commands["visit"] = self.visit
        self._fate = fate

    def visit(self, args: Mapping[str, Any]) -> str | None:
        """The command `visit`: somebody sets out for this home and arrives after `after_s`, or the usual way."""
        after_s = args.get("after_s", self.home.parameters.visit_travel_s)
        if isinstance(after_s, bool) or not isinstance(after_s, int | float) or not 0 <= after_s <= _MOST_TRAVEL_S:
            return f"after_s must be seconds from 0 to {_MOST_TRAVEL_S:g}"
        self._fate.later(float(after_s), self._arrive)
        return None

    def _arrive(self) -> None:
        """The visitor is at the door; truth notes what the visit was good for."""
        found = "fallen" if self.falls.is_lying else "nobody" if self.life.is_out else "well"
        self.falls.help_up("visit")
        self._fate.notes("visit", found=found)
        self.home.open_door()
        self.home.infrared["hallway"].trigger()
