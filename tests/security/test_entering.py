"""Nobody enters Mosquitto unnamed, nobody is taken for somebody else, and no broker is taken for ours that is not."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.dead_letters import Letter, ReplayFailed, replay
from haina.authority import Authority, certify
from haina.contract import CLOCK_TOPIC, TopicClass
from haina.credentials import broker_address, keep_accounts, read_accounts, trusting
from haina.mqtt import BrokerAddress, BrokerUnreachable, Connection, ConnectionRefused, ConnectOptions
from tests.brokers import ROOT, RunningBroker, mosquitto_broker
from tests.mqtt.inbox import Inbox, open_inbox

PARTIES = {
    "simulator": ["a01/c01", "a01/c02", "town/simulator"],
    "collector": ["collector"],
    "console": ["console"],
}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets")
    keep_accounts(folder, PARTIES)
    certify(folder, PARTIES, ["127.0.0.1", "localhost"])
    return folder


@pytest.fixture(scope="module")
def broker(secrets: Path) -> Iterator[RunningBroker]:
    with mosquitto_broker(certificate=server(secrets), secrets=secrets, extra=["set_tcp_nodelay true"]) as running:
        yield running


def server(secrets: Path) -> tuple[Path, Path]:
    return (secrets / "mosquitto/certificate.pem",) * 2


def account(secrets: Path, user: str, url: str) -> BrokerAddress:
    accounts = next(folder / "accounts" for folder in map(secrets.joinpath, PARTIES) if user in text(folder))
    address = broker_address(
        url.replace("://", "://" + user.replace("/", "%2F") + "@"), accounts, secrets / "simulator/ca.pem"
    )
    assert address.username == user
    return address


def text(folder: Path) -> dict[str, str]:
    return read_accounts(folder / "accounts")


async def enter(address: BrokerAddress) -> None:
    connection, _ = await open_inbox(address, ConnectOptions("somebody"))
    await connection.close()


def test_each_account_enters_and_a_wrong_password_another_name_or_none_does_not(
    broker: RunningBroker, secrets: Path
) -> None:
    own = account(secrets, "a01/c01", broker.url)
    for user in (user for users in PARTIES.values() for user in users):
        asyncio.run(enter(account(secrets, user, broker.url)))
    for wrong in (
        replace(own, password="guess"),
        replace(own, password=""),
        replace(own, username="a01/c02"),
        replace(own, username="a01/c99"),
        replace(own, username=None, password=None),
    ):
        with pytest.raises(ConnectionRefused, match="refused 'somebody': not authorised"):
            asyncio.run(enter(wrong))


def test_a_broker_without_the_right_certificate_is_not_spoken_to(
    broker: RunningBroker, secrets: Path, tmp_path: Path
) -> None:
    """Signed by another, for another name, out of date: the password never leaves us."""
    own = account(secrets, "a01/c01", broker.url)
    with pytest.raises(BrokerUnreachable, match="certificate verify failed: unable to get local issuer"):
        asyncio.run(enter(replace(own, trust=None)))  # the system's authorities know nothing of ours
    stranger = Authority(tmp_path)
    with pytest.raises(BrokerUnreachable, match="certificate verify failed"):
        asyncio.run(enter(broker_address(broker.url, ca_file=stranger.certificate)))
    authority = Authority(secrets)
    elsewhere, late = tmp_path / "elsewhere.pem", tmp_path / "late.pem"
    authority.issue(elsewhere, "broker.example", "server", ["broker.example", "127.0.0.2"])
    sign_for_yesterday(secrets, late)
    for certificate, reason in ((elsewhere, "IP address mismatch"), (late, "certificate has expired")):
        with (
            mosquitto_broker(certificate=(certificate, certificate), secrets=secrets) as other,
            pytest.raises(BrokerUnreachable, match=f"certificate verify failed: {reason}"),
        ):
            asyncio.run(enter(replace(own, port=other.port)))


def sign_for_yesterday(secrets: Path, path: Path) -> None:
    request = path.with_suffix(".csr")
    named = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", *new, *named, "-keyout", path, "-out", request)
    signing = ["-CA", secrets / "authority.pem", "-CAkey", secrets / "authority.key", "-set_serial", "7", "-days", "-1"]
    signed = openssl("x509", "-req", "-in", request, "-copy_extensions", "copy", *signing)
    path.write_text(signed + path.read_text())


def openssl(*arguments: str | Path) -> str:
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def test_where_a_client_certificate_is_asked_for_nobody_enters_without(secrets: Path, tmp_path: Path) -> None:
    asking = [f"cafile {secrets}/mosquitto/ca.pem", "require_certificate true"]
    with mosquitto_broker(certificate=server(secrets), secrets=secrets, extra=asking) as broker:
        without = account(secrets, "collector", broker.url)
        with pytest.raises(BrokerUnreachable, match="did not accept"):
            asyncio.run(enter(without))
        keep_accounts(tmp_path, PARTIES)
        certify(tmp_path, PARTIES, ["127.0.0.1"])
        parts = (
            broker.url.replace("://", "://collector@"),
            secrets / "collector/accounts",
            secrets / "collector/ca.pem",
        )
        with pytest.raises(BrokerUnreachable, match="did not accept"):
            asyncio.run(enter(broker_address(*parts, tmp_path / "collector/certificate.pem")))
        asyncio.run(enter(broker_address(*parts, secrets / "collector/certificate.pem")))


SITES = PARTIES["simulator"]
SAYS = {
    **{site: {TopicClass.TELEMETRY, TopicClass.STATUS, TopicClass.META, TopicClass.REPLY} for site in SITES},
    "collector": {TopicClass.WATERMARK, TopicClass.ALARM, TopicClass.INDEX, TopicClass.COMMAND},
    "console": {TopicClass.COMMAND},
}


def test_everybody_says_only_what_is_theirs_and_hears_only_what_they_may(broker: RunningBroker, secrets: Path) -> None:
    """Each says everything, of its own site and of another, and subscribes to everything there is."""
    heard = asyncio.run(say_everything(broker, secrets))
    expected = {
        (speaker, topic_of(kind, site))
        for speaker, kinds in SAYS.items()
        for kind in kinds
        for site in ([speaker] if speaker in SITES else SITES)
    }
    assert heard["collector"] == heard["console"] == expected | {("town/simulator", CLOCK_TOPIC)}
    for gateway in SITES:
        assert heard[gateway] == {
            (speaker, topic)
            for speaker, topic in expected
            if topic in {topic_of(TopicClass.COMMAND, gateway), topic_of(TopicClass.WATERMARK, gateway)}
        }


def topic_of(kind: TopicClass, site: str) -> str:
    return f"haina/v1/{kind}/{site}/k1/x"


async def say_everything(broker: RunningBroker, secrets: Path) -> dict[str, set[tuple[str, str]]]:
    """What each account heard, as (speaker, topic); every account has said every topic once."""
    users = [user for users in PARTIES.values() for user in users]
    hearing: dict[str, tuple[Connection, Inbox]] = {}
    for user in users:
        hearing[user] = await open_inbox(account(secrets, user, broker.url), ConnectOptions(user.replace("/", "-")))
        await hearing[user][0].subscribe(["#"])
    topics = [topic_of(kind, site) for kind in TopicClass for site in SITES]
    topics += [CLOCK_TOPIC, "haina/v1/telemetry/a01", "haina/v2/telemetry/a01/c01/k1/x", "other", "a01/c01"]
    for user in users:
        for topic in topics:
            await say(account(secrets, user, broker.url), topic, user)
    # One more for each, in the order of the wire: after it, what was not delivered never will be.
    for site in SITES:
        await say(account(secrets, "console", broker.url), f"haina/v1/command/{site}/k1/last", "")
    for _, inbox in hearing.values():
        await inbox.until(lambda inbox: any(not message.payload for message in inbox.messages))
    for connection, _ in hearing.values():
        await connection.close()
    return {
        user: {(message.payload.decode(), message.topic.decode()) for message in inbox.messages if message.payload}
        for user, (_, inbox) in hearing.items()
    }


async def say(address: BrokerAddress, topic: str, payload: str, *, retain: bool = False) -> None:
    """Say it on a connection of its own: Mosquitto ends the one on which somebody says what they may not."""
    connection, inbox = await open_inbox(address, ConnectOptions("speaker"))
    connection.publish([(topic.encode(), payload.encode())], retain=retain)
    await inbox.until(lambda inbox: inbox.acknowledged_ids or inbox.reason)
    await connection.close()


def test_whoever_takes_over_the_collectors_session_reads_nothing_in_it(broker: RunningBroker, secrets: Path) -> None:
    async def scenario() -> None:
        session = ConnectOptions("haina-collector", clean_session=False)
        collector, own = await open_inbox(account(secrets, "collector", broker.url), session, acknowledges=False)
        await collector.subscribe(["haina/v1/#"])
        reading, its_command = topic_of(TopicClass.TELEMETRY, "a01/c02"), topic_of(TopicClass.COMMAND, "a01/c01")
        speaker, asker = account(secrets, "a01/c02", broker.url), account(secrets, "console", broker.url)
        await say(speaker, reading, "not acknowledged yet")
        await own.until(lambda inbox: inbox.messages)
        _, thief = await open_inbox(account(secrets, "a01/c01", broker.url), session)
        await own.until(lambda inbox: inbox.reason)  # it can send the collector away …
        await say(speaker, reading, "said meanwhile")
        await say(asker, its_command, "for the thief's own site")
        await thief.until(lambda inbox: inbox.messages)
        assert thief.session_present
        assert thief.payloads == [b"for the thief's own site"]  # … and gets what it may hear anyway

    asyncio.run(scenario())


def test_dead_letters_are_said_again_by_their_own_gateways_or_not_claimed_to_be(
    broker: RunningBroker, secrets: Path
) -> None:
    letters = [
        Letter(number, 0, "collector", topic_of(TopicClass.TELEMETRY, site), b"again", "a reason")
        for number, site in enumerate(SITES)
    ]

    async def scenario() -> None:
        console, inbox = await open_inbox(account(secrets, "console", broker.url), ConnectOptions("hearing"))
        await console.subscribe([TopicClass.TELEMETRY.filter])
        for some in (letters[:1], letters):
            with pytest.raises(ReplayFailed, match="give the gateways' accounts with --credentials"):
                await replay(some, account(secrets, "collector", broker.url))
        entry = trusting(broker.url, secrets / "collector/ca.pem")
        with pytest.raises(ReplayFailed, match="no account for a01/c02, so nothing was said again"):
            await replay(letters, entry, {"a01/c01": "x", "town/simulator": "x"})
        assert await replay(letters, entry, read_accounts(secrets / "simulator/accounts")) == len(letters)
        await inbox.until(lambda inbox: len(inbox.messages) == len(letters))
        await console.close()

    asyncio.run(scenario())


def test_a_home_is_forgotten_at_the_broker_with_the_accounts_there_are_and_not_claimed_to_be_with_fewer(
    secrets: Path, tmp_path: Path
) -> None:
    retained = {
        "haina/v1/meta/a01/c01/k1/info": "a01/c01",
        "haina/v1/status/a01/c01/gateway/connection": "a01/c01",
        "haina/v1/watermark/a01/c01/gateway/durable": "collector",
        "haina/v1/meta/a01/c02/k1/info": "a01/c02",
    }
    asking = [f"cafile {secrets}/mosquitto/ca.pem", "require_certificate true"]
    with mosquitto_broker(certificate=server(secrets), secrets=secrets, extra=asking) as broker:
        shown = ["--ca-file", f"{secrets}/collector/ca.pem", "--certificate", f"{secrets}/collector/certificate.pem"]
        collector, gateways = (["--credentials", f"{secrets}/{part}/accounts"] for part in ("collector", "simulator"))
        certified = trusting(broker.url, *map(Path, shown[1::2]))
        for topic, user in retained.items():
            own = account(secrets, user, broker.url)
            asyncio.run(say(replace(own, trust=certified.trust), topic, "{}", retain=True))

        def said(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
            what = [command, *arguments, "--broker", broker.url, "--json"]
            return subprocess.run(
                [sys.executable, "-m", "haina", *what], cwd=ROOT, capture_output=True, text=True, check=False
            )

        def known(site: str) -> int:
            handed = said("export", site, "--to", f"{tmp_path}/x.zip", *shown, *collector)
            lines: int = json.loads(handed.stdout)["lines"]["retained.jsonl"]
            return lines

        assert (known("c01"), known("a01/c02")) == (3, 1)
        unheard = said("forget", "c01", "--yes", *shown, *gateways)
        assert (unheard.returncode, "give the collector's --credentials as well" in unheard.stderr) == (2, True)
        unshown = said("forget", "c01", "--yes", *shown[:2], *collector, *gateways)
        assert (unshown.returncode, "did not accept" in unshown.stderr) == (1, True)
        part = said("forget", "c01", "--yes", *shown, *collector)
        assert part.returncode == 1
        assert "still retains 2 messages of the site, which the accounts given may not clear" in part.stderr
        forgot = said("forget", "a01/c01", "--yes", *shown, *collector, *gateways)
        assert forgot.returncode == 0, forgot.stderr
        assert json.loads(forgot.stdout)["forgotten"] == {f"retained messages at {broker.url}": 2}
        assert (known("c01"), known("a01/c02")) == (0, 1)


@pytest.mark.parametrize("command", [["forget", "h0001"], ["export", "h0001", "--to", "x.zip"]])
def test_a_password_on_the_command_line_is_refused_to_whoever_forgets_or_exports(command: list[str]) -> None:
    given = [sys.executable, "-m", "haina", *command, "--broker", "mqtt://user:secret@127.0.0.1"]
    done = subprocess.run(given, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, "--broker would show its password" in done.stderr) == (2, True)
