"""The full stack's own files, run on this machine without Docker: the same settings, at other paths and ports.

`Stack` reads docker-compose.yml as Compose does, with a generated .env; `stack_broker` starts Mosquitto through the
container's own start script.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from haina.credentials import read_accounts
from tests.brokers import ROOT, RunningBroker, find_mosquitto, free_port

COMPOSE_FILE = ROOT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


class Stack:
    """docker-compose.yml with a generated .env in a folder; `settings` override what has a default."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.env_file = folder / ".env"
        self.credentials = folder / "secrets"
        subprocess.run(["sh", ROOT / "deploy/generate-env.sh", self.env_file], check=True, capture_output=True)
        lines = [line for line in self.env_file.read_text().splitlines() if line and not line.startswith("#")]
        self.secrets = dict(line.split("=", 1) for line in lines)
        self.services: dict[str, Any] = self._resolved(yaml.safe_load(COMPOSE_FILE.read_text()), settings)["services"]

    def make_credentials(self) -> Path:
        """What the service `credentials` makes, in a folder."""
        service = self.services["credentials"]
        command = [str(self.credentials) if word == "/secrets" else word for word in service["command"]]
        subprocess.run(
            [sys.executable, "-m", "haina", *command],
            cwd=ROOT, env=os.environ | service["environment"], check=True, capture_output=True,
        )  # fmt: skip
        return self.credentials

    def accounts(self, part: str) -> dict[str, str]:
        """The accounts of a part of the line, user and password."""
        return read_accounts(self.credentials / part / "accounts")

    def _resolved(self, value: Any, settings: dict[str, str]) -> Any:
        if isinstance(value, dict):
            return {key: self._resolved(part, settings) for key, part in value.items()}
        if isinstance(value, list):
            return [self._resolved(part, settings) for part in value]
        if not isinstance(value, str):
            return value

        def one(match: re.Match[str]) -> str:
            name, operator, rest = match.groups()
            known = self.secrets | settings
            assert name in known or operator == "-", f"{name} has neither a value nor a default"
            return known.get(name) or rest

        return _VARIABLE.sub(one, value)


def variables() -> dict[str, tuple[str, str]]:
    """The variables docker-compose.yml uses: name → `-` with its default, or `?` with its complaint."""
    return {name: (operator, rest) for name, operator, rest in _VARIABLE.findall(COMPOSE_FILE.read_text())}


def find_program(name: str, package: str) -> str:
    """Where a program is; a test that needs it is skipped without it, and fails on a machine that sets CI."""
    program = shutil.which(name)
    if program is None:
        sentence = f"{name} is not installed (Debian and Ubuntu: apt install {package})"
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(sentence)
        pytest.skip(sentence)
    return program


@contextmanager
def stack_broker(stack: Stack) -> Iterator[RunningBroker]:
    """Mosquitto as the container starts it: the repository's script, configuration and access rules."""
    sbin = str(Path(find_mosquitto()).parent)
    find_program("mosquitto_passwd", "mosquitto")
    with tempfile.TemporaryDirectory(prefix="haina-test-stack-") as name:
        folder, port = Path(name), free_port()
        (folder / "config").mkdir()
        (folder / "data").mkdir()
        secrets = stack.make_credentials()
        places = {
            "/mosquitto/secrets": str(secrets / "mosquitto"),
            "/mosquitto/config": str(folder / "config"),
            "/mosquitto/data": str(folder / "data"),
            "/tmp/haina": str(folder / "run"),
            "listener 8883\n": f"listener {port} 127.0.0.1\n" + ("user root\n" if os.geteuid() == 0 else ""),
            "-p 8883\n": f"-p {port}\n",
        }
        for source in ("mosquitto.conf", "start.sh"):
            text = (ROOT / "deploy/mosquitto" / source).read_text()
            moved = re.sub("|".join(map(re.escape, places)), lambda match: places[match[0]], text)
            (folder / "config" / source).write_text(moved)
        start = f"PATH=$PATH:{sbin} exec sh {folder / 'config/start.sh'}"
        broker = RunningBroker(["sh", "-c", start], port, folder, "mqtts")
        broker.trusted = secrets / "mosquitto/ca.pem"
        broker.start()
        try:
            yield broker
        finally:
            if broker.is_running:
                broker.kill()
