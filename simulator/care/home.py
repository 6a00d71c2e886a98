"""A home's fittings: the sensors that notice what its resident does, and the habits they report with.

`Home` only translates: motion in a room becomes infrared on and off, litres become the water meter's quarter-hour
reports, a dose and a burner what the dispenser and the stove guard say. Who moves and why is told in `life`, and who
leaves a tap open in `household`.
"""

from collections.abc import Generator
from typing import Any

from haina.contract.care import HOME_DOOR, HOME_MOTION, HOME_SMOKE, HOME_WATER, ROOMS, SOS_BUTTON
from haina.contract.measurement import Value
from simulator.care.appliance import PowerMeter, Stove
from simulator.care.body import Bodies
from simulator.care.dispenser import Dispenser
from simulator.care.fitting import BATTERY_D, Fitting
from simulator.care.parameters import CareParameters
from simulator.care.resident import Resident
from simulator.randomness import Stream
from simulator.town import Site

QUARTER_S, HOUR_QUARTERS, DAY_S = 900, 4, 86_400
_YEAR_S, _UPLINK_LOST_CV = 365 * DAY_S, 1.2  # assumed: a cellular gateway, now minutes, now hours
_SOS_HELD_S = 2.0  # assumed
_DOOR_OPEN_MEAN_S, _DOOR_OPEN_CV = 9.0, 0.6  # assumed
_METERS_SINCE_D, _METER_L_PER_DAY = 18_262, 150  # assumed: new on 1 January 2020
_ON: dict[str, Value] = {"motion": True}
_OFF: dict[str, Value] = {"motion": False}


def install(site: Site) -> None:
    """Put the devices of a home in their places."""
    for room in ROOMS:
        site.device(f"pir-{room}", "infrared", room=room)
    site.device("door", "door-contact", room="hallway")
    site.device("water", "water-meter", room="kitchen")
    site.device("smoke", "smoke-alarm", room="kitchen")
    site.device("bed", "bed-sensor", room="bedroom")
    site.device("wristband", "wearable")
    site.device("sos", "sos-button", room="bedroom")
    site.device("dispenser", "medicine-dispenser", room="kitchen")
    site.device("stove", "stove-guard", room="kitchen")
    site.device("power", "power-meter", room="hallway")


class Infrared:
    """One room's infrared sensor: on when triggered, off after its hold, and deaf for a while."""

    __slots__ = ("_device", "_env", "_fitting", "_home", "deaf_until_s", "moved_s")

    def __init__(self, home: "Home", fitting: Fitting) -> None:
        self._home = home
        self._env = home.site.env
        self._fitting, self._device = fitting, fitting.device
        self.deaf_until_s = 0.0
        self.moved_s = 0.0
        """When somebody last moved in the room, seen or not."""

    def trigger(self) -> None:
        """Somebody moves in the room."""
        env = self._env
        self.moved_s = now = env.now
        if now < self.deaf_until_s or self._fitting.silent:
            return
        p = self._home.parameters
        hold_s = self._home.holds.lognormal(p.motion_hold_log_mean, p.motion_hold_log_sd)
        self.deaf_until_s = now + max(hold_s + 0.1, p.motion_blank_s)
        self._device.send(HOME_MOTION, _ON)
        env.timeout(hold_s).callbacks.append(self._end)

    def _end(self, _: Any) -> None:
        self._device.send(HOME_MOTION, _OFF)


