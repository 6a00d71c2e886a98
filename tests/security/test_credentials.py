"""`haina credentials`: what is there is kept, what is missing is made, and it is for its owner alone."""

import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from haina.command import compose
from haina.credentials import read_accounts

TOWN = "title: One place\nareas:\n  a01: {centres: 1, homes: 1}\n"


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "town.yaml"
    path.write_text(TOWN)
    return path


def haina(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(compose(), [*arguments], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.output


def credentials(*arguments: str, code: int = 0) -> str:
    return haina("credentials", "--scenario", "town.yaml", "--to", "secrets", *arguments, code=code)


def accounts() -> dict[str, str]:
    return {user: word for file in Path("secrets").glob("*/accounts") for user, word in read_accounts(file).items()}


def hashed() -> set[str]:
    return {line.partition(":")[0] for line in Path("secrets/mosquitto/passwords").read_text().splitlines()}


def test_a_site_more_is_an_account_more_and_one_can_be_rotated(town: Path) -> None:
    credentials("--site", "zone9/pump", "--tls", "localhost")
    first = accounts()
    assert set(first) == hashed() == {
        "a01/c01", "a01/h0001", "a01/w01",
        "a01/ambulance-station", "a01/care-station", "a01/committee-a01", "a01/o01",  # from where people set out
        "town/simulator", "collector", "console", "zone9/pump",
    }  # fmt: skip
    assert len(set(first.values())) == len(first)
    assert all(len(bytes.fromhex(password)) == 24 for password in first.values())  # 192 bits
    certificate = Path("secrets/collector/certificate.pem").read_text()

    town.write_text(TOWN.replace("homes: 1", "homes: 2"))
    credentials("--rotate", "a01/c01", "--rotate", "console", "--tls", "localhost")
    second = accounts()
    assert set(second) == hashed() == {*first, "a01/h0013"}
    assert {user for user in first if second[user] != first[user]} == {"a01/c01", "console"}
    assert Path("secrets/collector/certificate.pem").read_text() == certificate


def test_everything_is_for_its_owner_alone_and_nothing_is_kept_in_the_clear_for_the_broker(town: Path) -> None:
    said = credentials("--tls", "localhost", "--json")
    files = [path for path in Path("secrets").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in [*Path("secrets").iterdir()] if path.is_dir()} == {0o700}
    told = said + "".join(path.read_text() for path in Path("secrets/mosquitto").iterdir())
    assert not [password for password in accounts().values() if password in told]


def test_certificates_are_made_anew_when_the_broker_gets_another_name(town: Path) -> None:
    credentials("--tls", "localhost")
    trusted = Path("secrets/collector/ca.pem").read_text()
    assert '"certificates_made": []' in credentials("--tls", "localhost", "--json")
    assert '"certificates_made": ["mosquitto"]' in credentials("--tls", "localhost", "--tls", "::1", "--json")
    assert Path("secrets/collector/ca.pem").read_text() == trusted


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rotate", "nobody"], "there is no account 'nobody' to rotate"),
        (["--site", "pump"], "is not AREA/SITE"),
        (["--site", "a01/#"], "'#' must be lower-case letters"),
        (["--site", "a01/c01"], "would have two accounts"),
        (["--tls", "broker.example,DNS:other.example"], "neither a host name nor an IP address"),
        (["--tls", "-subj"], "neither a host name nor an IP address"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_leaves_nothing(town: Path, arguments: list[str], sentence: str) -> None:
    assert sentence in credentials(*arguments, code=2)
    assert list(Path().iterdir()) == [Path("town.yaml")]


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("harm", ["kill -9 $PPID", "exit 1", "full"])
def test_cut_short_it_leaves_the_folder_as_it_was_and_the_next_call_has_its_way(
    town: Path, harm: str, there: bool
) -> None:
    """Killed, or failed by openssl, when the first certificate is signed; or by a disk that takes no larger file."""
    if there:
        credentials("--tls", "localhost")
    kept, before = contents(), accounts() if there else {}
    openssl = town.parent / "bin/openssl"
    openssl.parent.mkdir()
    openssl.write_text(f'#!/bin/sh\ncase "$*" in "x509 -req"*) {harm};; esac\nexec {shutil.which("openssl")} "$@"\n')
    openssl.chmod(0o700)
    more = ["--tls", "127.0.0.1", *(["--rotate", "console"] if there else [])]
    done = subprocess.run(
        [sys.executable, "-m", "haina", "credentials", "--scenario", "town.yaml", "--to", "secrets", *more],
        env=os.environ | {"PATH": f"{openssl.parent}{os.pathsep}{os.environ['PATH']}"},
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (1_000, 1_000)) if harm == "full" else None,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == (-signal.SIGKILL if harm.startswith("kill") else 2)
    assert "Traceback" not in done.stderr
    assert {name: data for name, data in contents().items() if "draft" not in name} == kept
    credentials(*more)
    assert set(accounts()) == hashed() == {*before, *accounts()}
    assert {user for user in before if accounts()[user] != before[user]} == ({"console"} if there else set())
    assert not [path for path in town.parent.rglob("*") if "draft" in path.name or path.suffix == ".new"]


def contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path("secrets").rglob("*") if path.is_file()}


def test_what_has_not_changed_is_not_written_anew_and_a_broken_file_is_called_by_its_name(town: Path) -> None:
    credentials("--tls", "localhost")
    files = [Path("secrets/collector/accounts"), Path("secrets/collector/ca.pem"), Path("secrets/mosquitto/acl")]
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files]
    credentials("--tls", "localhost", "--rotate", "console")
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files] == before
    files[0].write_bytes(b"\xff")
    assert f"{files[0]}: not a file of accounts" in credentials(code=2)


