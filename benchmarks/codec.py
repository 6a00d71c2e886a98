"""What a message costs: in the codec alone, and received from a real broker, against paho-mqtt in the same run.

    python -m benchmarks.codec [--messages 20000] [--broker embedded|mosquitto]

The first table is processor time per message in batches of 100, the embedded broker's window. The second is that of
the receiving process alone (the broker is another): the messages wait in a persistent session, the client connects,
takes them all and acknowledges each. Paho acknowledges by itself, in its own thread; the collector's promise costs
the connection nothing more, for it acknowledges in batches either way. Ratios last longer than numbers.
"""

import argparse
import asyncio
import threading
import time
from collections.abc import Callable

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from haina.mqtt import Connection, ConnectOptions, Publishes
from haina.mqtt.codec import Decoder, encode_pubacks, encode_publish, encode_publishes
from tests.brokers import RunningBroker, embedded_broker, mosquitto_broker

BATCH = 100
TOPIC = b"haina/v1/telemetry/caoyang/home-%04d/band-1/vitals"
PAYLOAD = (
    b'{"time":1764000000000,"boot":1,"seq":%d,'
    b'"values":{"heart_rate_bpm":72.5,"spo2_pct":97.1,"skin_temperature_c":33.4,"steps":1042}}'
)

Message = tuple[bytes, bytes]


def build_messages(count: int) -> list[Message]:
    return [(TOPIC % (number % 1_000), PAYLOAD % number) for number in range(count)]


def best_us(run: Callable[[], object], count: int, rounds: int = 7) -> float:
    """Microseconds of processor per message in the best round: the others were disturbed by something else."""
    best_s = float("inf")
    for _ in range(rounds):
        begin_s = time.process_time()
        run()
        best_s = min(best_s, time.process_time() - begin_s)
    return best_s / count * 1e6


def measure_codec(messages: list[Message]) -> None:
    count = len(messages) // BATCH * BATCH
    ids = list(range(1, BATCH + 1))
    batches = [messages[start : start + BATCH] for start in range(0, count, BATCH)]
    wires = [encode_publishes(batch, ids) for batch in batches]
    acks = encode_pubacks(ids)
    decoder = Decoder()

    def each(act: Callable[[list[Message]], object]) -> Callable[[], object]:
        return lambda: [act(batch) for batch in batches]

    rows = {
        "encode PUBLISH, QoS 1": each(lambda batch: encode_publishes(batch, ids)),
        "encode PUBLISH, one call each": each(
            lambda batch: [encode_publish(topic, payload, packet_id=1) for topic, payload in batch]
        ),
        "decode PUBLISH, QoS 1": lambda: [decoder.feed(wire) for wire in wires],
        "encode PUBACK": each(lambda _: encode_pubacks(ids)),
        "decode PUBACK": each(lambda _: decoder.feed(acks)),
    }
    size = len(wires[0]) // BATCH
    print(f"codec, {count:,} messages of {size} bytes in batches of {BATCH}")
    for name, run in rows.items():
        print(f"  {name:<32} {best_us(run, count):8.3f} µs")


class Taker:
    """Takes messages until it has as many as it wants, acknowledging each batch."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.taken = 0
        self.acknowledged_count = 0
        self.changed = asyncio.Event()
        self.connection: Connection | None = None

    def connected(self, session_present: bool) -> None: ...

    def received(self, batch: Publishes) -> None:
        assert self.connection is not None
        self.taken += len(batch)
        self.connection.acknowledge(batch.packet_ids)
        if self.taken >= self.wanted:
            self.changed.set()

    def acknowledged(self, packet_ids: list[int]) -> None:
        self.acknowledged_count += len(packet_ids)
        self.changed.set()

    def disconnected(self, reason: str) -> None: ...


async def open_taker(broker: RunningBroker, client_id: str, wanted: int = 0) -> Taker:
    taker = Taker(wanted)
    options = ConnectOptions(client_id, clean_session=False)
    taker.connection = await Connection.open(broker.address, options, taker)
    return taker


async def queue(broker: RunningBroker, session: str, messages: list[Message]) -> float:
    """Leave the messages in a persistent session; microseconds of our processor per message published."""
    subscriber = (await open_taker(broker, session)).connection
    assert subscriber is not None
    await subscriber.subscribe(["haina/#"])
    await subscriber.close()
    publisher = await open_taker(broker, f"{session}-publisher")
    connection = publisher.connection
    assert connection is not None
    begin_s = time.process_time()
    sent = 0
    while publisher.acknowledged_count < len(messages):
        batch = messages[sent : sent + min(connection.room, BATCH)]
        if batch:
            connection.publish(batch)
            sent += len(batch)
        else:
            publisher.changed.clear()
            await publisher.changed.wait()
    cost_us = (time.process_time() - begin_s) / len(messages) * 1e6
    await connection.close()
    return cost_us


async def receive(broker: RunningBroker, session: str, count: int) -> tuple[float, float]:
    """Microseconds of processor, and of the clock, per message received."""
    begin_s, begin_clock_s = time.process_time(), time.perf_counter()
    taker = await open_taker(broker, session, count)
    await taker.changed.wait()
    cost_us = (time.process_time() - begin_s) / count * 1e6
    clock_us = (time.perf_counter() - begin_clock_s) / count * 1e6
    assert taker.connection is not None
    await taker.connection.close()
    return cost_us, clock_us


def receive_with_paho(broker: RunningBroker, session: str, count: int) -> tuple[float, float]:
    taken = 0
    complete = threading.Event()

    def on_message(_client: Client, _data: object, message: MQTTMessage) -> None:
        nonlocal taken
        taken += bool(message.topic and message.payload)
        if taken == count:
            complete.set()

    paho = Client(CallbackAPIVersion.VERSION2, client_id=session, clean_session=False)
    paho.on_message = on_message
    begin_s, begin_clock_s = time.process_time(), time.perf_counter()
    paho.connect(broker.host, broker.port)
    paho.loop_start()
    complete.wait()
    cost_us = (time.process_time() - begin_s) / count * 1e6
    clock_us = (time.perf_counter() - begin_clock_s) / count * 1e6
    paho.disconnect()
    paho.loop_stop()
    return cost_us, clock_us


def measure_line(broker: RunningBroker, messages: list[Message]) -> None:
    count = len(messages)
    published_us = asyncio.run(queue(broker, "haina", messages))
    ours_us, ours_clock_us = asyncio.run(receive(broker, "haina", count))
    asyncio.run(queue(broker, "paho", messages))
    paho_us, paho_clock_us = receive_with_paho(broker, "paho", count)
    print(f"from the broker, {count:,} messages at QoS 1: processor (clock) per message")
    print(f"  {'haina publishes':<32} {published_us:8.2f} µs")
    print(f"  {'haina receives, acknowledges':<32} {ours_us:8.2f} µs ({ours_clock_us:.2f} µs)")
    print(f"  {'paho receives, acknowledges':<32} {paho_us:8.2f} µs ({paho_clock_us:.2f} µs)")
    print(f"  {'paho to haina':<32} {paho_us / ours_us:8.1f} ×")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--broker", choices=["embedded", "mosquitto"], default="embedded")
    arguments = parser.parse_args()
    messages = build_messages(arguments.messages)
    measure_codec(messages)
    with embedded_broker() if arguments.broker == "embedded" else mosquitto_broker() as broker:
        measure_line(broker, messages)


if __name__ == "__main__":
    main()
