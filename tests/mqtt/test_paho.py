"""Paho speaks the same MQTT as this codec: its bytes are read, and ours are understood by it."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from haina.mqtt import ConnectOptions
from haina.mqtt.codec import (
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAcks,
    Publish,
    Publishes,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    Will,
    encode,
    encode_pubacks,
    encode_publishes,
)
from tests.brokers import RunningBroker
from tests.mqtt.conftest import Run
from tests.mqtt.inbox import open_inbox, send_all

WAIT_S = 20.0


class Peer:
    """The broker's end of one socket, with nothing but the codec behind it."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(WAIT_S)
        self.port: int = self._listener.getsockname()[1]
        self._socket: socket.socket | None = None
        self._decoder = Decoder()
        self._packets: list[Packet | Publish] = []

    def accept(self) -> None:
        self._socket, _ = self._listener.accept()
        self._socket.settimeout(WAIT_S)

    def send(self, data: bytes) -> None:
        assert self._socket is not None
        self._socket.sendall(data)

    def receive(self) -> Packet | Publish:
        assert self._socket is not None
        while not self._packets:
            data = self._socket.recv(65_536)
            assert data, "paho closed the connection"
            for packet in self._decoder.feed(data):
                self._packets += packet if isinstance(packet, Publishes) else [packet]
        return self._packets.pop(0)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._listener.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


def build_paho(client_id: str, **options: Any) -> Client:
    return Client(CallbackAPIVersion.VERSION2, client_id=client_id, **options)


@pytest.mark.parametrize("with_everything", [False, True])
def test_a_connect_of_paho_is_read_and_written_the_same(peer: Peer, with_everything: bool) -> None:
    paho = build_paho("海纳-1", clean_session=not with_everything)
    expected = Connect("海纳-1", clean_session=True, keep_alive_s=60)
    if with_everything:
        paho.username_pw_set("gateway", "密码")
        paho.will_set("town/海纳", b"offline", qos=1, retain=True)
        expected = Connect(
            "海纳-1", False, 60, Will("town/海纳".encode(), b"offline", 1, True), "gateway", "密码".encode()
        )
    paho.connect_async("127.0.0.1", peer.port)
    paho.loop_start()
    try:
        peer.accept()
        assert peer._socket is not None
        wire = peer._socket.recv(65_536)
        assert Decoder().feed(wire) == [expected]
        assert encode(expected) == wire
    finally:
        peer.close()
        paho.loop_stop()


