"""A real centre under laboratory conditions: laws that have a theory, everything else as in the town.

The centre, its visits, queues, balking, patience and kiosks are those of `simulator.centres`, unchanged. Only what
theory must know exactly is replaced: people come at a constant rate instead of by the hour, and, where the theory
wants it, a session's length is exponential instead of lognormal. Failures, paper and help are turned off by
parameters. What happens is taken from what the centre *says*, as anybody outside would.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from haina.contract.centre import CENTRE_QUEUE, KIOSK_SESSION
from simulator.centres import Centre, CentreParameters
from simulator.randomness import Stream
from simulator.town import Site, Town
from simulator.truth import NoTruth
from simulator.validation.inference import FloatArray
from simulator.weather import Weather, WeatherParameters

SERVICE_S = 60.0
TUESDAY_MS = 1_790_006_400_000  # 22 September 2026, midnight in Shanghai
ZHENRU = (121.4, 31.25)
_SLICE_S = 6 * 3_600.0

UNDISTURBED: dict[str, Any] = {
    "card_reader_mtbf_h": 1_000_000.0,
    "frozen_screen_mtbf_h": 1_000_000.0,
    "network_mtbf_h": 1_000_000.0,
    "card_reader_mttr_h": 1e-6,
    "frozen_screen_mttr_h": 1e-6,
    "network_mttr_h": 1e-6,
    "jam_per_session": 0.0,
    "maintenance_every_d": 0.0,
    "power_outages_per_year": 0.0,
    "uplink_outages_per_year": 0.0,
    "failed_share": 0.0,
    "assisted_share": 0.0,
    "assisted_share_over_75": 0.0,
    "assisted_share_60_to_74": 0.0,
    "under_35_share": 0.0,
    "sixty_to_74_share": 0.0,
    "over_75_share": 0.0,
    "together_share": 0.0,
    "retrial_share": 0.0,
    "gate_card_s": 0.0,
    "gate_code_s": 0.0,
    "gate_face_s": 0.0,
    "gate_unknown_share": 0.0,
    "gate_tries": 100,
    "stay_before_s": 0.0,
    "stay_after_s": 0.0,
    "return_to_queue": 1.0,
    "patience_mean_s": 86_400.0,
    "patience_weibull_shape": 1.0,
    "balk_at_persons": 1_000,
    "service_mean_s": SERVICE_S,
    "refill_after_h": 1e-6,
    "sheets_per_roll": 100_000,
    "pages_per_toner": 1_000_000,
    "blanks_per_box": 100_000,
    "day_cv": 0.0,
    "hour_cv": 0.0,
}
"""Parameters of a centre in which nothing but the queue happens."""


def found_town(seed: int, at_h: float = 0.0) -> Town:
    """A town at an hour of a Tuesday, with nothing in it."""
    return Town(seed=seed, start_ms=TUESDAY_MS + round(at_h * 3_600_000), run="validation", boot=1, truth=NoTruth())


def weather_of(town: Town, parameters: WeatherParameters | None = None) -> Weather:
    station = town.site("a01", "w01", "weather", ZHENRU).device("station", "weather-station")
    return Weather(town, parameters or WeatherParameters(), station)


class SteadyDemand:
    """People who come at a constant rate."""

    def __init__(self, site: Site, rate_per_s: float) -> None:
        self._env, self._draws, self._gap_s = site.env, site.stream("arrivals at a constant rate"), 1 / rate_per_s

    def wait_for_next(self) -> Generator[Any, Any, None]:
        yield self._env.timeout(self._draws.exponential(self._gap_s))


class ExponentialSessions(Stream):
    """Draws in which a session's length is exponential with mean `SERVICE_S`, and patience may be none at all."""

    patient = True

    def lognormal_mean_cv(self, mean: float, cv: float) -> float:
        """A session's length; what the model would have drawn it from is ignored."""
        return super().exponential(SERVICE_S)

    def exponential(self, mean: float) -> float:
        """Patience, and the (absent) ways from and to the gate."""
        return super().exponential(mean) if self.patient else 0.0


class LaboratoryCentre(Centre):
    """A centre of household kiosks with the laws of the laboratory."""

    def __init__(self, site: Site, kiosks: int, rate_per_s: float, p: CentreParameters, weather: Weather) -> None:
        super().__init__(site, ["household"] * kiosks, 1e-9, None, p, weather)
        self._demand = SteadyDemand(site, rate_per_s)  # type: ignore[assignment]
        self._laboratory: Stream | None = None

    def draw_sessions_from(self, draws: Stream) -> None:
        self._laboratory = draws

    def _draws_of(self, visitor: int) -> Stream:
        return self._laboratory or super()._draws_of(visitor)


@dataclass(frozen=True)
class Heard:
    """What a centre said of its queue after the warm-up."""

    wait_s: FloatArray
    """Of each session, in order."""
    session_s: FloatArray
    arrivals: FloatArray
    """Of each minute, and so are these."""
    balked: FloatArray
    reneged: FloatArray
    waiting: FloatArray
    """Persons waiting at the end of each minute."""
    seconds: float


def observe(
    seed: int,
    *,
    kiosks: int,
    rate_per_s: float,
    customers: int,
    exponential: bool = True,
    patient: bool = True,
    **parameters: Any,
) -> Heard:
    """Run a laboratory centre until about so many customers have come, and what it said. Ten hours warm it up."""
    town = found_town(seed)
    site = town.site("a01", "laboratory", "centre", ZHENRU)
    centre = LaboratoryCentre(
        site, kiosks, rate_per_s, CentreParameters(**{**UNDISTURBED, **parameters}), weather_of(town)
    )
    if exponential:
        draws = ExponentialSessions(seed, "laboratory", "visitors")
        draws.patient = patient
        centre.draw_sessions_from(draws)
    warm_s = 36_000.0
    end_s = warm_s + customers / rate_per_s
    sessions: list[tuple[float, float]] = []
    minutes: list[tuple[int, int, int, int]] = []
    while town.env.now < end_s:
        town.env.run(until=min(town.env.now + _SLICE_S, end_s))
        for emission in town.outbox:
            if emission.time_ms - TUESDAY_MS < warm_s * 1000:
                continue
            if emission.measurement is KIOSK_SESSION:
                said: Any = KIOSK_SESSION.decoder.decode(emission.payload).values
                sessions.append((said.wait_s, said.duration_s))
            elif emission.measurement is CENTRE_QUEUE:
                queue: Any = CENTRE_QUEUE.decoder.decode(emission.payload).values
                minutes.append(
                    (queue.arrivals_persons, queue.balked_persons, queue.reneged_persons, queue.waiting_persons)
                )
        town.outbox.clear()
        for kiosk in centre.kiosks:
            kiosk.fill()  # never the few minutes of a refill
    wait_s, session_s = np.array(sessions, dtype=np.float64).reshape(-1, 2).T
    arrivals, balked, reneged, waiting = np.array(minutes, dtype=np.float64).T
    return Heard(wait_s, session_s, arrivals, balked, reneged, waiting, end_s - warm_s)
