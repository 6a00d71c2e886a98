"""What draws power in a home: the stove with its guard, and the loads that the electricity meter adds up.

The stove is an induction hob. Its guard says when a burner is on and how long nobody has moved beside it; left alone
for too long, the guard cuts the burner, as such guards do. The meter knows loads only: whoever switches one on says so.
"""

from collections.abc import Callable, Generator
from typing import Any, Final

from haina.contract.care import HOME_POWER, HOME_STOVE
from simulator.care.fitting import Fitting
from simulator.care.parameters import CareParameters
from simulator.town import Device

GUARD_PERIOD_S: Final = 300.0
QUARTER_S: Final = 900
# Watts; assumed, as labels and measured households go. A fridge's mean over its cycles.
FRIDGE_W, STANDBY_W, STOVE_W, TV_W, LIGHT_W = 42.0, 18.0, 1_100.0, 95.0, 24.0
KETTLE_J, WASHING_J, SHOWER_J_PER_L = 1_800.0 * 160, 0.6 * 3.6e6, 4_186.0 * 18  # 18 K warmer, by electricity
FUSE_W: Final = 8_800.0  # assumed: 40 A at 220 V, more than a home ever draws
_METERS_SINCE_D, _METER_KWH_PER_DAY = 18_262, 5.0  # assumed: new on 1 January 2020
_FRIDGE_CV: Final = 0.35  # assumed: of a quarter's mean, for the compressor comes and goes


class PowerMeter:
    """Adds up what is switched on. Powers in W, energies in J."""

    def __init__(self, device: Device) -> None:
        site = device.site
        self._device, self._env = device, site.env
        self._draws = site.stream("power")
        days = max(site.town.start_ms / 1000 / 86_400 - _METERS_SINCE_D, 0)
        self._energy_j = (self._draws.uniform(0, 4_000) + days * _METER_KWH_PER_DAY) * 3.6e6
        self._load_w = STANDBY_W
        self._since_s = self._reported_s = 0.0
        self._unreported_j = 0.0

    def switch(self, change_w: float) -> None:
        """A load of so many watts comes on, or goes off when negative."""
        self._unreported_j += self._load_w * (self._env.now - self._since_s)
        self._since_s = self._env.now
        self._load_w += change_w

    def use(self, energy_j: float) -> None:
        """A short use, such as the kettle's, drawn by the next report."""
        self._unreported_j += energy_j

    def report(self, at_s: float) -> None:
        self.switch(0.0)
        period_s = at_s - self._reported_s
        if period_s <= 0:
            return
        fridge_w = FRIDGE_W * self._draws.lognormal_mean_cv(1.0, _FRIDGE_CV)
        drawn_j = self._unreported_j + fridge_w * period_s
        used_j = min(drawn_j, FUSE_W * period_s)  # a short use begun just now draws its rest in the next period
        self._energy_j += used_j
        self._unreported_j, self._reported_s = drawn_j - used_j, at_s
        values: Any = {"energy_kwh": round(self._energy_j / 3.6e6, 3), "power_w": float(round(used_j / period_s))}
        self._device.send(HOME_POWER, values, at_s)


class Stove:
    """A hob and its guard. `attended_s` is when somebody last moved in the kitchen."""

    def __init__(
        self, fitting: Fitting, meter: PowerMeter, parameters: CareParameters, attended_s: Callable[[], float]
    ) -> None:
        self._fitting, self._meter, self._p = fitting, meter, parameters
        self._env, self._site = fitting.device.site.env, fitting.device.site
        self._attended_s = attended_s
        self._burns = 0
        self.is_on = False
        self._on_since_s = 0.0

    def switch(self, on: bool) -> None:
        """Turn a burner on, or all off."""
        if on == self.is_on:
            return
        self.is_on = on
        self._meter.switch(STOVE_W if on else -STOVE_W)
        self._on_since_s = self._env.now
        self._say()
        if on:
            self._burns += 1
            self._env.process(self._guard(self._burns))

    def report(self, at_s: float) -> None:
        self._say(at_s)

    def _guard(self, burn: int) -> Generator[Any, Any, None]:
        """Look every five minutes while this burning lasts."""
        while True:
            yield self._env.timeout(GUARD_PERIOD_S)
            if not self.is_on or burn != self._burns:
                return
            self._say()
            if self.unattended_s() >= self._p.stove_cut_after_s:
                self._site.happens("stove_cut", unattended_s=round(self.unattended_s()))
                self.switch(False)
                return

    def unattended_s(self) -> float:
        """How long the burning stove has been alone; 0 while it is off."""
        return max(self._env.now - max(self._attended_s(), self._on_since_s), 0.0) if self.is_on else 0.0

    def _say(self, at_s: float | None = None) -> None:
        values: Any = {"on": self.is_on, "unattended_s": float(round(min(self.unattended_s(), 86_400.0)))}
        self._fitting.send(HOME_STOVE, values, at_s)
