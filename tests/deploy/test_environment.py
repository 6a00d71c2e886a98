"""`make env`: random secrets, for this user alone, made once."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.brokers import ROOT
from tests.deploy.stack import Stack, variables

SCRIPT = ROOT / "deploy/generate-env.sh"


def test_every_secret_is_long_random_and_like_no_other(tmp_path: Path) -> None:
    secrets = Stack(tmp_path).secrets
    project = secrets.pop("COMPOSE_PROJECT_NAME")
    assert project == "haina"
    assert len(set(secrets.values())) == len(secrets) == 7
    assert all(len(secret) == 48 and secret.isalnum() for secret in secrets.values())

    (tmp_path / "other").mkdir()
    again = Stack(tmp_path / "other").secrets
    assert not set(again.values()) & set(secrets.values())


def test_it_makes_just_the_secrets_that_compose_asks_for(tmp_path: Path) -> None:
    made = set(Stack(tmp_path).secrets) - {"COMPOSE_PROJECT_NAME"}
    assert made == {name for name, (operator, _) in variables().items() if operator == "?"}


def test_a_secret_has_no_default_and_its_absence_says_what_to_do() -> None:
    secret_words = ("PASSWORD", "TOKEN", "SECRET", "KEY")
    for name, (operator, rest) in variables().items():
        if any(word in name for word in secret_words):
            assert (operator, rest) == ("?", "run `make env` first"), name


def test_the_settings_it_names_have_the_defaults_that_compose_has(tmp_path: Path) -> None:
    Stack(tmp_path)
    lines = (tmp_path / ".env").read_text().splitlines()
    named = dict(line[1:].split("=", 1) for line in lines if line.startswith("#HAINA_"))
    assert named == {name: default for name, (operator, default) in variables().items() if operator == "-"}


def test_nobody_else_may_read_the_file(tmp_path: Path) -> None:
    Stack(tmp_path)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("existing", ["file", "dangling link"])
def test_an_existing_file_is_never_replaced(tmp_path: Path, existing: str) -> None:
    file = tmp_path / ".env"
    if existing == "file":
        file.write_text("HAINA_CONSOLE_PASSWORD=mine\n")
    else:
        file.symlink_to(tmp_path / "elsewhere")
    done = subprocess.run(["sh", SCRIPT, file], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "exists and is kept" in done.stderr
    assert not (tmp_path / "elsewhere").exists()
    if existing == "file":
        assert file.read_text() == "HAINA_CONSOLE_PASSWORD=mine\n"


def test_python_stands_in_where_openssl_is_missing(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "dirname", "python3"):
        program = shutil.which(tool)
        assert program is not None
        # A link would not do for a python that is a shim or looks for its library beside itself.
        (tools / tool).write_text(f'#!/bin/sh\nPATH={os.environ["PATH"]!r} exec {program} "$@"\n')
        (tools / tool).chmod(0o755)
    subprocess.run(
        ["/bin/sh", SCRIPT, tmp_path / ".env"], env={"PATH": str(tools)}, check=True, capture_output=True, text=True
    )
    assert (tmp_path / ".env").read_text().count("\nHAINA_") == 7


def test_without_random_numbers_nothing_is_written(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("openssl", "python3"):
        (tools / tool).write_text("#!/bin/sh\nexit 0\n")
        (tools / tool).chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", SCRIPT, tmp_path / ".env"], env={"PATH": path}, check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "No random numbers" in done.stderr
    assert not (tmp_path / ".env").exists()
