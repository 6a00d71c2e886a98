"""MQTT 3.1.1 as Haina speaks it: packets and their bytes (`codec`), and a connection to a broker (`connection`).

Everything here works in batches: one call, one write, many messages.
"""

from haina.mqtt.codec import CodecError, MalformedPacket, PacketTooLarge, Publish, Publishes, UnsupportedQoS, Will
from haina.mqtt.connection import (
    Backoff,
    BrokerAddress,
    BrokerUnreachable,
    Connection,
    ConnectionClosed,
    ConnectionFailed,
    ConnectionRefused,
    ConnectOptions,
    InFlightFull,
    InvalidAddress,
    MQTTError,
    NoReply,
    Receiver,
    SubscriptionRefused,
    stay_connected,
)

__all__ = [
    "Backoff",
    "BrokerAddress",
    "BrokerUnreachable",
    "CodecError",
    "ConnectOptions",
    "Connection",
    "ConnectionClosed",
    "ConnectionFailed",
    "ConnectionRefused",
    "InFlightFull",
    "InvalidAddress",
    "MQTTError",
    "MalformedPacket",
    "NoReply",
    "PacketTooLarge",
    "Publish",
    "Publishes",
    "Receiver",
    "SubscriptionRefused",
    "UnsupportedQoS",
    "Will",
    "stay_connected",
]
