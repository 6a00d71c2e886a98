"""What others would run in the collector's place: each a process of its own, told what to do by its arguments.

    python -m benchmarks._rivals null 127.0.0.1:1883 SESSION 200000

A rival prepares itself, prints `ready`, and waits for a line on its standard input; then it connects to its persistent
session, takes so many messages at QoS 1, prints `done`, and waits to be ended. `null`, `paho`, `gmqtt` and `aiomqtt`
only read and acknowledge; `plain` is the collector that a tutorial ends with: paho-mqtt, `json.loads`, a `Point`, and
the batching writer of influxdb-client; `safe` is the same made to acknowledge what is written, and no sooner. Both take
the store's URL, bucket and token from the environment.
"""

import asyncio
import collections
import json
import os
import sys
import threading


class _Counter:
    """Says `done` once so many have come."""

    def __init__(self, wanted: int) -> None:
        self.left = wanted
        self.done = threading.Event()

    def count(self, messages: int = 1) -> None:
        self.left -= messages
        if self.left <= 0 and not self.done.is_set():
            self.done.set()
            print("done", flush=True)


def begin() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def wait_for_the_end() -> None:
    sys.stdin.read()


def null(host: str, port: int, session: str, wanted: int) -> None:
    """The connection that Haina's collector uses, which takes a batch and acknowledges it."""
    from collector.service import REST_S
    from haina.mqtt import BrokerAddress, Connection, ConnectOptions, Publishes

    counter = _Counter(wanted)

    class Reader:
        def __init__(self) -> None:
            self.connection: Connection | None = None
            self.early: list[int] = []  # what arrives before `open` has returned

        def connected(self, session_present: bool) -> None: ...

        def received(self, batch: Publishes) -> None:
            packet_ids = batch.packet_ids
            if self.connection is None:
                self.early += packet_ids
            else:
                self.connection.acknowledge(packet_ids)
            counter.count(len(batch))

        def acknowledged(self, packet_ids: list[int]) -> None: ...

        def disconnected(self, reason: str) -> None: ...

    async def run() -> None:
        reader = Reader()
        options = ConnectOptions(session, clean_session=False, max_in_flight=5_000, rest_s=REST_S)
        reader.connection = await Connection.open(BrokerAddress(host, port), options, reader)
        reader.connection.acknowledge(reader.early)
        await asyncio.get_running_loop().run_in_executor(None, wait_for_the_end)

    from haina.command_line import loop_factory

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        begin()
        runner.run(run())


def paho(host: str, port: int, session: str, wanted: int) -> None:
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    counter = _Counter(wanted)
    client = Client(CallbackAPIVersion.VERSION2, client_id=session, clean_session=False)
    client.on_message = lambda *_: counter.count()
    begin()
    client.connect(host, port)
    client.loop_start()
    wait_for_the_end()


def plain(host: str, port: int, session: str, wanted: int, *, safe: bool = False) -> None:
    from influxdb_client.client.influxdb_client import InfluxDBClient
    from influxdb_client.client.write.point import Point
    from influxdb_client.client.write_api import WriteOptions
    from influxdb_client.domain.write_precision import WritePrecision
    from paho.mqtt.client import Client, MQTTMessage
    from paho.mqtt.enums import CallbackAPIVersion

    counter = _Counter(wanted)
    waiting: collections.deque[int] = collections.deque()  # packet ids, in the order of their points
    store = InfluxDBClient(os.environ["STORE_URL"], token=os.environ["STORE_TOKEN"], org=os.environ["STORE_ORG"])
    bucket = os.environ["STORE_BUCKET"]

    def written(_about: object, batch: str | bytes) -> None:
        for _ in range(batch.count("\n" if isinstance(batch, str) else b"\n") + 1):
            client.ack(waiting.popleft(), 1)

    def on_message(_client: Client, _data: object, message: MQTTMessage) -> None:
        *_, area, site, device, name = message.topic.split("/")
        said = json.loads(message.payload)
        point = Point(name).tag("area", area).tag("site", site).tag("device", device)
        for field, value in said["values"].items():
            point.field(field, int(value) if isinstance(value, bool) else value)
        point.field("boot", said["boot"]).field("seq", said["seq"]).time(said["time"], WritePrecision.MS)
        if safe:
            waiting.append(message.mid)
        writer.write(bucket, record=point)
        counter.count()

    client = Client(CallbackAPIVersion.VERSION2, client_id=session, clean_session=False, manual_ack=safe)
    client.on_message = on_message
    # The broker keeps a thousand in flight: a batch that waited for more would wait for its whole interval.
    options = WriteOptions(batch_size=500, flush_interval=50) if safe else WriteOptions()
    writer = store.write_api(write_options=options, success_callback=written if safe else None)
    begin()
    client.connect(host, port)
    client.loop_start()
    wait_for_the_end()


def safe(host: str, port: int, session: str, wanted: int) -> None:
    plain(host, port, session, wanted, safe=True)


def gmqtt(host: str, port: int, session: str, wanted: int) -> None:
    from gmqtt import Client
    from gmqtt.mqtt.constants import MQTTv311

    counter = _Counter(wanted)

    def on_message(*_: object) -> int:
        counter.count()
        return 0

    async def run() -> None:
        client = Client(session, clean_session=False)
        client.on_message = on_message
        await client.connect(host, port, version=MQTTv311)
        await asyncio.get_running_loop().run_in_executor(None, wait_for_the_end)

    begin()
    asyncio.run(run())


def aiomqtt(host: str, port: int, session: str, wanted: int) -> None:
    from aiomqtt import Client, ProtocolVersion

    counter = _Counter(wanted)

    async def run() -> None:
        async with Client(host, port, identifier=session, clean_session=False, protocol=ProtocolVersion.V311) as client:
            async for _ in client.messages:
                counter.count()

    begin()
    threading.Thread(target=lambda: (wait_for_the_end(), os._exit(0)), daemon=True).start()
    asyncio.run(run())


RIVALS = {rival.__name__: rival for rival in (null, paho, plain, safe, gmqtt, aiomqtt)}

if __name__ == "__main__":
    name, address, client_id, number = sys.argv[1:]
    host, _, port = address.rpartition(":")
    RIVALS[name](host, int(port), client_id, int(number))
