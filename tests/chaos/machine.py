"""The machine under the line, as far as it can be hurt: a disk that fills up, a clock that steps."""

import asyncio
import contextlib
import ctypes
import os
import random
import resource
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.chaos.parts import Part

PAGE_BYTES: Final = 4_096
ROOM_BYTES: Final = 64 * 1024
"""What a full disk may still take, at most, so that some writes end in the middle."""

CLONE_NEWNS: Final = 0x20000
LIBFAKETIME: Final = "faketime/libfaketime.so.1"
STEPS_S: Final = (90, 7_200, 40 * 86_400, 3 * 365 * 86_400)
"""A bad second of NTP; a wrong zone; a battery that was empty for long."""


def own_mounts() -> None:
    """What this process mounts is seen by its children alone, and gone with them. Only root may."""
    if os.geteuid() == 0 and hasattr(libc := ctypes.CDLL(None), "unshare") and not libc.unshare(CLONE_NEWNS):
        subprocess.run(["mount", "--make-rprivate", "/"], check=False, capture_output=True)


class Disk:
    """A folder on a disk of its own, which can be full.

    The disk is a tmpfs where this process may mount one. Elsewhere parts run into a limit on the size of their files,
    which SQLite and DuckDB meet as another error at the same moment (EFBIG rather than ENOSPC).
    """

    def __init__(self, folder: Path, dice: random.Random, *, mount: bool) -> None:
        folder.mkdir()
        self.folder = folder
        self.is_mounted = mount and not _run("mount", "-t", "tmpfs", "-o", "size=2g", "none", str(folder))
        self._dice = dice

    async def fill(self, parts: Iterable[Part]) -> None:
        """Leave hardly any room to those parts."""
        room = self._dice.randrange(0, ROOM_BYTES, PAGE_BYTES)
        if not self.is_mounted:
            for part in parts:
                _limit_files(part, max(_largest(part.log), 256 * 1024) + room)
            return
        while True:  # a disk cannot be smaller than what it holds, and that may be growing
            held = os.statvfs(self.folder)
            if not _run(
                "mount", "-o", f"remount,size={(held.f_blocks - held.f_bfree) * held.f_frsize + room}", str(self.folder)
            ):
                return
            room += PAGE_BYTES
            await asyncio.sleep(0)

    async def empty(self, parts: Iterable[Part]) -> None:
        """Give them room again."""
        if self.is_mounted:
            _run("mount", "-o", "remount,size=2g", str(self.folder))
        for part in parts:
            _limit_files(part, resource.RLIM_INFINITY)

    def close(self, keep: Path | None) -> None:
        """Unmount it; what it held goes to `keep`, if that is wanted."""
        if self.is_mounted:
            if keep is not None:
                shutil.copytree(self.folder, keep)
            _run("umount", "-l", str(self.folder))


def _largest(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _limit_files(part: Part, most_bytes: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if part.pid is not None:
            resource.prlimit(part.pid, resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))


def _run(*command: str) -> int:
    return subprocess.run(command, check=False, capture_output=True).returncode


class Clock:
    """A wall clock that parts started in its `environment` believe in, and which steps; time goes on as it does.

    It needs libfaketime (Debian: faketime), and is always right without.
    """

    def __init__(self, folder: Path, dice: random.Random) -> None:
        self._offset = folder / "clock"
        self._dice = dice
        self._library = next(Path("/usr/lib").glob(f"*/{LIBFAKETIME}"), None)
        self._step(0)

    @property
    def environment(self) -> dict[str, str]:
        if self._library is None:
            return {}
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_CACHE_DURATION": "1",  # seconds until it is read again
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else Python's threads wait for each other in a busy loop
        }

    async def be_wrong(self, kind: str, for_s: float) -> None:
        """Step *ahead*, *back* or both in turn (*swinging*), and back to the truth in the end."""
        loop = asyncio.get_running_loop()
        right_s = loop.time() + for_s
        sign = 1 if kind == "ahead" else -1
        by_s = self._dice.choice(STEPS_S)
        try:
            while (left_s := right_s - loop.time()) > 0:
                self._step(sign * by_s)
                if kind != "swinging":
                    await asyncio.sleep(left_s)
                    return
                sign = -sign
                await asyncio.sleep(min(left_s, 1.5))
        finally:
            self._step(0)

    def _step(self, by_s: int) -> None:
        fresh = self._offset.with_suffix(".new")
        fresh.write_text(f"{by_s:+d}\n")
        fresh.replace(self._offset)
