"""The contract: the one place where the parts of Haina agree on topics, payloads and measurements.

A device says something about the town on a *topic* (`topic`), as a *message* (`message`) whose values
belong to a declared *measurement* (`measurement`, `catalogue`). The collector turns it into a *point*
(`point`) that any store can keep. Everything a reader may want printed -- JSON Schema, AsyncAPI, a table
for the docs -- is derived from those declarations (`document`), never written twice.
"""

from haina.contract.catalogue import MEASUREMENTS, measurement
from haina.contract.measurement import Field, Measurement
from haina.contract.message import (
    REFUSALS,
    Clock,
    Command,
    Meta,
    Phase,
    Reply,
    Status,
    Watermark,
    decode,
    encode,
    telemetry_payload,
)
from haina.contract.point import Point, line_protocol, lines, point_hash, time_ns
from haina.contract.topic import CLOCK_TOPIC, BadTopic, Topic, TopicClass

__all__ = [
    "CLOCK_TOPIC",
    "MEASUREMENTS",
    "REFUSALS",
    "BadTopic",
    "Clock",
    "Command",
    "Field",
    "Measurement",
    "Meta",
    "Phase",
    "Point",
    "Reply",
    "Status",
    "Topic",
    "TopicClass",
    "Watermark",
    "decode",
    "encode",
    "line_protocol",
    "lines",
    "measurement",
    "point_hash",
    "telemetry_payload",
    "time_ns",
]
