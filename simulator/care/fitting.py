"""A device on a battery, in its place: it speaks while its battery lasts and its radio is heard.

A battery loses charge evenly. Once it is flat the device is silent until somebody brings a new one, after an assumed
time. Radio contact is lost at times as well, for minutes or hours; what a small device would have said meanwhile is
lost, for it has no memory (a whole home without uplink is another matter: its gateway holds the readings). Daily
each device says what is left in its battery and how strongly the gateway hears it: `home_device`.

Flat batteries and lost contact are in the truth ledger, so silence can be told from stillness.
"""

from typing import Any, Final

from haina.contract.care import HOME_DEVICE
from haina.contract.measurement import Measurement, Value
from simulator.care.parameters import CareParameters
from simulator.town import Device

DAY_S: Final = 86_400
_SIGNAL_DBM, _SIGNAL_HOMES_DB, _SIGNAL_DAY_DB = -72.0, 9.0, 2.0  # assumed: a room or two from the gateway
_CONTACT_LOST_CV: Final = 1.5  # assumed
# How long a fresh battery lasts, in days; assumed, of the order of what makers promise.
BATTERY_D: Final = {
    "infrared": 550,
    "door-contact": 700,
    "water-meter": 2_200,
    "smoke-alarm": 3_300,
    "sos-button": 1_100,
    "medicine-dispenser": 240,
    "stove-guard": 600,
}


class Fitting:
    """A battery device. `silent` is whether nobody hears it now."""

    __slots__ = ("_battery_s", "_charged_at_s", "_draws", "_flat", "_lost", "_p", "_signal_dbm", "device")

    def __init__(self, device: Device, parameters: CareParameters) -> None:
        self.device = device
        self._p = parameters
        self._draws = device.site.stream(f"battery of {device.id}")
        self._battery_s = (
            BATTERY_D[device.kind] * DAY_S * parameters.battery_life_factor * self._draws.lognormal_mean_cv(1.0, 0.15)
        )
        self._charged_at_s = -self._draws.random() * self._battery_s
        self._signal_dbm = self._draws.normal(_SIGNAL_DBM, _SIGNAL_HOMES_DB)
        self._flat = self._lost = ""  # the event that is going on

    @property
    def silent(self) -> bool:
        return bool(self._flat or self._lost)

    @property
    def battery_pct(self) -> float:
        """What is left, rounded as it is reported."""
        used = (self.device.site.env.now - self._charged_at_s) / self._battery_s
        return round(max(100.0 * (1 - used), 0.0), 1)

    def send(self, measurement: Measurement, values: dict[str, Value], at_s: float | None = None) -> None:
        """Say a reading, if anybody can hear it."""
        if not self.silent:
            self.device.send(measurement, values, at_s)

    def report(self, at_s: float) -> None:
        """A day has passed: go flat, or say how one is, and perhaps lose contact in the day to come."""
        battery_pct = self.battery_pct
        if battery_pct <= 0:
            self.run_flat()
            return
        signal_dbm = min(max(self._draws.normal(self._signal_dbm, _SIGNAL_DAY_DB), -140.0), -20.0)
        self.send(HOME_DEVICE, {"battery_pct": battery_pct, "signal_dbm": float(round(signal_dbm))}, at_s)
        if self._draws.chance(min(self._p.contact_losses_per_year / 365, 1.0)):
            lost_s = self._draws.lognormal_mean_cv(self._p.contact_lost_mean_h * 3_600, _CONTACT_LOST_CV)
            self._later(self._draws.random() * DAY_S, lambda: self.lose_contact(lost_s))

    def run_flat(self) -> None:
        """The battery is empty, until somebody notices and brings a new one."""
        if self._flat:
            return
        self._charged_at_s = self.device.site.env.now - self._battery_s
        after_s = self._draws.exponential(self._p.battery_replaced_after_d * DAY_S)
        self._flat = self.device.site.begins("battery_flat", device=self.device.id, lasts_s=round(after_s))
        self._later(after_s, self.replace_battery)

    def replace_battery(self) -> None:
        """A fresh battery is put in."""
        self._charged_at_s = self.device.site.env.now
        if self._flat:
            self.device.site.ends("battery_flat", self._flat, device=self.device.id)
            self._flat = ""

    def lose_contact(self, lost_s: float) -> None:
        """The gateway does not hear the device for so long; what it says meanwhile is lost."""
        if not self._lost:
            self._lost = self.device.site.begins("contact_lost", device=self.device.id, lasts_s=round(lost_s))
            self._later(lost_s, self._find_contact)

    def _find_contact(self) -> None:
        self.device.site.ends("contact_lost", self._lost, device=self.device.id)
        self._lost = ""

    def _later(self, after_s: float, act: Any) -> None:
        self.device.site.env.timeout(after_s).callbacks.append(lambda _: act())
