"""What the models must reproduce, and how it is measured.

`targets.yaml` commits a few numbers of recorded homes, offices and weather, each with its tolerance and its source;
the recordings themselves are not shipped. `movement` computes the statistics of movements, the same way for recorded
and for simulated homes. Tests compare the two.
"""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np
import yaml

MOST = 0.9
"""What is one of many places may be as far from all of them together as this share of the recorded ones is."""


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
            entry["tolerance"] if "tolerance" in entry else as_far_as_most(entry["apart"]),
            entry["unit"],
            entry["source"],
        )
        for name, entry in yaml.safe_load(text).items()
    }


def as_far_as_most(apart: Sequence[float]) -> float:
    """The tolerance that recorded places give, from how far each is from all of them together."""
    return float(np.quantile(apart, MOST))
