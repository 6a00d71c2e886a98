"""Over TLS a connection is the same, to a broker whose certificate is known, and none to another."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from haina.mqtt import BrokerUnreachable, ConnectOptions
from haina.tls import client_context
from tests.brokers import mosquitto_broker
from tests.mqtt.conftest import Run
from tests.mqtt.inbox import Inbox, open_inbox, send_all


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificate")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=broker"
    extension = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command.split(), *extension, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def test_messages_go_both_ways_over_tls(certificate: tuple[Path, Path], run: Run) -> None:
    with mosquitto_broker(certificate=certificate) as broker:
        assert broker.url.startswith("mqtts://")
        address = replace(broker.address, trust=client_context(certificate[0]))

        async def scenario() -> None:
            both, inbox = await open_inbox(address, ConnectOptions("gateway"))
            await both.subscribe(["town"])
            messages = [(b"town", b"%d" % number) for number in range(1_000)]
            await send_all(both, inbox, messages)
            await inbox.until(lambda inbox: len(inbox.messages) == 1_000)
            assert inbox.payloads == [payload for _, payload in messages]
            both.pause_reading()
            both.resume_reading()
            await both.close()
            assert inbox.reason == "closed by us"

        run(scenario())


def test_a_certificate_nobody_vouches_for_is_unreachable(certificate: tuple[Path, Path], run: Run) -> None:
    with mosquitto_broker(certificate=certificate) as broker:

        async def scenario() -> None:
            inbox = Inbox()
            with pytest.raises(BrokerUnreachable, match=r"cannot be reached: .*certificate verify failed"):
                await inbox.open(broker.address, ConnectOptions("gateway"))
            assert inbox.calls == []

        run(scenario())
