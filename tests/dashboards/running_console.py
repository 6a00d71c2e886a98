"""A real `haina console` process, and a real browser to look at it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.brokers import free_port

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
START_TIMEOUT_S = 60.0

FLAGS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class RunningConsole:
    """A console process."""

    def __init__(self, *arguments: str, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "console.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "haina", "console", "--listen", f"127.0.0.1:{self.port}",
                 "--data", str(folder / "console"), *arguments],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            )  # fmt: skip
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline_s:
                self.kill()
                raise RuntimeError(f"the console did not start:\n{self.log}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            httpx.get(f"{self.url}/healthz", trust_env=False)
        except httpx.HTTPError:
            return False
        return True

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def interrupt(self) -> int:
        """Ctrl-C; its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def running_console(
    folder: Path, *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[RunningConsole]:
    console = RunningConsole(*arguments, folder=folder, environment=environment)
    try:
        yield console
    finally:
        console.kill()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless; a test that needs it is skipped without it, and fails on a machine that sets CI."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        sentence = "Chromium is not installed (Debian and Ubuntu: apt install chromium fonts-noto-cjk)"
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(sentence)
        pytest.skip(sentence)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()
