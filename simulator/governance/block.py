"""A street block: its bins, its no-parking lane, its lifts and its noise; what goes wrong, and what sensors see of it.

Bins fill hour by hour and are emptied on the morning's round, which leaves some out; a sensor that is stuck says the
same for ever. Vehicles stop in the lane, mostly in the day, and leave by themselves; the camera sees most of them, and
some that are not there. Noise raises the level that the meter measures every five minutes; two levels in a row above
the limit are reported. Lifts fail and wait for somebody. Leaks and flooded corners have no sensor: residents tell.
"""

from collections.abc import Callable, Generator
from typing import Any

from haina.contract.governance import BIN_FILL, INCIDENT_KINDS, LIFT_STATE, PARKING_CAMERA, STREET_NOISE
from simulator.governance.parameters import GovernanceParameters
from simulator.governance.station import Station
from simulator.governance.trouble import Trouble
from simulator.town import Device, Site
from simulator.weather import Weather

Process = Generator[Any, Any, None]

HOUR_S, DAY_S, YEAR_S = 3_600, 86_400, 365.25 * 86_400
LEVELS_EVERY_S, HOURLY_S = 300, 3_600
_MORNING_ROUND_H = 6  # assumed
_BUSY_H = (8, 21)  # assumed: four in five vehicles stop in these hours
_QUIET_THINNING = 0.295  # so that they do: 13 busy hours, 11 quiet ones
_DAY_H = (6, 22)  # GB 3096-2008: day and night
_AWAKE = (0.4, 1.3)  # assumed: people about at night and by day against the mean of both; 8 and 16 hours average to 1
_STAY_CV, _NOISE_CV = 0.9, 0.7  # assumed
_DETECTED_AFTER_S = 60.0  # assumed: the lift's monitor makes sure
_MOST_FILL_PCT = 160.0  # what lies beside a bin that is full


class Bin:
    """A litter bin; `fill_pct` beyond 100 lies beside it."""

    def __init__(self, device: Device, fill_pct: float, is_stuck: bool, pace: float) -> None:
        self.device = device
        self.pace = pace  # how fast it fills against the others
        self.fill_pct = fill_pct
        self.stuck_at_pct = min(fill_pct, 95.0) if is_stuck else None
        self.overflow: Trouble | None = None

    def says_pct(self) -> float:
        return float(round(min(self.fill_pct, 100.0) if self.stuck_at_pct is None else self.stuck_at_pct))


