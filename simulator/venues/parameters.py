"""What the model of venues can be told. A number by use is a list: shopping, leisure, incubator, institute."""

from typing import Annotated

from pydantic import Field, Strict

from haina.contract.venues import USES
from simulator.parameter import ASSUMED, parameter
from simulator.room import RoomParameters

Factor = Annotated[float, Field(ge=0, le=10)]
Factors = Annotated[tuple[Factor, Factor, Factor, Factor], Strict(False)]
Amount = Annotated[float, Field(gt=0, le=20_000)]
Amounts = Annotated[tuple[Amount, Amount, Amount, Amount], Strict(False)]
Load = Annotated[float, Field(ge=0, le=200)]
Loads = Annotated[tuple[Load, Load, Load, Load], Strict(False)]
Hour = Annotated[float, Field(ge=0, le=24)]
Hours = Annotated[tuple[Hour, Hour, Hour, Hour], Strict(False)]

_BY_USE = "(shopping, leisure, incubator, institute)"
_MALL = "assumed; usual of Shanghai's malls, sports halls and offices"
_PTEAM = "assumed, after Özkaynak et al. 1996 (PTEAM), not checked"


class VenueParameters(RoomParameters):
    """Parameters of every venue of a scenario; a described one may set its own visits and floor."""

    visits_per_day: Amounts = parameter(
        (2_600.0, 700.0, 260.0, 340.0), "persons/day", ASSUMED, f"Visits on a dry working day {_BY_USE}."
    )
    size_cv: float = parameter(0.4, "1", ASSUMED, "Spread of visits and floor between venues of a use.", ge=0, le=2)
    day_cv: float = parameter(0.12, "1", ASSUMED, "Day-to-day spread of visits (CV of a gamma factor).", ge=0, le=2)
    free_day_factor: Factors = parameter(
        (1.5, 1.7, 0.3, 0.12), "1", ASSUMED, f"Visits on a weekend or holiday against a working day {_BY_USE}."
    )
    rain_factor: Factors = parameter(
        (0.8, 0.65, 0.97, 0.98), "1", ASSUMED, f"Visits while it rains against dry hours {_BY_USE}."
    )
    opens_h: Hours = parameter((10.0, 9.0, 7.0, 7.0), "h", _MALL, f"Hour of opening {_BY_USE}.")
    closes_h: Hours = parameter((22.0, 23.0, 24.0, 23.0), "h", _MALL, f"Hour of closing {_BY_USE}.")
    stay_min: Amounts = parameter((55.0, 95.0, 330.0, 400.0), "min", ASSUMED, f"Mean stay {_BY_USE}.")
    stay_cv: Factors = parameter((0.8, 0.5, 0.45, 0.4), "1", ASSUMED, f"CV of the lognormal stay {_BY_USE}.")
    floor_area_m2: Amounts = parameter((3_500.0, 1_500.0, 1_800.0, 4_000.0), "m²", ASSUMED, f"Floor {_BY_USE}.")
    open_w_per_m2: Loads = parameter(
        (9.0, 8.0, 6.0, 9.0), "W/m²", "assumed; light by GB 55015-2021", f"Light and machines while open {_BY_USE}."
    )
    shut_w_per_m2: Loads = parameter((1.5, 1.0, 1.5, 4.0), "W/m²", ASSUMED, f"The same while shut {_BY_USE}.")

    height_m: float = parameter(4.0, "m", ASSUMED, "Height of the rooms.", gt=0, le=20)
    loss_w_per_k_m2: float = parameter(1.5, "W/(K m²)", ASSUMED, "Heat through the shell per floor area.", gt=0, le=50)
    hvac_w_per_m2: float = parameter(60.0, "W/m²", ASSUMED, "Heat the air conditioner can move.", gt=0, le=1_000)

    particles_enter: float = parameter(1.0, "1", _PTEAM, "Outdoor fine particles that get in with air.", ge=0, le=1)
    particles_settle_per_h: float = parameter(0.39, "1/h", _PTEAM, "Fine particles that settle indoors.", ge=0, le=10)
    particles_filtered_per_h: float = parameter(0.6, "1/h", ASSUMED, "And that filters hold, while open.", ge=0, le=50)

    courts: int = parameter(6, "1", ASSUMED, "Courts of a leisure venue.", ge=0, le=100)
    desks: int = parameter(40, "1", ASSUMED, "Desks of an incubator to be booked by the hour.", ge=0, le=1_000)
    rooms: int = parameter(5, "1", ASSUMED, "Meeting rooms of an incubator or institute.", ge=0, le=200)
    court_bookings_per_day: float = parameter(7.0, "1/d", ASSUMED, "Asked for, of each court.", ge=0, le=100)
    desk_bookings_per_day: float = parameter(1.2, "1/d", ASSUMED, "Asked for, of each desk.", ge=0, le=100)
    room_bookings_per_day: float = parameter(4.5, "1/d", ASSUMED, "Asked for, of each room.", ge=0, le=100)
    booking_lead_h: float = parameter(20.0, "h", ASSUMED, "Mean time from asking to the beginning.", gt=0, le=200)
    booking_longer: float = parameter(
        0.35, "1", ASSUMED, "Chance that a booking is an hour longer still.", ge=0, le=0.9
    )
    cancelled_share: float = parameter(0.08, "1", ASSUMED, "Bookings that are called off.", ge=0, le=1)
    no_show_share: float = parameter(0.12, "1", ASSUMED, "Of the others, those to which nobody comes.", ge=0, le=1)
    no_show_min: float = parameter(15.0, "min", ASSUMED, "After which the unit is free again.", gt=0, lt=60)

    def of(self, name: str, use: str) -> float:
        """A number by use."""
        numbers: tuple[float, ...] = getattr(self, name)
        return numbers[USES.index(use)]
