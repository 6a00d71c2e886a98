"""What the model of street governance can be told. A number by kind is a list in the order of `INCIDENT_KINDS`."""

from typing import Annotated

from pydantic import Field, Strict

from haina.contract.governance import INCIDENT_KINDS
from simulator.parameter import ASSUMED, Parameters, parameter

Share = Annotated[float, Field(ge=0, le=1)]
Shares = Annotated[tuple[Share, Share, Share, Share, Share, Share], Strict(False)]
Span = Annotated[float, Field(gt=0, le=10_000)]
Spans = Annotated[tuple[Span, Span, Span, Span, Span, Span], Strict(False)]

_BY_KIND = "(full bin, parking, noise, lift, leak, flooding)"
_GB_3096 = "GB 3096-2008, class 2"


class GovernanceParameters(Parameters):
    """Parameters of every street block and grid station of a scenario."""

    # What goes wrong in a block.
    bins: int = parameter(6, "1", ASSUMED, "Litter bins of a block.", ge=0, le=100)
    lifts: int = parameter(3, "1", ASSUMED, "Lifts of a block.", ge=0, le=100)
    bin_full_h: float = parameter(42.0, "h", ASSUMED, "Mean time in which a bin fills.", gt=1, le=10_000)
    bin_pace_cv: float = parameter(0.35, "1", ASSUMED, "Spread of it between bins (lognormal).", ge=0, le=2)
    bin_fill_cv: float = parameter(0.7, "1", ASSUMED, "CV of what an hour brings (lognormal).", ge=0, le=5)
    bin_missed_share: float = parameter(0.04, "1", ASSUMED, "Morning rounds that leave out a bin.", ge=0, le=1)
    bin_stuck_share: float = parameter(0.04, "1", ASSUMED, "Bins whose sensor says the same for ever.", ge=0, le=1)
    parking_per_day: float = parameter(1.6, "1/(block d)", ASSUMED, "Vehicles that stop in a lane.", ge=0, le=500)
    parking_stay_min: float = parameter(45.0, "min", ASSUMED, "Mean time they stand there.", gt=0, le=10_000)
    camera_sensitivity: float = parameter(0.85, "1", ASSUMED, "Share of them that the camera sees.", ge=0, le=1)
    camera_after_min: float = parameter(5.0, "min", ASSUMED, "Standing time that is reported.", ge=0, le=600)
    camera_false_per_day: float = parameter(0.05, "1/(block d)", ASSUMED, "Vehicles it imagines.", ge=0, le=100)
    noise_per_day: float = parameter(0.35, "1/(block d)", ASSUMED, "Noise that disturbs.", ge=0, le=100)
    noise_mean_min: float = parameter(80.0, "min", ASSUMED, "Mean length of it.", gt=0, le=10_000)
    noise_excess_db: float = parameter(17.0, "dB", ASSUMED, "How much louder the street is meanwhile.", ge=0, le=60)
    day_level_db: float = parameter(53.0, "dB(A)", ASSUMED, "Usual level from 6 to 22 h.", ge=20, le=100)
    night_level_db: float = parameter(43.0, "dB(A)", ASSUMED, "Usual level at night.", ge=20, le=100)
    level_sd_db: float = parameter(2.4, "dB", ASSUMED, "Spread of 5-minute levels.", ge=0, le=20)
    day_limit_db: float = parameter(60.0, "dB(A)", _GB_3096, "What is too loud by day.", ge=30, le=120)
    night_limit_db: float = parameter(50.0, "dB(A)", _GB_3096, "What is too loud at night.", ge=30, le=120)
    lift_mtbf_d: float = parameter(45.0, "d", ASSUMED, "Mean time between a lift's failures.", gt=0, le=100_000)
    lift_sensitivity: float = parameter(0.97, "1", ASSUMED, "Failures that the monitor notices.", ge=0, le=1)
    lift_trips_per_day: float = parameter(180.0, "1/d", ASSUMED, "Trips of a lift.", ge=0, le=1_000)
    leaks_per_year: float = parameter(4.0, "1/(block a)", ASSUMED, "Water pipes that leak.", ge=0, le=10_000)
    flooding_per_rain_h: float = parameter(0.01, "1/(block h)", ASSUMED, "Blocked drains, while it rains.", ge=0, le=10)
    flooding_mean_h: float = parameter(4.0, "h", ASSUMED, "After which water runs off by itself.", gt=0, le=1_000)

    # Residents on the hotline.
    reported_share: Shares = parameter(
        (0.5, 0.08, 0.6, 0.9, 0.9, 0.7), "1", ASSUMED, f"Troubles that some resident would report {_BY_KIND}."
    )
    reported_after_min: Spans = parameter(
        (150.0, 25.0, 20.0, 8.0, 120.0, 25.0), "min", ASSUMED, f"Mean time until one does {_BY_KIND}."
    )
    false_reports_per_day: float = parameter(
        0.06, "1/(block d)", ASSUMED, "Reports of a resident with nothing behind them.", ge=0, le=100
    )

    # The grid station and its crew.
    crew_per_block: float = parameter(0.5, "1", ASSUMED, "Crew members of a station, for each block.", gt=0, le=20)
    crew_m_per_s: float = parameter(4.0, "m/s", "assumed: an electric bicycle", "Speed of the crew.", gt=0, le=30)
    turnout_min: float = parameter(3.0, "min", ASSUMED, "From the assignment to leaving.", ge=0, le=600)
    triage_min: float = parameter(
        6.0,
        "min",
        "assumed; the stand-in for a dispatcher",
        "Mean time until the station assigns an incident by itself, unless told otherwise.",
        gt=0,
        le=10_000,
    )
    work_min: Spans = parameter(
        (14.0, 10.0, 18.0, 55.0, 100.0, 45.0), "min", ASSUMED, f"Mean time of the work {_BY_KIND}."
    )
    work_cv: float = parameter(0.6, "1", ASSUMED, "CV of it (lognormal).", ge=0, le=5)
    look_min: float = parameter(5.0, "min", ASSUMED, "To see that there is nothing, or no longer.", gt=0, le=600)
    reopened_share: float = parameter(0.05, "1", ASSUMED, "Work that turns out not to have helped.", ge=0, le=1)
    reopened_after_h: float = parameter(5.0, "h", ASSUMED, "Mean time until that is seen.", gt=0, le=1_000)
    deadline_h: Spans = parameter((3.0, 1.0, 1.0, 2.0, 12.0, 4.0), "h", ASSUMED, f"From opening to closing {_BY_KIND}.")

    def of(self, name: str, kind: str) -> float:
        """A number by kind of incident."""
        numbers: tuple[float, ...] = getattr(self, name)
        return numbers[INCIDENT_KINDS.index(kind)]
