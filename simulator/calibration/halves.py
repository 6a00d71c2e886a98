"""What was recorded in either half of the homes: one half to fit the rhythm to, the other to judge it by.

    HAINA_DATA=<folder of recordings> python -m simulator.calibration.halves

writes the statistics of both into `halves.yaml`, so that homes are judged by homes not fitted on even where the
recordings are not at hand.
"""

from dataclasses import fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import typer
import yaml

from simulator.calibration.homes import half, recorded_homes
from simulator.calibration.movement import MovementStatistics, measure
from simulator.calibration.recordings import from_recordings

Half = Literal["odd", "even"]

_HEAD = """\
# Written by `python -m simulator.calibration.halves`; simulator/calibration/movement.py says what each number is.
# TIHM: Palermo et al., Scientific Data 10:606 (2023), doi 10.1038/s41597-023-02519-y; 40 of its 56 homes, every
#   other one by its id. With thanks to Surrey and Borders Partnership NHS Foundation Trust.
"""
_DIGITS = 4


class Halves(NamedTuple):
    """The statistics of either half of the recorded homes."""

    odd: MovementStatistics
    even: MovementStatistics

    @classmethod
    def of_recordings(cls, folder: Path) -> "Halves":
        """Measured anew. Raises OSError when the recording is not in this folder."""
        recorded = recorded_homes(folder)
        return cls(measure(half(recorded, "odd")), measure(half(recorded, "even")))


@cache
def committed() -> Halves:
    """As they are committed."""
    found = yaml.safe_load(_file().read_text(encoding="utf-8"))
    return Halves(**{name: MovementStatistics(**_arrays(of_half)) for name, of_half in found.items()})


def as_yaml(halves: Halves) -> str:
    """The file, with its source."""
    said = {
        name: {each.name: _plain(getattr(of_half, each.name)) for each in fields(of_half)}
        for name, of_half in halves._asdict().items()
    }
    return _HEAD + yaml.safe_dump(said, sort_keys=False, default_flow_style=None, width=118)


def _file() -> Path:
    return Path(str(resources.files("simulator.calibration") / "halves.yaml"))


def _plain(value: Any) -> Any:
    """Numbers of four significant digits, arrays as lists."""
    if isinstance(value, np.ndarray):
        return [_plain(each) for each in value]
    return value if isinstance(value, int) else float(f"{value:.{_DIGITS}g}")


def _arrays(found: dict[str, Any]) -> dict[str, Any]:
    return {name: np.array(value) if isinstance(value, list) else value for name, value in found.items()}


def main() -> None:
    """Write simulator/calibration/halves.yaml from the recorded homes."""
    halves = from_recordings(Halves.of_recordings)
    _file().write_text(as_yaml(halves), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
