"""Both real brokers, and both event loops."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from tests.brokers import RunningBroker, embedded_broker, mosquitto_broker

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(scope="session", params=["embedded", "mosquitto"])
def broker(request: pytest.FixtureRequest) -> Iterator[RunningBroker]:
    """A real broker, shared: a test uses topics and client ids of its own, and leaves it running."""
    start = embedded_broker if request.param == "embedded" else mosquitto_broker
    with start() as running:
        yield running


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on each of the event loops Haina is used with."""
    loop_factory = None if request.param == "asyncio" else pytest.importorskip("uvloop").new_event_loop

    def run(coroutine: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(coroutine)

    return run


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name no other test has, for topics and client ids."""
    return "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
