"""The Chinese working calendar, and what it does to the demand for services."""

from datetime import date

import pytest

from simulator.centres.arrivals import Demand
from simulator.centres.parameters import CentreParameters
from simulator.town import DAY_S, Town
from simulator.truth import NoTruth
from simulator.workdays import EPOCH, Day, day_of, follows_a_break


def days(text: str) -> int:
    return (date.fromisoformat(text) - EPOCH).days


@pytest.mark.parametrize(
    ("day", "kind"),
    [
        ("2026-09-22", Day.WORKING),  # a Tuesday like any other
        ("2026-09-26", Day.WEEKEND),
        ("2026-10-01", Day.HOLIDAY),  # National Day, a Thursday
        ("2026-10-07", Day.HOLIDAY),  # a Wednesday, paid for by Saturday the 10th
        ("2026-10-10", Day.WORKING),
        ("2026-09-20", Day.WORKING),  # a Sunday
        ("2026-02-17", Day.HOLIDAY),  # Spring Festival
        ("2090-10-02", Day.HOLIDAY),  # not announced yet, but the law says so
        ("2150-10-01", Day.WORKING),  # beyond every table: a Thursday
        ("1940-01-06", Day.WEEKEND),
    ],
)
def test_a_day_is_what_the_state_council_made_of_it(day: str, kind: Day) -> None:
    assert day_of(days(day)) is kind


def test_by_its_weekday_alone_a_moved_day_is_what_the_week_says() -> None:
    assert day_of(days("2026-10-10"), moved=False) is Day.WEEKEND
    assert day_of(days("2026-10-07"), moved=False) is Day.WORKING


def test_mondays_follow_a_break_and_so_does_the_first_day_after_a_long_holiday() -> None:
    assert follows_a_break(days("2026-09-28"))
    assert follows_a_break(days("2026-10-08"))  # a Thursday
    assert not follows_a_break(days("2026-09-20"))  # a Sunday made a working day, after one free Saturday
    assert not follows_a_break(days("2026-09-21"))  # the Monday after it
    assert not follows_a_break(days("2026-10-05"))  # a Monday within the holiday


def persons_on(day: str, **parameters: float) -> float:
    """Expected arrivals of a day at a centre that 1,000 people come to on a plain working day."""
    p = CentreParameters(day_cv=0.0, hour_cv=0.0, **parameters)
    town = Town(seed=1, start_ms=(days(day) * DAY_S - 8 * 3_600) * 1_000, run="test", boot=1, truth=NoTruth())
    demand = Demand(town.site("a01", "c01", "centre", (121.4, 31.25)), 1_000.0, p)
    return sum(demand.rate_per_s(minute * 60.0 + 30) * 60 for minute in range(1_440))


def test_a_holiday_is_quiet_a_moved_working_day_is_like_any_other_and_the_day_after_a_break_is_busy() -> None:
    p = CentreParameters()
    assert persons_on("2026-09-22") == pytest.approx(1_000, rel=0.001)
    assert persons_on("2026-10-01") == pytest.approx(1_000 * p.holiday_factor, rel=0.001)
    assert persons_on("2026-10-10") == pytest.approx(1_000, rel=0.001)
    assert persons_on("2026-10-08") == pytest.approx(1_000 * p.monday_factor, rel=0.001)
    assert persons_on("2026-10-17") == pytest.approx(1_000 * p.weekend_factor, rel=0.001)
    assert persons_on("2026-10-01", working_calendar=False) == pytest.approx(1_000, rel=0.001)
