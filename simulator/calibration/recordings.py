"""The recordings that calibration is made from, for those who have them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from haina.command_line import fail

Recorded = TypeVar("Recorded")


def from_recordings(read: Callable[[Path], Recorded]) -> Recorded:
    """What `read` finds in the folder that HAINA_DATA names; without it the command ends with a sentence."""
    try:
        return read(Path(os.environ["HAINA_DATA"]))
    except (KeyError, OSError):
        fail("HAINA_DATA must name the folder of recordings")
