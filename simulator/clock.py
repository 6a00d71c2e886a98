"""The one clock: how far the town may live on, given the time on the wall.

A run has two phases. In *history* it fills in its past as fast as the line takes, racing towards `live_from`
(or, when that is not set, towards now). Then it is *live*: it keeps pace with the wall at `speed` simulated
seconds per second, from an anchor that moves whenever the speed changes. Live time never passes the wall's
now, because charts and InfluxQL hide the future, unless `future` allows it. Speed 0 means as fast as the line
takes, up to now.

The clock is closed-loop: it only says how far the town *may* go. Whoever drives the run goes no faster than
readings become durable, and an outage makes the town late, never lossy; afterwards it catches up by itself.

Pure: no waiting, no wall clock of its own. Times are ms since 1970.
"""

from dataclasses import dataclass, field

from haina.contract import Phase

CATCH_UP_MS = 1_000  # history towards a moving now ends when it is this close
PRESENT_MS = 5_000  # closer to the wall's now than this, the town is at the present
MAX_SPEED = 100_000.0
FOREVER_MS = 8_000_000_000_000


class BadSpeed(ValueError):
    """A speed, step or pause that cannot be had; the message is one sentence."""


class PastPresent(BadSpeed):
    """A speed or step that would pass the present, and may not unless `future` allows it."""


@dataclass
class RunClock:
    """Says how far simulated time may go. `now_ms` is where the town is."""

    start_ms: int
    wall_ms: int
    live_from_ms: int | None = None
    end_ms: int | None = None
    speed: float = 1.0
    future: bool = False
    paused: bool = False
    phase: Phase = Phase.HISTORY
    now_ms: int = field(init=False)
    _anchor_sim_ms: int = field(init=False, default=0)
    _anchor_wall_ms: int = field(init=False, default=0)
    _steps_until_ms: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        _check_speed(self.speed)
        self.now_ms = self.start_ms
        self._settle_phase(self.wall_ms)

    def may_reach_ms(self, wall_ms: int) -> int:
        """How far simulated time may go when the wall says `wall_ms`; never before `now_ms`."""
        self.wall_ms = wall_ms
        if self.paused:
            return max(self.now_ms, self._steps_until_ms)
        if self.phase is Phase.HISTORY:
            target = wall_ms if self.live_from_ms is None else self.live_from_ms
        elif self.speed == 0:
            target = FOREVER_MS if self.future else wall_ms
        else:
            target = self._anchor_sim_ms + round((wall_ms - self._anchor_wall_ms) * self.speed)
            if not self.future:
                target = min(target, wall_ms)
        if self.end_ms is not None:
            target = min(target, self.end_ms)
        return max(self.now_ms, target)

    def reached(self, sim_ms: int, wall_ms: int) -> None:
        """Tell the clock that the town has lived until `sim_ms`."""
        self.now_ms = sim_ms
        self._settle_phase(wall_ms)

    @property
    def finished(self) -> bool:
        return self.end_ms is not None and self.now_ms >= self.end_ms

    def set_speed(self, speed: float, wall_ms: int, *, future: bool = False) -> None:
        """Change the speed from now on; `future` allows it to pass the present. Raises BadSpeed."""
        _check_speed(speed)
        if speed > 1 and not future and self.now_ms > wall_ms - PRESENT_MS:
            raise PastPresent("the town is at the present and keeps pace with it; send future: true to run ahead")
        self.speed = speed
        self.future = future
        self._anchor(wall_ms)

    def pause(self, paused: bool, wall_ms: int) -> None:
        self.paused = paused
        self._steps_until_ms = self.now_ms
        self._anchor(wall_ms)

    def step(self, step_s: float) -> None:
        """While paused, let the town live on for `step_s` simulated seconds. Raises BadSpeed when it runs."""
        if not self.paused:
            raise BadSpeed("pause the clock before stepping it")
        if not 0 < step_s <= 86_400:
            raise BadSpeed(f"a step is more than 0 and at most 86400 simulated seconds (got {step_s:g})")
        if not self.future and self.now_ms + step_s * 1000 > self.wall_ms:
            raise PastPresent("a step may not pass the present; send future: true to allow it")
        self._steps_until_ms = self.now_ms + round(step_s * 1000)

    def _settle_phase(self, wall_ms: int) -> None:
        if self.phase is Phase.LIVE:
            return
        if self.live_from_ms is None:
            arrived = self.now_ms >= wall_ms - CATCH_UP_MS
        else:
            arrived = self.now_ms >= self.live_from_ms
        if arrived:
            self.phase = Phase.LIVE
            self._anchor(wall_ms)

    def _anchor(self, wall_ms: int) -> None:
        self._anchor_sim_ms = self.now_ms
        self._anchor_wall_ms = wall_ms


def _check_speed(speed: float) -> None:
    if not (speed == 0 or 0.1 <= speed <= MAX_SPEED):
        raise BadSpeed(f"speed is 0 (as fast as the line takes) or 0.1 … {MAX_SPEED:g} (got {speed:g})")