class Lift:
    """A lift and its monitor."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.is_running = True
        self.shows_fault = False
        self.trips = 0

    def say(self) -> None:
        self.device.send(LIFT_STATE, {"state": int(self.shows_fault), "trips": self.trips})
        self.trips = 0


class Block:
    """A street block that lives. Hourly and five-minute reports are asked for by a rota."""

    def __init__(self, site: Site, station: Station, p: GovernanceParameters, weather: Weather) -> None:
        self._site, self._env, self._station, self._p, self._weather = site, site.env, station, p, weather
        self._camera = site.device("camera", "parking-camera")
        self._noise = site.device("noise", "noise-meter")
        self._seen = 0
        self._loud_levels = 0
        self._noises: list[Trouble] = []
        self._levels = site.stream("levels")
        self._reports = site.stream("residents")
        self._filling = site.stream("bins")
        self._trips = site.stream("trips")
        fittings = site.stream("fittings")
        self._bins = [
            Bin(
                site.device(f"bin-{number}", "smart-bin"),
                fittings.uniform(0, 80),
                fittings.chance(p.bin_stuck_share),
                fittings.lognormal_mean_cv(1.0, p.bin_pace_cv),
            )
            for number in range(1, p.bins + 1)
        ]
        self._lifts = [Lift(site.device(f"lift-{number}", "lift-monitor")) for number in range(1, p.lifts + 1)]
        for number, lift in enumerate(self._lifts, start=1):
            site.env.process(self._fail(lift, site.stream(f"lift {number}")))
        busiest_per_s = p.parking_per_day / DAY_S * 0.8 * 24 / (_BUSY_H[1] - _BUSY_H[0])
        self._happens("parking", busiest_per_s, self._stop_in_lane)
        self._happens("imagined", p.camera_false_per_day / DAY_S, self._imagine_vehicle)
        self._happens("noise", p.noise_per_day / DAY_S, self._make_noise)
        self._happens("leak", p.leaks_per_year / YEAR_S, lambda _: self._trouble("water_leak"))
        self._happens("flooding", p.flooding_per_rain_h / HOUR_S, self._flood)
        self._happens("mistaken", p.false_reports_per_day / DAY_S, self._report_nothing)

    def _happens(self, purpose: str, rate_per_s: float, act: Callable[[Any], object]) -> None:
        """Let something happen at a constant rate; `act` may decide that this time it does not."""
        draws = self._site.stream(purpose)

        def happen() -> Process:
            while True:
                yield self._env.timeout(draws.exponential(1 / rate_per_s))
                act(draws)

        if rate_per_s > 0:
            self._env.process(happen())

    def _trouble(self, kind: str) -> Trouble:
        return Trouble(kind, self._site, self._station, self._reports, self._p)

    # -- the lane ------------------------------------------------------------------------------

    def _stop_in_lane(self, draws: Any) -> None:
        is_busy = _BUSY_H[0] <= self._site.town.local_hour() < _BUSY_H[1]
        if is_busy or draws.chance(_QUIET_THINNING):
            self._env.process(self._stand_in_lane(draws))

    def _stand_in_lane(self, draws: Any) -> Process:
        p = self._p
        trouble = self._trouble("illegal_parking")
        trouble.end_by_itself(draws.lognormal_mean_cv(p.parking_stay_min * 60, _STAY_CV))
        if not draws.chance(p.camera_sensitivity):
            return
        yield self._env.timeout(p.camera_after_min * 60)
        if trouble.lasts:
            self._see(1)
            trouble.report("sensor")
            yield trouble.over
            self._see(-1)

    def _imagine_vehicle(self, draws: Any) -> None:
        self._site.happens("false_report", trouble="illegal_parking", source="sensor")
        self._station.told_of("illegal_parking", self._site, "sensor", None)
        self._see(1)
        stays_s = draws.exponential(self._p.parking_stay_min * 60)
        self._env.timeout(stays_s).callbacks.append(lambda _: self._see(-1))

    def _see(self, more: int) -> None:
        self._seen += more
        self._camera.send(PARKING_CAMERA, {"vehicles": min(self._seen, 1_000)})

    # -- noise ---------------------------------------------------------------------------------

    def _make_noise(self, draws: Any) -> None:
        trouble = self._trouble("noise")
        self._noises.append(trouble)
        trouble.over.callbacks.append(lambda _: self._noises.remove(trouble))
        trouble.end_by_itself(draws.lognormal_mean_cv(self._p.noise_mean_min * 60, _NOISE_CV))

    def report_level(self, at_s: float) -> None:
        """The level of the last five minutes; the second in a row above the limit is an incident."""
        p, hour = self._p, self._site.town.local_hour(at_s)
        is_day = _DAY_H[0] <= hour < _DAY_H[1]
        level_db = (p.day_level_db if is_day else p.night_level_db) + (p.noise_excess_db if self._noises else 0.0)
        level_db = min(max(level_db + self._levels.normal(0, p.level_sd_db), 0.0), 150.0)
        self._noise.send(STREET_NOISE, {"level_db": round(level_db, 1)}, at_s)
        is_loud = level_db > (p.day_limit_db if is_day else p.night_limit_db)
        self._loud_levels = self._loud_levels + 1 if is_loud else 0
        if self._loud_levels == 2:
            for trouble in self._noises:
                trouble.report("sensor")
            if not self._noises:
                self._site.happens("false_report", trouble="noise", source="sensor")
                self._station.told_of("noise", self._site, "sensor", None)

    # -- bins and lifts ------------------------------------------------------------------------

    def report_hour(self, at_s: float) -> None:
        """What bins, lifts and the camera say by the hour."""
        hour = self._site.town.local_hour(at_s)
        awake = _AWAKE[_DAY_H[0] <= hour < _DAY_H[1]]
        for each in self._bins:
            self._fill(each, awake, is_round=int(hour) == _MORNING_ROUND_H)
            each.device.send(BIN_FILL, {"fill_pct": each.says_pct()}, at_s)
        for lift in self._lifts:
            if lift.is_running:
                lift.trips += self._trips.poisson(min(self._p.lift_trips_per_day / 24 * awake, 100.0))
            lift.say()
        self._camera.send(PARKING_CAMERA, {"vehicles": min(self._seen, 1_000)}, at_s)

    def _fill(self, litter_bin: Bin, awake: float, is_round: bool) -> None:
        p, draws = self._p, self._filling
        brought_pct = 100 / p.bin_full_h * litter_bin.pace * awake
        if p.bin_fill_cv:
            brought_pct = draws.lognormal_mean_cv(brought_pct, p.bin_fill_cv)
        litter_bin.fill_pct = min(litter_bin.fill_pct + brought_pct, _MOST_FILL_PCT)
        if is_round and not draws.chance(p.bin_missed_share):
            if litter_bin.overflow is not None:
                litter_bin.overflow.end("round")
            litter_bin.fill_pct = 0.0
        if litter_bin.fill_pct >= 100 and litter_bin.overflow is None:
            litter_bin.overflow = self._trouble("bin_overflow")
            litter_bin.overflow.over.callbacks.append(lambda _: self._empty(litter_bin))
            if litter_bin.stuck_at_pct is None:
                litter_bin.overflow.report("sensor")

    def _empty(self, litter_bin: Bin) -> None:
        litter_bin.fill_pct, litter_bin.overflow = 0.0, None

    def _fail(self, lift: Lift, draws: Any) -> Process:
        while True:
            yield self._env.timeout(draws.exponential(self._p.lift_mtbf_d * DAY_S))
            lift.is_running = False
            trouble = self._trouble("lift_fault")
            if draws.chance(self._p.lift_sensitivity):
                yield self._env.timeout(_DETECTED_AFTER_S)
                lift.shows_fault = True
                lift.say()
                trouble.report("sensor")
            yield trouble.over
            lift.is_running, lift.shows_fault = True, False
            lift.say()

    # -- what only residents tell of -----------------------------------------------------------

    def _flood(self, draws: Any) -> None:
        if self._weather.raining:
            self._trouble("flooding").end_by_itself(draws.exponential(self._p.flooding_mean_h * HOUR_S))

    def _report_nothing(self, draws: Any) -> None:
        kind = draws.choice(INCIDENT_KINDS)
        self._site.happens("false_report", trouble=kind, source="resident")
        self._station.told_of(kind, self._site, "resident", None)
