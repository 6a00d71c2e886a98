"""Mosquitto as the full stack sets it up: who gets in, who may say and hear what, and what outlives a restart."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from haina.contract import CLOCK_TOPIC, TopicClass
from tests.brokers import RunningBroker
from tests.deploy.stack import Stack, find_program, stack_broker

WAIT_S = 15.0
ROLES = {"gateway": "a01/c01", "clock": "town/simulator", "collector": "collector", "console": "console"}
"""A role, and an account in it."""

SAYS: dict[str, set[str]] = {  # every class of topic has roles that may say it …
    "telemetry": {"gateway"},
    "status": {"gateway"},
    "meta": {"gateway"},
    "reply": {"gateway"},
    "clock": {"clock"},
    "watermark": {"collector"},
    "alarm": {"collector"},
    "index": {"collector"},
    "command": {"collector", "console"},
}
HEARS: dict[str, set[str]] = {  # … and roles that may hear it
    **dict.fromkeys(SAYS, {"collector", "console"}),  # noqa: RUF024
    "watermark": {"gateway", "collector", "console"},
    "command": {"gateway", "collector", "console"},
}


def topic_of(kind: str, site: str = "c01") -> str:
    return CLOCK_TOPIC if kind == "clock" else f"haina/v1/{kind}/a01/{site}/k1/x"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    return Stack(tmp_path_factory.mktemp("stack"))


@pytest.fixture(scope="module")
def broker(stack: Stack) -> Iterator[RunningBroker]:
    with stack_broker(stack) as running:
        yield running


def password(stack: Stack, role: str) -> str:
    part = "simulator" if role in {"gateway", "clock"} else role
    return stack.accounts(part)[ROLES[role]]


@contextmanager
def entered(
    broker: RunningBroker, user: str | None, secret: str | None, on_message: Callable[..., Any] | None = None
) -> Iterator[paho.Client]:
    """A client of MQTT 5, whose acknowledgements say whether something was allowed. Raises ConnectionRefusedError."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.tls_set(str(broker.trusted))
    if user is not None:
        client.username_pw_set(ROLES.get(user, user), secret)
    answered = threading.Event()
    codes: list[ReasonCode] = []

    def connected(_client: paho.Client, _data: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        codes.append(code)
        answered.set()

    client.on_connect = connected
    client.on_message = on_message
    client.connect(broker.host, broker.port, keepalive=30)
    client.loop_start()
    try:
        assert answered.wait(WAIT_S), "no answer to CONNECT"
        if codes[0].is_failure:
            raise ConnectionRefusedError(str(codes[0]))
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def say(client: paho.Client, topic: str, payload: bytes = b"{}") -> ReasonCode:
    """Publish at QoS 1 and return what the broker answered."""
    answers: dict[int, ReasonCode] = {}
    another = threading.Condition()

    def acknowledged(_client: paho.Client, _data: Any, mid: int, code: ReasonCode, _properties: Any) -> None:
        with another:
            answers[mid] = code
            another.notify()

    client.on_publish = acknowledged
    mid = client.publish(topic, payload, qos=1).mid
    with another:
        assert another.wait_for(lambda: mid in answers, WAIT_S), f"no acknowledgement for {topic}"
    return answers[mid]


def listen(client: paho.Client, topic_filter: str) -> None:
    done = threading.Event()
    client.on_subscribe = lambda *_: done.set()
    client.subscribe(topic_filter, qos=1)
    assert done.wait(WAIT_S)


def test_every_class_of_the_contract_has_its_rule() -> None:
    assert set(SAYS) == set(HEARS) == {*TopicClass, "clock"}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_say_what_is_its_own_and_nothing_else(broker: RunningBroker, stack: Stack, role: str) -> None:
    with entered(broker, role, password(stack, role)) as client:
        allowed = {kind for kind in SAYS if not say(client, topic_of(kind)).is_failure}
        strange = [
            topic
            for topic in (
                "haina/v1/telemetry/a01",
                "haina/v1/telemetry/a01/c02/k1/x",
                "haina/v2/telemetry/a01/c01/k1/x",
                "other",
                "$SYS/broker/version",
            )
            if not say(client, topic).is_failure
        ]
    assert allowed == {kind for kind, owners in SAYS.items() if role in owners}
    assert strange == []


def test_a_role_hears_what_it_needs_and_nothing_else(broker: RunningBroker, stack: Stack) -> None:
    heard: dict[str, set[str]] = {kind: set() for kind in HEARS}
    kinds = {topic_of(kind): kind for kind in HEARS}
    every_one_in = threading.Event()
    ends: set[str] = set()

    def hearing(role: str) -> Callable[..., None]:
        def on_message(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
            if message.payload == b"the last":
                ends.add(role)
                if ends == {"gateway", "collector", "console"}:
                    every_one_in.set()
            elif message.topic in kinds:
                heard[kinds[message.topic]].add(role)

        return on_message

    with ExitStack() as inside:
        clients = {
            role: inside.enter_context(entered(broker, role, password(stack, role), hearing(role))) for role in ROLES
        }
        for client in clients.values():
            listen(client, "#")  # granted to anybody; what counts is what is delivered
        for topic, kind in kinds.items():
            assert not say(clients[min(SAYS[kind])], topic).is_failure
        # One more to each, in the order of the wire: after it, what was not delivered never will be.
        say(clients["console"], topic_of("command"), b"the last")
        assert every_one_in.wait(WAIT_S), f"only {ends} heard the end"
    assert heard == HEARS


@pytest.mark.parametrize(
    ("user", "secret"), [(None, None), ("gateway", "guess"), ("collector", ""), ("health", "health"), ("root", "x")]
)
def test_nobody_gets_in_without_the_right_password(broker: RunningBroker, user: str | None, secret: str | None) -> None:
    with pytest.raises(ConnectionRefusedError, match="Not authorized"), entered(broker, user, secret):
        pass


def test_one_role_cannot_enter_with_the_password_of_another(broker: RunningBroker, stack: Stack) -> None:
    with pytest.raises(ConnectionRefusedError), entered(broker, "console", password(stack, "gateway")):
        pass


def test_the_health_check_of_the_container_passes_while_mosquitto_serves(broker: RunningBroker, stack: Stack) -> None:
    find_program("mosquitto_sub", "mosquitto-clients")
    kind, *command = stack.services["mosquitto"]["healthcheck"]["test"]
    assert kind == "CMD"
    assert stack.services["mosquitto"]["environment"]["XDG_CONFIG_HOME"] == "/tmp/haina"
    environment = os.environ | {"XDG_CONFIG_HOME": str(broker.folder / "run")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "mosquitto version" in done.stdout


def test_passwords_are_kept_hashed_and_for_the_broker_alone(broker: RunningBroker, stack: Stack) -> None:
    file = broker.folder / "run/passwords"
    assert file.stat().st_mode & 0o077 == 0
    assert not any(password(stack, role) in file.read_text() for role in ROLES)


def test_a_collector_that_is_away_finds_what_was_said_even_after_a_restart(stack: Stack) -> None:
    """More than Mosquitto's default of 1,000 queued messages; SIGTERM as `docker compose restart` sends it."""
    count = 3_000
    with stack_broker(stack) as broker:
        heard: list[bytes] = []
        all_in = threading.Event()

        def on_message(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
            heard.append(bytes(message.payload))
            if message.payload == b"end":
                all_in.set()

        def collector() -> paho.Client:
            client = paho.Client(CallbackAPIVersion.VERSION2, client_id="away", clean_session=False)
            client.username_pw_set("collector", password(stack, "collector"))
            client.tls_set(str(stack.credentials / "collector/ca.pem"))
            client.on_message = on_message
            client.connect(broker.host, broker.port)
            client.loop_start()
            return client

        first = collector()
        listen(first, "haina/v1/telemetry/+/+/+/+")
        first.disconnect()
        first.loop_stop()

        with entered(broker, "gateway", password(stack, "gateway")) as simulator:
            for number in range(count):
                simulator.publish(topic_of("telemetry"), str(number).encode(), qos=1)
            assert not say(simulator, topic_of("telemetry"), b"end").is_failure
        broker.restart()

        second = collector()
        assert all_in.wait(WAIT_S), f"{len(heard)} of {count} came"
        second.disconnect()
        second.loop_stop()
    assert heard == [*(str(number).encode() for number in range(count)), b"end"]


def test_a_packet_over_the_limit_is_refused_and_one_of_ours_is_not(broker: RunningBroker, stack: Stack) -> None:
    with entered(broker, "gateway", password(stack, "gateway")) as client:
        assert not say(client, topic_of("telemetry"), bytes(200 * 1024)).is_failure
        gone = threading.Event()
        client.on_disconnect = lambda *_: gone.set()
        client.publish(topic_of("telemetry"), bytes(300 * 1024), qos=0)
        assert gone.wait(WAIT_S)
