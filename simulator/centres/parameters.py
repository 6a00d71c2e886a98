"""What the model of an unmanned service centre can be told."""

from typing import Literal

from simulator.parameter import ASSUMED, parameter
from simulator.room import RoomParameters

KioskKind = Literal["household", "social-security", "medical-insurance", "tax", "certificate"]

_CITY_NEWS = "Shanghai city news 2018-2019: 10.46 million cases a year in 220 centres"
_WARSAW = "Warsaw municipal offices, 18 working days (simulator/calibration/targets.yaml)"
_SELF_SERVICE = "assumed, between Antczak & Weron 2019 (self-service) and Brown et al. JASA 2005 (staffed)"


class CentreParameters(RoomParameters):
    """Parameters of every centre of a scenario; an explicit site may set its own demand, kiosks and floor."""

    arrivals_persons_per_day: float = parameter(
        130.0, "persons/day", _CITY_NEWS, "Mean arrivals of an ordinary centre on a weekday.", gt=0, le=20_000
    )
    size_cv: float = parameter(0.45, "1", ASSUMED, "Spread of demand between centres (CV of a lognormal).", ge=0, le=2)
    kiosk_persons_per_day: float = parameter(
        26.0, "persons/day", ASSUMED, "A centre gets one kiosk for each of these daily arrivals.", gt=0, le=1_000
    )
    least_kiosks: int = parameter(3, "kiosks", ASSUMED, "The smallest centre has this many.", ge=1, le=40)
    most_kiosks: int = parameter(12, "kiosks", ASSUMED, "The largest centre has this many.", ge=1, le=40)
    monday_factor: float = parameter(
        1.6,
        "1",
        f"{_WARSAW}; for breaks other than weekends {ASSUMED}",
        "Arrivals of Mondays, and of other working days after two free ones, against plain working days.",
        gt=0,
        le=10,
    )
    weekend_factor: float = parameter(0.55, "1", ASSUMED, "A weekend day's arrivals against a weekday's.", ge=0, le=10)
    holiday_factor: float = parameter(0.35, "1", ASSUMED, "The same of a public holiday.", ge=0, le=10)
    working_calendar: bool = parameter(
        True, "1", "State Council, by the library `holidays`", "Whether holidays and moved working days are kept."
    )
    day_cv: float = parameter(0.13, "1", _WARSAW, "Day-to-day spread of demand (CV of a gamma factor).", ge=0, le=2)
    hour_cv: float = parameter(
        0.35,
        "1",
        f"{_WARSAW}: hourly variance is 3.6 times the mean",
        "Hour-to-hour spread of demand around the profile (CV of a gamma factor).",
        ge=0,
        le=2,
    )
    over_75_share: float = parameter(0.12, "1", ASSUMED, "Share of visitors older than 75.", ge=0, le=1)
    service_mean_s: float = parameter(
        195.0, "s", _SELF_SERVICE, "Mean time at a kiosk, averaged over services.", gt=0, le=7_200
    )
    service_cv: float = parameter(0.8, "1", _SELF_SERVICE, "CV of the lognormal time at a kiosk.", ge=0, le=5)
    over_75_slower: float = parameter(1.6, "1", ASSUMED, "How much longer people over 75 take.", ge=1, le=10)
    patience_mean_s: float = parameter(
        1_200.0, "s", "assumed; 389 s by telephone (Technion 1999)", "Mean patience in the queue.", gt=0, le=86_400
    )
    balk_at_persons: int = parameter(
        4, "persons", ASSUMED, "With so many waiting per kiosk of the kind, an arrival turns round.", ge=0, le=1_000
    )
    assisted_share: float = parameter(0.08, "1", ASSUMED, "Sessions that need remote help.", ge=0, le=1)
    assisted_share_over_75: float = parameter(0.25, "1", ASSUMED, "The same over 75.", ge=0, le=1)
    assisted_slower: float = parameter(1.4, "1", ASSUMED, "How much longer an assisted session takes.", ge=1, le=10)
    failed_share: float = parameter(
        0.03, "1", ASSUMED, "Sessions that end without a result, although the kiosk works.", ge=0, le=1
    )
    mtbf_h: float = parameter(
        120.0, "h", ASSUMED, "Mean time between a kiosk's failures, paper jams apart.", gt=0, le=100_000
    )
    mttr_h: float = parameter(2.0, "h", ASSUMED, "Mean time until a technician has repaired it.", gt=0, le=1_000)
    jam_per_session: float = parameter(1 / 300, "1", ASSUMED, "Chance of a paper jam in a session.", ge=0, le=1)
    restart_s: float = parameter(90.0, "s", ASSUMED, "How long a restart takes.", gt=0, le=3_600)
    return_to_queue: float = parameter(
        0.7, "1", ASSUMED, "Share of customers of a failing kiosk who wait on, first in the queue.", ge=0, le=1
    )
    sheets_per_roll: int = parameter(1_200, "sheets", ASSUMED, "Paper in a full kiosk.", ge=1, le=100_000)
    refill_below_pct: float = parameter(10.0, "%", ASSUMED, "Paper level at which a refill is ordered.", ge=0, le=99)
    refill_after_h: float = parameter(6.0, "h", ASSUMED, "Mean time from the order to the refill.", gt=0, le=1_000)
    stay_before_s: float = parameter(
        25.0, "s", "assumed: card or code, then a face check", "From the gate to the ticket.", ge=0, le=600
    )
    stay_after_s: float = parameter(40.0, "s", ASSUMED, "Mean time from the kiosk to the gate.", ge=0, le=3_600)
    floor_area_m2: float = parameter(
        60.0, "m²", ASSUMED, "Floor of a five-kiosk centre; grows with kiosks.", gt=0, le=10_000
    )
    base_w: float = parameter(450.0, "W", ASSUMED, "Light, gate, network and cameras.", ge=0, le=100_000)
    kiosk_idle_w: float = parameter(90.0, "W", ASSUMED, "A kiosk that waits.", ge=0, le=10_000)
    kiosk_busy_w: float = parameter(60.0, "W", ASSUMED, "What a busy kiosk draws on top.", ge=0, le=10_000)
