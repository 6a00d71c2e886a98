"""The embedded broker: rumqttd, from the `iotcore` wheel, set up for a town on one machine.

It needs nothing but Python, which is what the demo wants, and it forgets everything when it stops, which is what a
durability test wants of nobody: those use Mosquitto. Three things about it decide how it is set up here, and two
more how it is used.

*Its memory is its log.* For every topic filter that anyone has ever subscribed to it keeps the newest messages, read
or unread, in segments; a subscriber reads from there, and one that is too far behind skips, without a word, to the
oldest that is left. By default that is ten segments of 100 MiB for each filter. Here it is `LOG_SEGMENTS` of
`LOG_SEGMENT_BYTES`: small, because what is dropped is always a whole segment, and few enough for a laptop, because
whoever was away longer than that gets the gap from the gateways again, which keep what they sent until it is durable.
`log_messages` says how many messages the log is sure to hold.

*A message over its limit costs the sender its connection*, without a reason given; a client that resends it will do
so for ever. So `MAX_PACKET_BYTES` is the limit a `haina.mqtt.Connection` has by default: it refuses to send such a
message in the first place.

*A subscriber has at most 100 messages in flight* (`MAX_IN_FLIGHT`), whatever the configuration says: one that
acknowledges only what is on disk must commit that often. As long as messages of one filter wait, all of these are of
that one, and the subscriber's other filters at QoS 1 get nothing at all; at QoS 0 they do.

*Retained messages come with a session's first subscription to a filter and not again*, where MQTT has them come with
every SUBSCRIBE, and at QoS 1 only the first `MAX_IN_FLIGHT` of them. Who needs the retained state of a whole town asks
for it at QoS 0, in a clean session. And a resumed session
that has not subscribed again gets no answer to an UNSUBSCRIBE.

*Filters of one client that overlap bring a message once each*, which MQTT allows and Mosquitto does not do.
"""

import errno
import logging
import signal
import socket
import tempfile
import threading
from pathlib import Path
from typing import Final

import structlog
from iotcore import IotCoreBroker

from haina.listen import joined
from haina.mqtt.connection import DEFAULT_MAX_PACKET_BYTES

MAX_PACKET_BYTES: Final = DEFAULT_MAX_PACKET_BYTES
"""The largest packet the broker takes, in bytes; what it counts is a little less, the packet without its header."""

MAX_IN_FLIGHT: Final = 100
"""QoS 1 messages a subscriber has in flight at most. Fixed in rumqttd 0.20; measured, and a test measures it again."""

RETAINED_AT_ONCE: Final = 100_000
"""Retained messages a subscription at QoS 0 is sure to bring; at QoS 1 it is `MAX_IN_FLIGHT`, and the rest never come.

Measured with iotcore 0.4.0, where it is `max_outgoing_packet_count`: 200, its usual value, brought 200 of 4,080."""

LOG_SEGMENT_BYTES: Final = 1024 * 1024
"""Size of a segment of the log, the unit in which messages are dropped, in bytes."""

LOG_SEGMENTS: Final = 64
"""Segments the broker keeps for each topic filter that has been subscribed to."""

LOG_MESSAGE_OVERHEAD_BYTES: Final = 4
"""What a message counts in the log, in bytes, beyond its topic and payload.

Measured with iotcore 0.4.0: a subscriber that acknowledges nothing, 100,000 messages of 203 bytes (topic and
payload), ten segments of 1 MiB. When it then acknowledges, it goes on at message 50,660 = 10 × 5,066, and
5,066 = 1 MiB / (203 + 4), rounded up. A test measures it again.
"""

MAX_CLIENTS: Final = 10_000
"""Clients connected at once, unless more are asked for. The process needs as many file descriptors (``ulimit -n``)."""


class PortInUse(Exception):
    """Something listens at this address already."""


class BrokerFailed(Exception):
    """The embedded broker stopped by itself."""


def log_messages(message_bytes: int, *, segment_bytes: int = LOG_SEGMENT_BYTES, segments: int = LOG_SEGMENTS) -> int:
    """How many messages of `message_bytes` (topic and payload) the log of one topic filter is sure to hold.

    All segments but one: the oldest is dropped whole when the newest is begun. With the configuration of this module,
    and 200 bytes a message, that is 323,883: eight seconds at 40,000 messages/s, or nine minutes at 600.
    """
    messages_in_segment = -(-segment_bytes // (message_bytes + LOG_MESSAGE_OVERHEAD_BYTES))
    return (segments - 1) * messages_in_segment


def run_embedded_broker(
    host: str = "127.0.0.1",
    port: int = 1883,
    *,
    max_clients: int = MAX_CLIENTS,
    max_packet_bytes: int = MAX_PACKET_BYTES,
    segment_bytes: int = LOG_SEGMENT_BYTES,
    segments: int = LOG_SEGMENTS,
) -> None:
    """Serve MQTT 3.1.1 at `host`:`port` until SIGTERM or SIGINT, then return. Belongs in a process's main thread.

    The log takes up to `segments` × `segment_bytes` for each topic filter subscribed to, and in memory about twice
    that at 200 bytes a message. Raises `PortInUse`, OSError for a host that is none of this machine's, ValueError for
    fewer than 2 segments or segments under 1 KiB, and `BrokerFailed` if the broker stops by itself.
    """
    if segments < 2 or segment_bytes < 1024:
        raise ValueError(f"the log needs 2 segments of 1,024 bytes or more (got {segments} of {segment_bytes})")
    listen = _free_address(host, port)
    configuration = _CONFIGURATION.format(
        listen=listen,
        max_clients=max_clients,
        max_packet_bytes=max_packet_bytes,
        max_in_flight=MAX_IN_FLIGHT,
        retained_at_once=RETAINED_AT_ONCE,
        segment_bytes=segment_bytes,
        segments=segments,
    )
    # rumqttd wraps every packet in an error-level span, which would reach Python's logging as an error each.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="haina-broker-") as folder:
        path = Path(folder) / "rumqttd.toml"
        path.write_text(configuration, encoding="utf-8")
        broker = IotCoreBroker(config_path=str(path))

    stop = threading.Event()
    previous = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    failure: list[str] = []

    def serve() -> None:
        try:
            broker.run_forever()
            failure.append("it returned")
        except BaseException as error:  # whatever it is, the foreground says it
            failure.append(str(error))
        stop.set()

    log = structlog.get_logger()
    try:
        # rumqttd has no way to be stopped; a daemon thread ends with the process, which ends when this returns.
        threading.Thread(target=serve, name="rumqttd", daemon=True).start()
        log.info("the embedded broker serves", address=listen, log_bytes_per_filter=segments * segment_bytes)
        stop.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if failure:
        raise BrokerFailed(f"the embedded broker at {listen} stopped by itself: {failure[0]}")
    log.info("the embedded broker stops")


def _free_address(host: str, port: int) -> str:
    """The numeric address, which is all rumqttd takes: of a name that has several, the first of IPv4; a port for 0."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, address = min(found, key=lambda info: info[0] != socket.AF_INET)
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen()
            address = probe.getsockname()  # with the port that was free, when any would do
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(f"something listens on {host}:{port} already") from None
            raise
    return joined(*address[:2])


_CONFIGURATION: Final = """\
id = 0

[router]
id = 0
max_connections = {max_clients}
max_outgoing_packet_count = {retained_at_once}
max_segment_size = {segment_bytes}
max_segment_count = {segments}

[v4.1]
name = "mqtt"
listen = "{listen}"
next_connection_delay_ms = 0

[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = {max_packet_bytes}
max_inflight_count = {max_in_flight}
"""
