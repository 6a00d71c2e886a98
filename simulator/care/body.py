"""Hearts, lungs and wristbands of all residents, a minute at a time.

The heart follows what its owner does (asleep, at rest, busy, out walking, frightened on the floor) with a lag of a
few minutes, a daily round and a wandering of its own. As each minute begins, hearts, breathing, saturation and
batteries of the whole cohort are drawn side by side; the wristband and the bed sensor of a home then each read the
same heart with their own error. What a resident does comes from `life`, which sets `pulse_rise_bpm` and friends.

A body may be told to *shift* from its usual state for a while, as in an infection: hours of drift, then back.

It starts in its stationary state: each heart beats at the rate its owner's activity asks for.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from haina.contract.care import HOME_BED, WEARABLE
from simulator.care.parameters import CareParameters
from simulator.care.resident import Resident
from simulator.randomness import CohortStream
from simulator.town import Device, Site, Town

MINUTE_S = 60
SPO2_EVERY_MINUTES = 10
BED_PERIOD_S, BED_IDLE_ROUNDS = 300, 12  # every 5 minutes in bed, hourly while not

# How far the heart rises above its resting rate; assumed.
ASLEEP, AT_REST, BUSY, OUT, FALLEN = -1, 0, 6, 18, 24

_DAILY_SWING_BPM, _DAILY_PEAK_H = 2.0, 15.0  # assumed
_WAKING_MEAN_COS = 0.47  # of that round from 7 to 22 h: the published resting rate is a day's, not an afternoon's
_STILL_ABOVE_REST_BPM = 0.7  # fitted: the published rate is that of still wrists, and some of those cook or tidy
_FOLLOWS = 0.4  # assumed: share of the way to its target that the heart goes in a minute
_WANDERS_BPM = 2.4  # with _FOLLOWS a spread of 3.0, as within sleepers of TIHM
_WRIST_ERROR_BPM, _WRIST_SLIP_SHARE, _WRIST_SLIP_BPM = 1.5, 0.03, 8.0
# assumed; BIDMC's 1 Hz pulses differ from the ECG by SD 4.3, a minute's mean on the wrist is steadier
_BREATH_SD_BRPM, _MATTRESS_ERROR_BPM = 0.7, 1.0  # assumed
_SPO2_ASLEEP_PCT = -1.0  # assumed
_SKIN_ASLEEP_C = 0.8  # assumed: warm under the blanket
_SLEEP_CYCLE_MIN, _SLEEP_CYCLE_BPM = 90.0, 1.5  # assumed: from deep sleep to dreams and back, about 90 minutes
# Above so much spread of the times between beats, a rate wanders from minute to minute as well; assumed.
_STEADY_BELOW_MS, _WANDERS_TWICE_MS, _LEAST_IRREGULAR_MS, _IRREGULAR_LOG_SD = 50.0, 60.0, 5.0, 0.2
_WALKS_SHARE, _WALK_STEPS, _WALK_STEPS_SPREAD = 0.4, 55, 45  # assumed: minutes of an outing that are walked

# Whoever is away for days lives as usual there, unseen but by the wristband; assumed.
_AWAY_SLEEP_FROM_H, _AWAY_SLEEP_TO_H, _AWAY_RISE_BPM, _AWAY_WALKS_SHARE = 22.5, 7.0, 4.0, 0.06

BoolArray = np.ndarray[tuple[int], np.dtype[np.bool_]]
_PULSE_LIMITS_BPM, _SPO2_LIMITS_PCT, _BREATH_LIMITS_BRPM = (35, 190), (70, 100), (5, 40)


class VitalShift(NamedTuple):
    """How far a body is from its usual state; the default is not at all."""

    heart_bpm: float = 0.0
    beat_interval_sd_ms: float = 0.0
    """More of it makes the heart irregular, and its rate unsteady from minute to minute."""
    breathing_brpm: float = 0.0
    spo2_pct: float = 0.0
    temperature_c: float = 0.0
    activity: float = 1.0
    """Factor of how much one moves about: of pace and steps; below 0.8 one goes out less and lies longer."""


class Bodies:
    """The bodies of a cohort. Home number i is row i everywhere."""

    def __init__(self, town: Town, sites: Sequence[Site], residents: Sequence[Resident], p: CareParameters) -> None:
        entities = [f"{site.area}/{site.id}" for site in sites]
        self._town, self._p = town, p
        self._resting = np.array([resident.resting_bpm for resident in residents])
        self._asleep = np.array([resident.asleep_bpm for resident in residents])
        self._breathing = np.array([resident.breathing_brpm for resident in residents])
        self._saturation = np.array([resident.spo2_pct for resident in residents])
        self._heart_noise = CohortStream(town.seed, entities, "heart")
        self._lung_noise = CohortStream(town.seed, entities, "lungs")
        self._wrist_noise = CohortStream(town.seed, entities, "wrist")
        self._mattress_noise = CohortStream(town.seed, entities, "mattress")
        self._walks = CohortStream(town.seed, entities, "walks")
        self._beat_noise = CohortStream(town.seed, entities, "beats")
        self._skin_noise = CohortStream(town.seed, entities, "skin")
        self._irregular_ms = np.array([resident.beat_interval_sd_ms for resident in residents])
        self._steps_factor = np.array([resident.steps_factor for resident in residents])
        self._skin_c = np.array([resident.skin_c for resident in residents])
        self._shift = np.array([VitalShift()] * len(sites)).reshape(len(sites), len(VitalShift._fields)).T.copy()
        self._shift_goal = self._shift.copy()
        self._shift_per_minute = np.zeros_like(self._shift)
        self._asleep_minutes = np.zeros(len(sites))
        self.turns = [0] * len(sites)
        self.pulse_rise_bpm = np.zeros(len(sites))
        self.is_out = np.zeros(len(sites), dtype=bool)
        self.is_away = np.zeros(len(sites), dtype=bool)
        self.worn = np.ones(len(sites), dtype=bool)
        self.charging = np.zeros(len(sites), dtype=bool)
        self.steps = [0] * len(sites)
        self.battery_pct = 15 + 85 * CohortStream(town.seed, entities, "battery").random()
        self._flat: dict[int, str] = {}  # the event of each empty battery
        self._wristbands: list[Device] = [site.devices["wristband"] for site in sites]
        self._beds: list[Device] = [site.devices["bed"] for site in sites]
        self.in_bed = [False] * len(sites)
        self._spo2_turn = [site.stream("spo2 turn").integer(0, SPO2_EVERY_MINUTES - 1) for site in sites]
        self._minute = 0
        self._heart: np.ndarray[tuple[int], np.dtype[np.float64]] | None = None

    def shift(self, number: int, goal: VitalShift, over_s: float) -> None:
        """Let a body drift from where it stands to `goal`, evenly over `over_s`; `VitalShift()` brings it back.

        A later shift takes the place of an earlier one.
        """
        self._shift_goal[:, number] = goal
        minutes = max(over_s / MINUTE_S, 1.0)
        self._shift_per_minute[:, number] = np.abs(self._shift_goal[:, number] - self._shift[:, number]) / minutes

    def activity(self, number: int) -> float:
        """How much somebody moves about now, against their usual."""
        return float(self._shift[-1, number])

    def begin_minute(self) -> None:
        """Draw what the bodies do in the minute that begins, for all homes."""
        self._minute += 1
        self._shift += np.clip(self._shift_goal - self._shift, -self._shift_per_minute, self._shift_per_minute)
        shift = VitalShift(*self._shift)
        hour = self._town.local_hour()
        is_night = hour < _AWAY_SLEEP_TO_H or hour >= _AWAY_SLEEP_FROM_H
        asleep = (self.pulse_rise_bpm == ASLEEP) | (self.is_away if is_night else False)
        self._asleep_minutes = np.where(asleep, self._asleep_minutes + 1, 0)
        self._beat(asleep, hour, shift)
        self._breathe(asleep, shift)
        self._use_batteries()
        self._walk(asleep, shift)

    def _beat(self, asleep: BoolArray, hour: float, shift: Any) -> None:
        swing = _DAILY_SWING_BPM * (math.cos(2 * math.pi * (hour - _DAILY_PEAK_H) / 24) - _WAKING_MEAN_COS)
        rise = np.where(self.is_away, _AWAY_RISE_BPM, self.pulse_rise_bpm)
        dream = -_SLEEP_CYCLE_BPM * np.cos(2 * np.pi * self._asleep_minutes / _SLEEP_CYCLE_MIN)
        awake = self._resting - _STILL_ABOVE_REST_BPM + swing + rise
        target = np.where(asleep, self._asleep + dream, awake) + shift.heart_bpm
        if self._heart is None:
            self._heart = target
        irregular_ms = np.maximum(self._irregular_ms + shift.beat_interval_sd_ms, _LEAST_IRREGULAR_MS)
        wander = _WANDERS_BPM * (1 + np.maximum(irregular_ms - _STEADY_BELOW_MS, 0) / _WANDERS_TWICE_MS)
        self._heart = self._heart + _FOLLOWS * (target - self._heart) + wander * self._heart_noise.normal()
        slips = self._wrist_noise.random() < _WRIST_SLIP_SHARE
        error = np.where(slips, _WRIST_SLIP_BPM, _WRIST_ERROR_BPM) * self._wrist_noise.normal()
        mattress = self._heart + _MATTRESS_ERROR_BPM * self._mattress_noise.normal()
        self._mattress_bpm = np.rint(np.clip(mattress, *_PULSE_LIMITS_BPM)).tolist()
        self._wrist_bpm = np.rint(np.clip(self._heart + error, *_PULSE_LIMITS_BPM)).tolist()
        spread_ms = irregular_ms * np.exp(_IRREGULAR_LOG_SD * self._beat_noise.normal())
        self._beat_interval_sd_ms = np.rint(np.clip(spread_ms, 1, 400)).tolist()

    def _breathe(self, asleep: BoolArray, shift: Any) -> None:
        lung = self._lung_noise.normal()
        breaths = self._breathing + shift.breathing_brpm + _BREATH_SD_BRPM * lung
        self._breaths = np.round(np.clip(breaths, *_BREATH_LIMITS_BRPM), 1).tolist()
        level = self._saturation + np.where(asleep, _SPO2_ASLEEP_PCT, 0.0) + self._p.spo2_moment_sd_pct * lung
        self._spo2 = np.rint(np.clip(level + shift.spo2_pct, *_SPO2_LIMITS_PCT)).tolist()
        skin = self._skin_c + np.where(asleep, _SKIN_ASLEEP_C, 0.0) + shift.temperature_c
        skin = skin + self._p.skin_moment_sd_c * self._skin_noise.normal()
        self._skin = np.round(np.clip(skin, 20.0, 43.0), 1).tolist()

    def _walk(self, asleep: BoolArray, shift: Any) -> None:
        walks, pace = self._walks.random(), self._walks.random()
        share = np.where(self.is_away, _AWAY_WALKS_SHARE, _WALKS_SHARE)
        factor = self._steps_factor * shift.activity
        for number in np.flatnonzero(self.is_out & ~asleep & (walks < share)).tolist():
            self.steps[number] += int((_WALK_STEPS + _WALK_STEPS_SPREAD * pace[number]) * factor[number])

    def _use_batteries(self) -> None:
        change = np.where(self.charging, 100 / (self._p.charge_h * 60), -100 / (self._p.battery_h * 60))
        self.battery_pct = np.clip(self.battery_pct + change, 0.0, 100.0)
        said_pct = np.round(self.battery_pct, 1)
        self._battery = said_pct.tolist()
        for number in sorted({*np.flatnonzero(said_pct <= 0).tolist()} ^ self._flat.keys()):
            self._turn_flat(number)
        self._worn = self.worn.tolist()

    def _turn_flat(self, number: int) -> None:
        """A wristband has fallen silent, or was charged a little and is heard again."""
        site = self._wristbands[number].site
        if number in self._flat:
            site.ends("wristband_flat", self._flat.pop(number))
        else:
            self._flat[number] = site.begins("wristband_flat")

    def examined(self, number: int) -> tuple[float, float, float]:
        """Pulse, breathing and SpO2 as somebody at the bedside measures them."""
        return self._mattress_bpm[number], self._breaths[number], self._spo2[number]

    def report_wristband(self, number: int, at_s: float) -> None:
        """The minute's reading of a wristband; one with an empty battery says nothing."""
        battery = self._battery[number]
        if battery <= 0:
            return
        steps, self.steps[number] = self.steps[number], 0
        if not self._worn[number]:
            self._wristbands[number].send(WEARABLE, {"worn": False, "steps": 0, "battery_pct": battery}, at_s)
            return
        values = {
            "worn": True,
            "steps": steps,
            "battery_pct": battery,
            "heart_rate_bpm": self._wrist_bpm[number],
        }
        if (self._minute + self._spo2_turn[number]) % SPO2_EVERY_MINUTES == 0:
            values["spo2_pct"] = self._spo2[number]
            values["skin_temperature_c"] = self._skin[number]
            values["beat_interval_sd_ms"] = self._beat_interval_sd_ms[number]
        self._wristbands[number].send(WEARABLE, values, at_s)

    def report_bed(self, number: int, at_s: float) -> None:
        """The bed's turn comes every 5 minutes: it measures a sleeper, and says hourly that nobody is there."""
        if not self.in_bed[number]:
            if round(at_s // BED_PERIOD_S) % BED_IDLE_ROUNDS == 0:
                self._beds[number].send(HOME_BED, {"in_bed": False}, at_s)
            return
        turns, self.turns[number] = self.turns[number], 0
        self._beds[number].send(
            HOME_BED,
            {
                "in_bed": True,
                "heart_rate_bpm": self._mattress_bpm[number],
                "breathing_rate_brpm": self._breaths[number],
                "turns": turns,
            },
            at_s,
        )

    def say_bed(self, number: int, in_bed: bool) -> None:
        """Somebody gets into bed or out of it."""
        if in_bed != self.in_bed[number]:
            self.in_bed[number] = in_bed
            self._beds[number].send(HOME_BED, {"in_bed": in_bed})
