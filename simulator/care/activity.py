"""What people do at home by day: each activity has a room, a length, and hours that are its own.

An activity is more than its room: who cooks fetches something from the lounge, who rests goes to see who is at the
door. So an activity *holds* to its room with some strength, and steps into others as people in the recorded homes did
(`rhythm`). Its rooms decide which sensors see it, its uses (`walker`) what water and power it takes.

Rooms by the hour are fitted to recorded homes; which activity it is among those of a room, how long it takes and how
strongly it holds is assumed, for the recordings know no activities.
"""

from dataclasses import dataclass
from typing import Final

from simulator.care import body

_BREAKFAST, _LUNCH, _DINNER = (7, 8, 9), (12, 13), (17, 18, 19)
_MEALS = _BREAKFAST + _LUNCH + _DINNER
_MORNING_AND_EVENING = (6, 7, 8, 9, 20, 21, 22)


@dataclass(frozen=True)
class Activity:
    """One thing that people do. Lengths are lognormal with CV 0.8."""

    name: str
    room: str
    mean_s: float
    holds: float
    """How much likelier than elsewhere the next movement is in the activity's room."""
    lively: float
    """How fast movements follow each other, against others."""
    pulse_rise_bpm: float
    weight: float
    """How often it is done among those of its room."""
    hours: tuple[int, ...] = ()
    """Hours at which it is done `hours_factor` times as often."""
    hours_factor: float = 1.0
    then: str = ""
    """What mostly follows."""

    def weight_at(self, hour: int) -> float:
        """How often it is done at this hour, among those of its room."""
        return self.weight * (self.hours_factor if hour in self.hours else 1.0)


DRESS = Activity("dress", "bedroom", 420, 2.0, 1.0, 4.0, 1.0, _MORNING_AND_EVENING, 2.0)
TIDY = Activity("tidy", "bedroom", 600, 1.5, 1.0, body.BUSY, 1.0)
TOILET = Activity("toilet", "bathroom", 240, 2.5, 1.0, 5.0, 1.0)
WASH = Activity("wash", "bathroom", 480, 3.0, 0.8, 6.0, 0.2, _MORNING_AND_EVENING, 3.0)
COOK = Activity("cook", "kitchen", 1_200, 2.5, 1.2, body.BUSY, 0.05, _MEALS, 16.0, then="eat")
SNACK = Activity("snack", "kitchen", 240, 2.0, 1.0, 4.0, 1.0)
DISHES = Activity("dishes", "kitchen", 420, 3.0, 1.2, body.BUSY, 0.1)
LAUNDRY = Activity("laundry", "kitchen", 300, 1.5, 1.2, body.BUSY, 0.03)
MEDICINE = Activity("medicine", "kitchen", 90, 3.0, 1.0, 4.0, 0.0)
EAT = Activity("eat", "lounge", 1_200, 2.0, 0.4, 2.0, 0.1, _MEALS, 3.0, then="dishes")
REST = Activity("rest", "lounge", 2_700, 2.5, 0.06, body.AT_REST, 1.0)
POTTER = Activity("potter", "hallway", 240, 1.5, 1.2, 4.0, 1.0)
CHORES = Activity("chores", "hallway", 900, 0.8, 1.5, body.BUSY, 0.3, (9, 10, 11, 14, 15, 16), 2.0)

ACTIVITIES: Final = (DRESS, TIDY, TOILET, WASH, COOK, SNACK, DISHES, LAUNDRY, EAT, REST, POTTER, CHORES)
BY_NAME: Final = {activity.name: activity for activity in (*ACTIVITIES, MEDICINE)}
LENGTH_CV: Final = 0.8
FOLLOWS_SHARE: Final = 0.8
"""How often an activity is followed by what it leads to."""