SECRET = "s3cr3t-that-nobody-sees"


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (
            ["collect", "--broker", f"mqtt://user:{SECRET}@127.0.0.1"],
            {},
            "give --credentials FILE, or set HAINA_BROKER",
        ),
        (["simulate", "--broker", f"mqtts://u:{SECRET}/x@h"], {}, "give --credentials FILE, or set HAINA_BROKER"),
        (["console", "--password", SECRET], {}, "set HAINA_CONSOLE_PASSWORD instead"),
        (["dashboards", "push", "--grafana", "http://h", "--token", SECRET], {}, "set HAINA_GRAFANA_TOKEN instead"),
        (["console", "--collector", f"http://u:{SECRET}@h"], {}, "without user or password"),
        (["status", "--url", f"http://u:{SECRET}@h"], {}, "without user or password"),
        (["collect", "--store", f"influxdb+http://u:{SECRET}/x@h/b"], {}, "a store URL is"),
        (["collect"], {"HAINA_BROKER": f"mqtt://u:{SECRET}/x@h"}, "a broker's URL must be"),
        (["collect"], {"HAINA_STORE_TOKEN": f"{SECRET}\r\nX: y"}, "HAINA_STORE_TOKEN holds characters"),
        (["collect", "--store", "null:"], {"HAINA_COLLECTOR_TOKEN": f"{SECRET}ü"}, "HAINA_COLLECTOR_TOKEN holds"),
        (["status"], {"HAINA_COLLECTOR_TOKEN": f"{SECRET}\nx"}, "HAINA_COLLECTOR_TOKEN holds characters"),
        (["console"], {"HAINA_STORE_TOKEN": f"{SECRET}\nx"}, "HAINA_STORE_TOKEN holds characters"),
        (["collect", "--http", "0.0.0.0:0", "--store", "null:"], {}, "set HAINA_COLLECTOR_TOKEN to a secret"),
        (["collect", "--certificate", "c.pem"], {}, "--certificate c.pem cannot be read"),
        (["collect", "--ca-file", "town.yaml"], {}, "--ca-file town.yaml cannot be used"),
        (["simulate", "--credentials", "town.yaml"], {}, "town.yaml:2: an account is user:password"),
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_repeated(
    town: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], environment: dict[str, Any], sentence: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    said = haina(*arguments, code=2)
    assert sentence in said
    assert SECRET not in said
