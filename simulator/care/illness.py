"""Illness: what comes slowly over days, and a heart that loses its rhythm for hours.

An *infection* builds up over a day or two and is over in about a week: fever quickens heart and breath, and the
resident is slower, longer in bed, and more often in the bathroom. An *exacerbation* of COPD takes the same slow
course, and oxygen falls further. A *paroxysm* of atrial fibrillation begins at once: a fast pulse that differs from
one minute to the next, for minutes or hours.

None of it says so. What sensors show is a body that drifts away from its usual self; the truth ledger knows when each
course began, was at its worst and ended. Somebody who treats it (`treat`) lets it end sooner.

How far a body drifts is assumed, but for the pulse in fever: some 10 bpm for each °C (Karjalainen & Viitasalo, Arch
Intern Med 1986;146:1169: 8.5, in young men). Half an hour is the step in which it drifts; nothing is asked of the well.
"""

from typing import NamedTuple

import simpy

from simulator.care.body import VitalShift
from simulator.care.condition import AF, COPD
from simulator.care.fate import DAY_S, HOUR_S, Fate, Process
from simulator.randomness import Stream

_STEP_S = 1_800
_MOST_ILL_SHARE = 0.25
"""However large the boost, courses of days are started no oftener than fill this share of the time: assumed."""


class Course(NamedTuple):
    """What an illness does to a body at its worst, and how long it takes; all assumed, see above."""

    onset_mean_h: float
    worst_mean_d: float
    recovery_mean_d: float
    worst: VitalShift


INFECTION = Course(36.0, 2.5, 3.5, VitalShift(15.0, -5.0, 3.5, -1.0, 1.6, 0.5))
EXACERBATION = Course(60.0, 3.0, 5.0, VitalShift(11.0, -3.0, 5.0, -6.0, 0.3, 0.6))
_COURSE_CV, _SEVERITY_CV = 0.3, 0.25
_AF_PULSE_BPM, _AF_PULSE_SD_BPM, _AF_BEAT_INTERVAL_SD_MS = 35.0, 10.0, 60.0  # assumed: above the usual of who has it
_AF_LONGEST_S = 7 * DAY_S  # what lasts longer is no paroxysm any more: the usual definition
_ILL_ENOUGH_TO_SEE = 0.3


class Illness:
    """One resident's illnesses."""

    def __init__(self, fate: Fate) -> None:
        self._fate, self._bodies, self._number = fate, fate.home.bodies, fate.home.number
        self.course: Course | None = None
        self.event = ""  # that of the course
        self.severity = 0.0
        self._treated: simpy.Event | None = None
        self._paroxysm = VitalShift()
        p, conditions = fate.p, fate.life.resident.conditions
        fate.strikes(
            "infections",
            self._boosted(p.infections_per_year, INFECTION),
            lambda draws: self._fall_ill(draws, INFECTION),
        )
        if COPD in conditions:
            fate.strikes(
                "exacerbations",
                self._boosted(p.exacerbations_per_year, EXACERBATION),
                lambda draws: self._fall_ill(draws, EXACERBATION),
            )
        if AF in conditions:
            most = _MOST_ILL_SHARE * 365.25 * 24 / p.paroxysm_median_h
            fate.strikes("paroxysms", min(fate.boost * p.paroxysms_per_year, most), self._lose_rhythm)

    @property
    def is_seen(self) -> bool:
        """Whether whoever comes sees that the resident is ill."""
        return self.severity > _ILL_ENOUGH_TO_SEE or self._paroxysm != VitalShift()

    @property
    def is_grave(self) -> bool:
        """Whether it is a matter for a hospital."""
        return self.course is EXACERBATION and self.severity > 0.8

    @property
    def temperature_c(self) -> float:
        return 36.5 + (self.course.worst.temperature_c * self.severity if self.course else 0.0)

    def treat(self) -> None:
        """Somebody who knows how treats it: from now on it gets better."""
        if self._treated is not None and not self._treated.triggered:
            self._treated.succeed()

    def _boosted(self, per_year: float, course: Course) -> float:
        lasts_d = course.onset_mean_h / 24 + course.worst_mean_d + course.recovery_mean_d
        return min(self._fate.boost * per_year, _MOST_ILL_SHARE * 365.25 / lasts_d) if per_year else 0.0

    # -- courses of days -----------------------------------------------------------------------

    def _fall_ill(self, draws: Stream, course: Course) -> None:
        if self.course is None:
            self.course = course
            self._fate.env.process(self._run(draws, course))

    def _run(self, draws: Stream, course: Course) -> Process:
        """Worse and worse, then at its worst, then better and better."""
        kind = "infection" if course is INFECTION else "exacerbation"
        onset_s = draws.lognormal_mean_cv(course.onset_mean_h * HOUR_S, _COURSE_CV)
        worst_s = draws.lognormal_mean_cv(course.worst_mean_d * DAY_S, _COURSE_CV)
        recovery_s = draws.lognormal_mean_cv(course.recovery_mean_d * DAY_S, _COURSE_CV)
        worst = min(draws.lognormal_mean_cv(0.8, _SEVERITY_CV), 1.0)
        event = self.event = self._fate.begins(
            kind,
            onset_s=round(onset_s),
            worst_s=round(worst_s),
            recovery_s=round(recovery_s),
            severity=round(worst, 3),
        )
        treated = self._treated = self._fate.env.event()
        yield from self._drift(worst, onset_s, treated)
        if not treated.triggered:
            yield treated | self._fate.env.timeout(worst_s)
        is_treated, self._treated = treated.triggered, None
        yield from self._drift(0.0, recovery_s, None)
        self.course, self.event = None, ""
        self._fate.ends(kind, event, treated=is_treated)

    def _drift(self, to: float, length_s: float, treated: simpy.Event | None) -> Process:
        """Become so severe over so long, in steps; no further once it is treated."""
        env, since = self._fate.env, self.severity
        steps = max(round(length_s / _STEP_S), 1)
        for step in range(1, steps + 1):
            wait = env.timeout(length_s / steps)
            yield wait if treated is None else wait | treated
            if treated is not None and treated.triggered:
                return
            self._be(since + (to - since) * step / steps)

    def _be(self, severity: float) -> None:
        self.severity = severity
        self._shift(_STEP_S)

    def _shift(self, over_s: float) -> None:
        """Tell the body how far it is from its usual state, by all that it has."""
        worst = self.course.worst if self.course else VitalShift()
        together = [self.severity * ill + fast for ill, fast in zip(worst[:-1], self._paroxysm[:-1], strict=True)]
        activity = 1 - self.severity * (1 - worst.activity)
        self._bodies.shift(self._number, VitalShift(*together)._replace(activity=activity), over_s)

    # -- a heart without its rhythm ------------------------------------------------------------

    def _lose_rhythm(self, draws: Stream) -> None:
        if self._paroxysm != VitalShift():
            return
        p = self._fate.p
        length_s = min(p.paroxysm_median_h * HOUR_S * draws.lognormal(0.0, p.paroxysm_log_sd), _AF_LONGEST_S)
        faster_bpm = max(draws.normal(_AF_PULSE_BPM, _AF_PULSE_SD_BPM), 10.0)
        event = self._fate.begins("paroxysm", lasts_s=round(length_s), faster_bpm=round(faster_bpm, 1))
        self._paroxysm = VitalShift(faster_bpm, _AF_BEAT_INTERVAL_SD_MS)
        self._shift(0.0)

        def find_rhythm() -> None:
            self._paroxysm = VitalShift()
            self._shift(0.0)
            self._fate.ends("paroxysm", event)

        self._fate.later(length_s, find_rhythm)
