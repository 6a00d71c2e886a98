"""What the models must reproduce, and how it is measured.

`targets.yaml` commits a few numbers of recorded homes, offices and weather, each with its tolerance and its source;
the recordings themselves are not shipped. `movement` computes the statistics of movements, the same way for recorded
and for simulated homes. Tests compare the two.
"""

from functools import cache
from importlib import resources
from typing import NamedTuple

import yaml


class Target(NamedTuple):
    """A number a model must come near: within `tolerance` of `value`, in `unit`."""

    value: float | tuple[float, ...]
    tolerance: float
    unit: str
    source: str


@cache
def targets() -> dict[str, Target]:
    """The committed targets by name."""
    text = (resources.files("simulator.calibration") / "targets.yaml").read_text(encoding="utf-8")
    return {
        name: Target(
            tuple(entry["value"]) if isinstance(entry["value"], list) else entry["value"],
            entry["tolerance"],
            entry["unit"],
            entry["source"],
        )
        for name, entry in yaml.safe_load(text).items()
    }
