"""A real `haina store` process for tests, on a port of its own choice.

::

    with haina_store(folder) as store:
        ...                    # store.url
        store.kill()           # as kill -9 does it
        store.restart()        # same folder, same port
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0

COMMAND = (
    "from haina.logs import configure_logs; import typer; from collector.store_command import app; "
    "configure_logs('info', 'json'); app()"
)


def run_store_command(*arguments: str, environment: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    """`haina store` or `haina audit` with these arguments."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )


class RunningStore:
    """A store process that can be stopped, well or badly, and started again at the same address."""

    def __init__(self, folder: Path, options: Sequence[str], environment: Mapping[str, str] | None) -> None:
        self.folder = folder
        self.port = 0
        self.said_url = ""
        self._options = options
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        return f"duckdb+{self.http_url}"

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, and wait until it says where it listens; RuntimeError, with what it printed, if it does not."""
        self._process = run_store_command(
            "store",
            "--data",
            str(self.folder),
            "--listen",
            f"127.0.0.1:{self.port}",
            *self._options,
            environment=self._environment,
        )
        assert self._process.stderr is not None
        printed = []
        deadline_s = time.monotonic() + START_TIMEOUT_S
        for line in self._process.stderr:
            printed.append(line)
            if '"store is ready"' in line:
                self.said_url = json.loads(line)["url"]
                self.port = int(self.said_url.rpartition(":")[2])
                return
            if time.monotonic() > deadline_s:
                break
        raise RuntimeError(f"the store did not start:\n{''.join(printed)}")

    def limit_file_size(self, size_bytes: int | None) -> None:
        """Let no file of the process grow beyond this: for it, the disk is full. None: there is room again."""
        assert self._process is not None
        limit = resource.RLIM_INFINITY if size_bytes is None else size_bytes
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop and wait; its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        try:
            return self._process.wait(STOP_TIMEOUT_S)
        finally:
            self.kill()

    def kill(self) -> None:
        """Stop it as `kill -9` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def restart(self) -> None:
        """Start it again, at the same port and in the same folder; ask it to stop first if it runs."""
        if self.is_running:
            self.stop()
        self.start()


@contextmanager
def haina_store(folder: Path, *options: str, environment: Mapping[str, str] | None = None) -> Iterator[RunningStore]:
    """A running `haina store` on this folder, with more command-line options and environment."""
    store = RunningStore(folder, options, environment)
    store.start()
    try:
        yield store
    finally:
        store.kill()
