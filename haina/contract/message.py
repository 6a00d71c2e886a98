"""What the messages of each class contain, as msgspec structs, and their one encoding (compact JSON, UTF-8).

Times are event times: integer milliseconds since 1970 in UTC, on the run's own clock. A reading is identified
by its device with `boot` and `seq`: `boot` comes from the run (not from a clock) and `seq` counts a device's
readings from 1 within a boot, across all its measurements.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from haina.contract.measurement import BOOT, SEQ, TIME_MS, Value

MAX_PAYLOAD_BYTES = 16 * 1024  # under the embedded broker's own limit, so it never has to disconnect anyone
MAX_MESSAGE_BYTES = 256 * 1024  # of what is no reading; as much as a packet may have that `haina.mqtt` sends
MAX_SITE_DEVICES = 1_000  # they all stand in one status and watermark, 68 bytes each at most; assumed: it has 10 to 20
SCHEMA_VERSION = 1


class Phase(StrEnum):
    """Whether the run is still filling in its past (`history`) or keeps pace with its clock (`live`)."""

    HISTORY = "history"
    LIVE = "live"


class Meta(msgspec.Struct, omit_defaults=True):
    """What a device is and where it stands; retained. Labels are pseudonymous: never a name or a flat number."""

    kind: str
    run: str
    origin: Literal["sim", "device"]
    schema: int = SCHEMA_VERSION
    position: tuple[float, float] | None = None  # longitude, latitude in degrees, WGS-84
    labels: dict[str, str] = {}


class Status(msgspec.Struct, omit_defaults=True):
    """Whether a gateway is connected; retained. The broker sends the will `online: false` when it vanishes.

    `durable` is what a watermark had told it before: up to there it has let go of its readings and can say none of them
    again. So a collector that is new here knows where to begin, even if the broker has forgotten the watermark.

    `keeps` is a promise: it keeps this boot's readings until a watermark covers them, and says again what one leaves
    uncovered, also after its connection was gone. So the collector waits for what is missing, however long that takes;
    for one that is not connected, a day.
    """

    online: bool
    boot: BOOT
    time: TIME_MS | None = None
    durable: Annotated[dict[str, SEQ], msgspec.Meta(max_length=MAX_SITE_DEVICES)] = {}
    keeps: bool = False


class Command(msgspec.Struct, omit_defaults=True):
    """A wish, addressed by its topic. Obeyed at most once per `id`, and not after `expires` on the run's clock."""

    id: str
    expires: TIME_MS
    args: dict[str, Any] = {}


REFUSALS = {
    "no_power": ("site",),
    "no_uplink": ("site",),
    "expired": (),
    "kiosk_busy": ("device",),
    "kiosk_in_maintenance": ("device",),
    "needs_technician": ("fault",),
    "passes_by_itself": ("fault",),
    "not_in_fault": ("device",),
    "no_technicians": (),
    "technician_sent": ("device",),
    "refill_sent": ("device",),
    "help_sent": ("site",),
    "called_already": ("site",),
    "incident_not_open": ("incident",),
    "incident_assigned": ("incident",),
    "incident_attended": ("incident",),
}
"""Why a command was not done, as a reply's `code`, and what its `values` then name: for other languages.
Not every reason has one; whoever meets none, or one it does not know, shows the sentence."""


class Reply(msgspec.Struct, omit_defaults=True):
    """What became of the command with this `id`; `reason` is one sentence when it was not done.

    `values` say more to programs: what was found or begun, that the command would be done with `needs: true`, or what a
    `code` of `REFUSALS`, where the reason has one, is about.
    """

    id: str
    time: TIME_MS
    done: bool
    reason: str = ""
    code: str = ""
    values: dict[str, Any] = {}


class Watermark(msgspec.Struct, omit_defaults=True):
    """Every reading of this boot up to and including `durable[device]` is safe on the collector's disk; retained.

    With `again` the collector asks for all that is not covered: the broker had no session of it, so nobody has heard
    what was said meanwhile.

    One that is not retained names devices that the collector turns away: their readings are safe as dead letters alone.
    It says nothing of other devices, and takes back nothing that was said of them.
    """

    boot: BOOT
    durable: dict[str, int]
    again: bool = False


class Clock(msgspec.Struct, omit_defaults=True):
    """The town's time. All readings with an earlier event time were durable before this was published.

    Except: what the gateways of the sites in `offline` hold until their uplink is back. They will say it late.
    """

    run: str
    time: TIME_MS
    speed: float  # simulated seconds per wall-clock second that were asked for; 0 means as fast as the line takes
    phase: Phase
    achieved: float = 0.0  # simulated seconds per wall-clock second over the last few seconds
    paused: bool = False
    start: TIME_MS | None = None
    live_from: TIME_MS | None = None  # where history ends
    reached: TIME_MS | None = None  # how far the town has lived, durable or not; may be some seconds old
    offline: tuple[str, ...] = ()  # ids of sites


Message = TypeVar("Message", Meta, Status, Command, Reply, Watermark, Clock)

_encoder = msgspec.json.Encoder()
_DECODERS: dict[type[Any], "msgspec.json.Decoder[Any]"] = {
    message_type: msgspec.json.Decoder(message_type)
    for message_type in (Meta, Status, Command, Reply, Watermark, Clock)
}


def encode(message: Meta | Status | Command | Reply | Watermark | Clock) -> bytes:
    """The message as compact JSON."""
    return _encoder.encode(message)


def decode(message_type: type[Message], payload: bytes) -> Message:
    """Decode and check a payload. Raises msgspec.DecodeError (of which ValidationError is one) with a path.

    One over `MAX_MESSAGE_BYTES` is not even looked at.
    """
    if len(payload) > MAX_MESSAGE_BYTES:
        raise msgspec.DecodeError(f"a payload of {len(payload):,} bytes, where {MAX_MESSAGE_BYTES:,} is the limit")
    result: Message = _DECODERS[message_type].decode(payload)
    return result


class _Reading(msgspec.Struct, gc=False):
    """A reading about to be encoded: a struct costs a third less than a dictionary."""

    time: int
    boot: int
    seq: int
    values: dict[str, Value]


def telemetry_payload(time_ms: int, boot: int, seq: int, values: dict[str, Value]) -> bytes:
    """A reading's canonical payload. `values` holds the present fields in declared order, floats already rounded."""
    return _encoder.encode(_Reading(time_ms, boot, seq, values))


__all__ = [
    "BOOT",
    "MAX_MESSAGE_BYTES",
    "MAX_PAYLOAD_BYTES",
    "MAX_SITE_DEVICES",
    "REFUSALS",
    "SCHEMA_VERSION",
    "SEQ",
    "TIME_MS",
    "Clock",
    "Command",
    "Meta",
    "Phase",
    "Reply",
    "Status",
    "Watermark",
    "decode",
    "encode",
    "telemetry_payload",
]