def test_a_whole_conversation_with_paho(peer: Peer) -> None:
    paho = build_paho("kiosk", manual_ack=False)
    connected, subscribed, unsubscribed = threading.Event(), threading.Event(), threading.Event()
    arrived = threading.Semaphore(0)
    messages: list[MQTTMessage] = []
    published: list[int] = []

    def on_message(_client: Client, _data: object, message: MQTTMessage) -> None:
        messages.append(message)
        arrived.release()

    paho.on_connect = lambda *_: connected.set()
    paho.on_subscribe = lambda *_: subscribed.set()
    paho.on_unsubscribe = lambda *_: unsubscribed.set()
    paho.on_message = on_message
    paho.on_publish = lambda _client, _data, mid, *_: published.append(mid)
    paho.connect_async("127.0.0.1", peer.port)
    paho.loop_start()
    try:
        peer.accept()
        assert isinstance(peer.receive(), Connect)
        peer.send(encode(ConnAck(session_present=False, return_code=0)))
        assert connected.wait(WAIT_S)

        paho.subscribe([("town/#", 1), ("海纳/+", 0)])
        subscribe = peer.receive()
        assert isinstance(subscribe, Subscribe)
        assert subscribe.filters == (("town/#", 1), ("海纳/+", 0))
        peer.send(encode(SubAck(subscribe.packet_id, (1, 0))))
        assert subscribed.wait(WAIT_S)

        sent = [(b"town/%d" % size, bytes(size)) for size in (0, 1, 100, 130, 16_383, 16_400, 70_000)]
        peer.send(encode_publishes(sent, range(10, 10 + len(sent)), retain=True))
        for _ in sent:
            assert arrived.acquire(timeout=WAIT_S)
        assert [(message.topic.encode(), message.payload) for message in messages] == sent
        assert all(message.qos == 1 and message.retain and not message.dup for message in messages)
        acknowledged: list[int] = []
        while len(acknowledged) < len(sent):
            packet = peer.receive()
            assert isinstance(packet, PubAcks)
            acknowledged += packet.packet_ids
        assert acknowledged == list(range(10, 10 + len(sent)))

        first = paho.publish("town/desk", b"ready", qos=1, retain=True)
        second = paho.publish("town/desk", b"", qos=1)
        paho.publish("town/desk", b"quick", qos=0)
        assert [peer.receive() for _ in range(3)] == [
            Publish(b"town/desk", b"ready", 1, True, False, first.mid),
            Publish(b"town/desk", b"", 1, False, False, second.mid),
            Publish(b"town/desk", b"quick", 0, False, False, 0),
        ]
        peer.send(encode_pubacks([first.mid, second.mid]))
        first.wait_for_publish(WAIT_S)
        second.wait_for_publish(WAIT_S)
        assert {first.mid, second.mid} <= set(published)

        paho.unsubscribe("town/#")
        unsubscribe = peer.receive()
        assert isinstance(unsubscribe, Unsubscribe)
        assert unsubscribe.filters == ("town/#",)
        peer.send(encode(UnsubAck(unsubscribe.packet_id)))
        assert unsubscribed.wait(WAIT_S)

        paho._send_pingreq()
        assert peer.receive() == PingReq()
        peer.send(encode(PingResp()))
        paho.disconnect()
        assert peer.receive() == Disconnect()
    finally:
        paho.loop_stop()


def test_paho_hears_through_a_real_broker_what_this_connection_publishes(
    broker: RunningBroker, run: Run, name: str
) -> None:
    paho = build_paho(f"{name}-paho")
    heard: list[tuple[str, bytes, int]] = []
    ready, complete = threading.Event(), threading.Event()

    def on_message(_client: Client, _data: object, message: MQTTMessage) -> None:
        heard.append((message.topic, bytes(message.payload), message.qos))
        if len(heard) == 500:
            complete.set()

    def on_connect(*_: object) -> None:
        paho.subscribe(f"{name}/#", qos=1)

    paho.on_connect = on_connect
    paho.on_subscribe = lambda *_: ready.set()
    paho.on_message = on_message
    paho.connect_async(broker.host, broker.port)
    paho.loop_start()
    try:
        assert ready.wait(WAIT_S)

        async def scenario() -> None:
            publisher, sent = await open_inbox(broker.address, ConnectOptions(f"{name}-publisher"))
            await send_all(publisher, sent, [(f"{name}/海纳".encode(), b"%d" % n) for n in range(500)])
            await publisher.close()

        run(scenario())
        assert complete.wait(WAIT_S)
        assert heard == [(f"{name}/海纳", b"%d" % n, 1) for n in range(500)]
    finally:
        paho.disconnect()
        paho.loop_stop()


def test_this_connection_hears_through_a_real_broker_what_paho_publishes(
    broker: RunningBroker, run: Run, name: str
) -> None:
    async def scenario() -> None:
        subscriber, inbox = await open_inbox(broker.address, ConnectOptions(f"{name}-subscriber"))
        await subscriber.subscribe([f"{name}/#"])
        paho = build_paho(f"{name}-paho")
        paho.connect_async(broker.host, broker.port)
        paho.loop_start()
        try:
            while not paho.is_connected():  # noqa: ASYNC110 - what is published before may come after what is published then
                await asyncio.sleep(0.01)
            for number in range(500):
                paho.publish(f"{name}/海纳", b"%d" % number, qos=1)
            await inbox.until(lambda inbox: len(inbox.messages) >= 500)
        finally:
            await asyncio.to_thread(paho.disconnect)
            await asyncio.to_thread(paho.loop_stop)
        assert inbox.payloads == [b"%d" % number for number in range(500)]
        assert {message.topic for message in inbox.messages} == {f"{name}/海纳".encode()}
        await subscriber.close()

    run(scenario())
