"""All that may befall a home, and what somebody who comes there finds and can do.

Read `fate` (chance and truth) first, then one theme at a time: `falls`, `illness`, `wandering`, `household` (smoke and
water), `false_alarms`. None of them tells anybody: sensors show what they show, and the truth ledger keeps the rest.
Help (`simulator.help`) comes only when it is sent from outside; where nobody is sent, family, neighbours and passers-by
settle things in the end, after the assumed times of the parameters. That is so in a run's history, and live as well.
"""

from simulator.care.falls import Falls, draw_hospital_s
from simulator.care.false_alarms import FalseAlarms
from simulator.care.fate import Fate
from simulator.care.home import Home
from simulator.care.household import Household
from simulator.care.illness import Illness
from simulator.care.life import Life
from simulator.care.wandering import Wandering


class Misfortune:
    """What befalls one home."""

    def __init__(self, home: Home, life: Life, boost: float) -> None:
        self.home, self.life = home, life
        self._hospital = home.site.stream("hospital")
        fate = Fate(home, life, boost)
        self.falls = Falls(fate)
        self.illness = Illness(fate)
        self.wandering = Wandering(fate)
        self.household = Household(fate)
        self.false_alarms = FalseAlarms(fate, self.falls)
        home.site.town.truth.record(
            "resident",
            home.site,
            sex=life.resident.sex,
            age=life.resident.age,
            lives_alone=life.resident.lives_alone,
            frail=life.resident.is_frail,
            conditions=list(life.resident.conditions),
            falls_per_year=round(self.falls.per_year, 4),
            boost=boost,
        )

    def take_to_hospital(self) -> None:
        """An ambulance takes the resident to hospital, for days; nothing happens to one who is not at home."""
        if self.falls.is_hurt:
            self.falls.fetch()
        else:
            length_s, cause = draw_hospital_s(self._hospital), self.illness.event
            self.life.turn_to(self.life.be_in_hospital(length_s, by="ambulance", cause=cause))


class Misfortunes(dict[str, Misfortune]):
    """Those of all homes, by site."""
