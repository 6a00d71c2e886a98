"""The Chinese working calendar: which days people work, rest and celebrate.

The State Council moves working days about: a holiday is lengthened by days off that a weekend before or after pays
for. So a Sunday may be a working day like any other, and a Tuesday may be free. The days come from the library
`holidays`, which is renewed when the next year's calendar is announced, each November.

Until a year is announced its holidays are known (those of the lunar calendar too, up to 2100), its moved days are
not: then every weekend is free, and holidays last as long as the law says. Outside 1950 … 2100 there are weekends only.
"""

from datetime import date, timedelta
from enum import Enum
from functools import lru_cache

import holidays

EPOCH = date(1970, 1, 1)
_SATURDAY = 5
_china = holidays.country_holidays("CN")  # fills in a year when it is first asked of


class Day(Enum):
    """What a day is to the people of a town."""

    WORKING = "working"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"


@lru_cache(maxsize=1_000)
def day_of(local_day: int, *, moved: bool = True) -> Day:
    """What a day is, given as days since 1970-01-01; without `moved`, by its weekday alone."""
    day = EPOCH + timedelta(days=local_day)
    weekend = day.weekday() >= _SATURDAY
    if not moved:
        return Day.WEEKEND if weekend else Day.WORKING
    if _china.is_working_day(day):
        return Day.WORKING
    return Day.HOLIDAY if day in _china else Day.WEEKEND


def follows_a_break(local_day: int, *, moved: bool = True) -> bool:
    """Whether it is a working day after two free ones or more, as Mondays are: what people put off comes up now."""
    return day_of(local_day, moved=moved) is Day.WORKING and all(
        day_of(local_day - ago, moved=moved) is not Day.WORKING for ago in (1, 2)
    )
