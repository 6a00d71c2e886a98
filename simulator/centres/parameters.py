"""What the model of an unmanned service centre can be told."""

from typing import Annotated

from pydantic import Field, Strict

from simulator.parameter import ASSUMED, parameter
from simulator.room import RoomParameters

Profile = Annotated[
    tuple[Annotated[float, Field(ge=0, le=1_000)], ...], Field(min_length=24, max_length=24), Strict(False)
]
# fmt: off
WEEKDAY = (0.3, 0.2, 0.15, 0.15, 0.2, 0.5, 1.2, 3.0, 6.6, 9.8, 9.6, 7.8,
           5.4, 7.2, 8.4, 7.6, 6.2, 4.6, 3.7, 3.9, 4.2, 2.6, 1.3, 0.6)
"""Humps at 09:30, 14:00 and a small one at 20:00."""
WEEKEND = (0.4, 0.3, 0.2, 0.15, 0.2, 0.4, 0.9, 2.0, 4.2, 7.4, 9.2, 8.6,
           6.0, 6.6, 8.4, 8.6, 7.4, 5.6, 4.4, 4.4, 4.6, 3.2, 1.8, 0.8)
# fmt: on

_CITY_NEWS = "Shanghai city news 2018-2019: 10.46 million cases a year in 220 centres"
_WARSAW = "Warsaw municipal offices, 18 working days (simulator/calibration/targets.yaml)"
_SELF_SERVICE = "assumed, between Antczak & Weron 2019 (self-service) and Brown et al. JASA 2005 (staffed)"
_TECHNION = "Technion 1999, waiting for a telephone operator"
_VENDING = "coffee vending logs: 24 % of gaps are 90 s or less"


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
    profile: Profile = parameter(
        WEEKDAY,
        "1",
        "assumed for a centre open round the clock; staffed offices have one hump (targets.yaml: halls)",
        "Relative arrivals around the middle of each hour of a working day, midnight first.",
    )
    free_day_profile: Profile = parameter(WEEKEND, "1", ASSUMED, "The same of a weekend day or holiday.")
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
    together_share: float = parameter(
        0.24, "1", _VENDING, "Chance that somebody comes along with a visitor, and again with that one.", ge=0, le=0.9
    )
    together_gap_s: float = parameter(
        20.0, "s", "assumed; at most 90 s", "Mean gap between people who come together.", ge=0, le=90
    )
    companion_share: float = parameter(
        0.6, "1", ASSUMED, "Of those who come along, the share with no errand of their own.", ge=0, le=1
    )
    under_35_share: float = parameter(0.25, "1", ASSUMED, "Share of visitors younger than 35.", ge=0, le=1)
    sixty_to_74_share: float = parameter(0.25, "1", ASSUMED, "Share of visitors from 60 to 74.", ge=0, le=1)
    over_75_share: float = parameter(
        0.12, "1", ASSUMED, "Share of visitors older than 75; whoever is left is 35 to 59.", ge=0, le=1
    )
    gate_card_share: float = parameter(
        0.6, "1", ASSUMED, "Share of visitors who show an identity card; the others show a QR code.", ge=0, le=1
    )
    gate_card_s: float = parameter(5.0, "s", ASSUMED, "Mean time to show a card.", ge=0, le=600)
    gate_code_s: float = parameter(9.0, "s", ASSUMED, "Mean time to show a QR code.", ge=0, le=600)
    gate_face_s: float = parameter(4.0, "s", ASSUMED, "Mean time of the face check.", ge=0, le=600)
    gate_card_misread: float = parameter(0.02, "1", ASSUMED, "Chance that a card must be shown again.", ge=0, le=1)
    gate_code_misread: float = parameter(0.06, "1", ASSUMED, "Chance that a code must be shown again.", ge=0, le=1)
    gate_face_misread: float = parameter(0.04, "1", ASSUMED, "Chance that a face must be shown again.", ge=0, le=1)
    gate_unknown_share: float = parameter(
        0.008, "1", ASSUMED, "Visitors whom the gate will not let in, however often they try.", ge=0, le=1
    )
    gate_tries: int = parameter(3, "1", ASSUMED, "After so many tries the gate turns one away.", ge=1, le=100)
    service_mean_s: float = parameter(
        195.0, "s", _SELF_SERVICE, "Mean time at a kiosk, averaged over services.", gt=0, le=7_200
    )
    service_cv: float = parameter(0.8, "1", _SELF_SERVICE, "CV of the lognormal time at a kiosk.", ge=0, le=5)
    under_35_slower: float = parameter(
        0.85, "1", ASSUMED, "Time that people under 35 take, against those of 35 to 59.", gt=0, le=10
    )
    sixty_to_74_slower: float = parameter(1.25, "1", ASSUMED, "The same of people from 60 to 74.", gt=0, le=10)
    over_75_slower: float = parameter(1.6, "1", ASSUMED, "The same of people over 75.", gt=0, le=10)
    patience_mean_s: float = parameter(
        1_200.0, "s", "assumed; 389 s by telephone (Technion 1999)", "Mean patience in the queue.", gt=0, le=86_400
    )
    patience_weibull_shape: float = parameter(
        0.866, "1", _TECHNION, "Shape of patience (Weibull; 1 is exponential).", ge=0.1, le=10
    )
    elderly_head_start_s: float = parameter(
        0.0,
        "s",
        "an option: 0 is first come, first served",
        "People over 75 are called as if they had come so much earlier; so nobody is overtaken for ever.",
        ge=0,
        le=86_400,
    )
    balk_at_persons: int = parameter(
        4, "persons", ASSUMED, "With so many waiting per kiosk of the kind, an arrival turns round.", ge=0, le=1_000
    )
    retrial_share: float = parameter(0.5, "1", ASSUMED, "People whose errand was not done who come again.", ge=0, le=1)
    retrial_after_h: float = parameter(
        5.0, "h", ASSUMED, "Mean time until they do; nobody does between 22 and 7 h.", gt=0, le=1_000
    )
    retrial_elsewhere: float = parameter(
        0.3, "1", ASSUMED, "Of those who come again, the share that tries the nearest other centre.", ge=0, le=1
    )
    most_attempts: int = parameter(3, "1", ASSUMED, "Nobody comes more often for one errand.", ge=1, le=100)
    assisted_share: float = parameter(0.08, "1", ASSUMED, "Sessions that need remote help, under 60.", ge=0, le=1)
    assisted_share_60_to_74: float = parameter(0.12, "1", ASSUMED, "The same from 60 to 74.", ge=0, le=1)
    assisted_share_over_75: float = parameter(0.25, "1", ASSUMED, "The same over 75.", ge=0, le=1)
    centres_per_operator: float = parameter(
        6.0,
        "1",
        ASSUMED,
        "The town has one remote operator for so many centres, or a part of so many; with 0 nobody waits for one.",
        ge=0,
        le=1_000,
    )
    help_patience_s: float = parameter(
        458.0, "s", _TECHNION, "How long one waits for an operator: scale of a Weibull.", gt=0, le=86_400
    )
    help_patience_shape: float = parameter(0.866, "1", _TECHNION, "Its shape.", ge=0.1, le=10)
    assisted_slower: float = parameter(1.4, "1", ASSUMED, "How much longer an assisted session takes.", ge=1, le=10)
    failed_share: float = parameter(
        0.03, "1", ASSUMED, "Sessions that end without a result, although the kiosk works.", ge=0, le=1
    )
    offline_failed_share: float = parameter(
        0.4, "1", ASSUMED, "Sessions that fail for want of an uplink, while the site has none.", ge=0, le=1
    )
    card_reader_mtbf_h: float = parameter(
        400.0, "h", ASSUMED, "Mean time between failures of a kiosk's card reader.", gt=0, le=1_000_000
    )
    card_reader_mttr_h: float = parameter(
        0.7, "h", ASSUMED, "Mean time to repair it, once a technician is there.", gt=0, le=1_000
    )
    frozen_screen_mtbf_h: float = parameter(
        300.0, "h", ASSUMED, "Mean time between frozen screens of a kiosk.", gt=0, le=1_000_000
    )
    frozen_screen_mttr_h: float = parameter(
        0.3, "h", ASSUMED, "Mean time to cure one, once a technician is there.", gt=0, le=1_000
    )
    network_mtbf_h: float = parameter(
        400.0, "h", ASSUMED, "Mean time between losses of a kiosk's network.", gt=0, le=1_000_000
    )
    network_mttr_h: float = parameter(
        1.0, "h", ASSUMED, "Mean time until it is back, which takes no technician.", gt=0, le=1_000
    )
    jam_mttr_h: float = parameter(
        0.25, "h", ASSUMED, "Mean time to clear a paper jam, once a technician is there.", gt=0, le=1_000
    )
    jam_per_session: float = parameter(1 / 300, "1", ASSUMED, "Chance of a paper jam in a session.", ge=0, le=1)
    centres_per_technician: float = parameter(
        12.0,
        "1",
        ASSUMED,
        "The town has one technician for so many centres, or a part of so many; with 0 repairs take no travel.",
        ge=0,
        le=1_000,
    )
    technician_m_per_s: float = parameter(
        4.0, "m/s", "assumed: an electric bicycle in town traffic", "Speed of technicians.", gt=0, le=50
    )
    technician_turnout_s: float = parameter(240.0, "s", ASSUMED, "From the call to leaving the base.", ge=0, le=86_400)
    notice_after_h: float = parameter(
        0.8,
        "h",
        "assumed; stands in for whoever watches, who may `dispatch` earlier",
        "Mean time until a fault is noticed and a technician called.",
        gt=0,
        le=1_000,
    )
    maintenance_every_d: float = parameter(
        28.0, "d", ASSUMED, "Planned maintenance of each kiosk, from 2 to 4 h at night; 0 is never.", ge=0, le=3_650
    )
    maintenance_s: float = parameter(1_500.0, "s", ASSUMED, "How long it takes.", gt=0, le=86_400)
    power_outages_per_year: float = parameter(
        1.5, "1/(site year)", ASSUMED, "Power failures of a centre.", ge=0, le=10_000
    )
    power_outage_h: float = parameter(0.7, "h", ASSUMED, "Mean length of one; at most a day.", gt=0, le=24)
    uplink_outages_per_year: float = parameter(
        10.0, "1/(site year)", ASSUMED, "Uplink failures of a centre.", ge=0, le=10_000
    )
    uplink_outage_h: float = parameter(0.6, "h", ASSUMED, "Mean length of one; at most a day.", gt=0, le=24)
    restart_s: float = parameter(90.0, "s", ASSUMED, "How long a restart takes.", gt=0, le=3_600)
    return_to_queue: float = parameter(
        0.7, "1", ASSUMED, "Share of customers of a failing kiosk who wait on, first in the queue.", ge=0, le=1
    )
    sheets_per_roll: int = parameter(1_200, "sheets", ASSUMED, "Paper in a full kiosk.", ge=1, le=100_000)
    pages_per_toner: int = parameter(4_000, "pages", ASSUMED, "Pages of a full toner or ribbon.", ge=1, le=1_000_000)
    blanks_per_box: int = parameter(250, "cards", ASSUMED, "Blank cards in a full kiosk.", ge=1, le=100_000)
    refill_below_pct: float = parameter(
        10.0, "%", ASSUMED, "Level of paper, toner or blanks at which a refill is ordered.", ge=0, le=99
    )
    refill_after_h: float = parameter(
        6.0, "h", ASSUMED, "Mean time from the order until a technician is sent.", gt=0, le=1_000
    )
    stay_before_s: float = parameter(15.0, "s", ASSUMED, "Mean time from the gate to the ticket.", ge=0, le=600)
    stay_after_s: float = parameter(40.0, "s", ASSUMED, "Mean time from the kiosk to the gate.", ge=0, le=3_600)
    rating_share: float = parameter(0.3, "1", ASSUMED, "Visitors who rate at the exit.", ge=0, le=1)
    rating_mean: float = parameter(
        4.6, "1", ASSUMED, "Mean rating of people under 60 served at once, before rounding to 1 … 5.", ge=1, le=5
    )
    rating_sd: float = parameter(0.7, "1", ASSUMED, "Spread between people.", ge=0, le=5)
    rating_per_10_min: float = parameter(-0.4, "1", ASSUMED, "For every ten minutes of waiting.", ge=-5, le=5)
    rating_unserved: float = parameter(-1.8, "1", ASSUMED, "When the errand was not done.", ge=-5, le=5)
    rating_over_60: float = parameter(0.15, "1", ASSUMED, "For people over 60.", ge=-5, le=5)
    floor_area_m2: float = parameter(
        60.0, "m²", ASSUMED, "Floor of a five-kiosk centre; grows with kiosks.", gt=0, le=10_000
    )
    base_w: float = parameter(450.0, "W", ASSUMED, "Light, gate, network and cameras.", ge=0, le=100_000)
    kiosk_idle_w: float = parameter(90.0, "W", ASSUMED, "A kiosk that waits.", ge=0, le=10_000)
    kiosk_busy_w: float = parameter(60.0, "W", ASSUMED, "What a busy kiosk draws on top.", ge=0, le=10_000)