class Home:
    """A home with its devices; number i of the cohort."""

    def __init__(self, site: Site, number: int, bodies: Bodies, resident: Resident, parameters: CareParameters) -> None:
        self.site = site
        self.number = number
        self.bodies = bodies
        self.parameters = parameters
        self.holds = site.stream("motion holds")
        devices = site.devices
        self.fittings = {
            name: Fitting(device, parameters) for name, device in devices.items() if device.kind in BATTERY_D
        }
        self.infrared = {room: Infrared(self, self.fittings[f"pir-{room}"]) for room in ROOMS}
        self.power = PowerMeter(devices["power"])
        kitchen = self.infrared["kitchen"]
        self.stove = Stove(self.fittings["stove"], self.power, parameters, lambda: kitchen.moved_s)
        self.dispenser = Dispenser(self.fittings["dispenser"], resident.missed_share, parameters)
        self._door, self._water = self.fittings["door"], self.fittings["water"]
        self._smoke, self._sos = self.fittings["smoke"], self.fittings["sos"]
        self._door_is_open = self._is_smoky = False
        fittings = site.stream("fittings")
        self._door_opens = site.stream("door")
        days = site.town.start_ms / 1000 / DAY_S - _METERS_SINCE_D  # a later start finds the meter further on
        self._volume_l = fittings.uniform(0, 50_000) + max(days, 0) * _METER_L_PER_DAY
        self._unreported_l = 0.0
        self._tap_l_per_min, self._tap_since_s = 0.0, 0.0
        if parameters.uplink_losses_per_year:
            site.env.process(self._lose_uplink(site.stream("uplink")))

    def _lose_uplink(self, draws: Stream) -> Generator[Any, Any, None]:
        """The gateway is cut off at times, holds what the devices say, and says it late."""
        p, env = self.parameters, self.site.env
        while True:
            yield env.timeout(draws.exponential(_YEAR_S / p.uplink_losses_per_year))
            lost_s = draws.lognormal_mean_cv(p.uplink_lost_mean_min * 60, _UPLINK_LOST_CV)
            event = self.site.begins("uplink_lost", lasts_s=round(lost_s))
            self.site.switch_uplink(False)
            yield env.timeout(lost_s)
            self.site.switch_uplink(True)
            self.site.ends("uplink_lost", event)

    # -- what happens at home ------------------------------------------------------------------

    def open_door(self) -> None:
        """The front door is opened, and falls shut a little later."""
        if self._door_is_open:
            return
        self._door_is_open = True
        self._door.send(HOME_DOOR, {"open": True})
        open_s = 2.0 + self._door_opens.lognormal_mean_cv(_DOOR_OPEN_MEAN_S, _DOOR_OPEN_CV)
        self.site.env.timeout(open_s).callbacks.append(self._shut_door)

    def _shut_door(self, _: Any) -> None:
        self._door_is_open = False
        self._door.send(HOME_DOOR, {"open": False})

    def use_water(self, litres: float) -> None:
        """Water runs through the meter; it is reported at the end of the meter's quarter of an hour."""
        self._unreported_l += litres

    def open_tap(self, flow_l_per_min: float) -> None:
        """Leave a tap running at this flow, until it is set to another; 0 shuts it."""
        self._run_tap()
        self._tap_l_per_min = flow_l_per_min

    def _run_tap(self) -> None:
        now = self.site.env.now
        self._unreported_l += self._tap_l_per_min * (now - self._tap_since_s) / 60
        self._tap_since_s = now

    def set_smoke(self, is_smoky: bool) -> None:
        """There is smoke under the alarm, or none any more."""
        if is_smoky != self._is_smoky:
            self._is_smoky = is_smoky
            self._say_smoke(None)

    def press_sos(self) -> None:
        """The emergency button is pressed and let go."""
        self._say_sos(True, None)
        self.site.env.timeout(_SOS_HELD_S).callbacks.append(lambda _: self._say_sos(False, None))

    # -- what is reported by the clock ---------------------------------------------------------

    def report_door(self, at_s: float) -> None:
        self._door.send(HOME_DOOR, {"open": self._door_is_open}, at_s)

    def report_smoke(self, at_s: float) -> None:
        self._say_smoke(at_s)

    def report_sos(self, at_s: float) -> None:
        self._say_sos(False, at_s)

    def report_water(self, at_s: float) -> None:
        """A quarter of an hour ends: report it when water ran, and every fourth quarter anyhow."""
        self._run_tap()
        litres = round(self._unreported_l, 1) + 0.0  # what rounding left over may be -0.0
        if self._water.silent or (litres <= 0 and int(at_s // QUARTER_S) % HOUR_QUARTERS):
            return  # a meter that is not heard goes on counting
        self._volume_l += litres
        self._unreported_l -= litres
        values: dict[str, Value] = {"volume_m3": round(self._volume_l / 1000, 4), "used_l": litres}
        self._water.send(HOME_WATER, values, at_s)

    def _say_smoke(self, at_s: float | None) -> None:
        self._smoke.send(HOME_SMOKE, {"smoke": self._is_smoky, "battery_pct": self._smoke.battery_pct}, at_s)

    def _say_sos(self, pressed: bool, at_s: float | None) -> None:
        self._sos.send(SOS_BUTTON, {"pressed": pressed, "battery_pct": self._sos.battery_pct}, at_s)
