"""Who is there: every device is *online*, *silent*, *offline* or *unknown*, and these are never mixed up.

- *offline*: its gateway's retained status says so; the broker puts it there (the will) when a gateway vanishes.
- *unknown*: nobody has said whether its gateway is connected, or the device has said nothing to this collector yet (it
  was taken over from another one). No news is not bad news.
- *silent*: its gateway is connected, but the device has said nothing for longer than three times its habit
  (`accounting`), on the run's clock.
- *online*: its gateway is connected and it speaks as it usually does.

All times are event times, by the run's clock: a town that races through a week loses nobody for it, and one that is
paused grows no silence. Only without a run the machine's clock counts. The habit is learned from a device's readings
and kept with them, so a restart neither forgets it nor needs time to learn it again.
"""

from enum import StrEnum
from typing import Final

from collector.accounting import HABIT_FORMED_MS, LEAST_SILENCE_MS, SILENCE_HABITS, Device

NEWCOMER_MS: Final = 86_400_000
NEWCOMER_SILENCE_MS: Final = 2 * 3_600_000
"""Whoever has been heard for less than a day is not silent before two hours: most heartbeats come every hour, and a
habit is not known from its first readings. Assumed."""

STRANGER_READINGS: Final = 10
STRANGER_SILENCE_MS: Final = 26 * 3_600_000
"""Whoever has spoken fewer times than this is not silent before a day and some: the rarest heartbeat (an SOS button's)
is daily, and a press in between is no habit. Assumed, but for the heartbeat."""


BURSTS: Final = 5
NIGHT_MS: Final = 12 * 3_600_000
"""Whoever has kept silent this many times longer than on average speaks when something happens, not by the clock: a
motion sensor. Until its habit is formed it may not have met its night, and is not silent before half a day. Assumed;
without it two of three infrared sensors of simulated homes were called silent in their first night, now one in 25."""


class State(StrEnum):
    """How a device is; the order is how much an operator should care."""

    SILENT = "silent"
    OFFLINE = "offline"
    UNKNOWN = "unknown"
    ONLINE = "online"


def state(device: Device, gateway_online: bool | None, now_ms: int) -> State:
    """How a device is at `now_ms` of the run's clock, when its gateway is connected, is not, or may be (None)."""
    if gateway_online is False:
        return State.OFFLINE
    if gateway_online is None or not device.last_ms:
        return State.UNKNOWN
    silence_ms = now_ms - device.last_ms
    if silence_ms > LEAST_SILENCE_MS and silence_ms > allowed_silence_ms(device):
        return State.SILENT
    return State.ONLINE


def allowed_silence_ms(device: Device) -> int:
    """How long a device may say nothing before it is silent."""
    least_ms = LEAST_SILENCE_MS
    known_ms = device.last_ms - device.first_ms
    if device.received < STRANGER_READINGS:
        least_ms = STRANGER_SILENCE_MS
    elif known_ms < HABIT_FORMED_MS and device.habit_ms * device.received > BURSTS * known_ms:
        least_ms = NIGHT_MS
    elif known_ms < NEWCOMER_MS:
        least_ms = NEWCOMER_SILENCE_MS
    return max(SILENCE_HABITS * device.habit_ms, least_ms)
