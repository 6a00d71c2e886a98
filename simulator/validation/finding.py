"""What a check finds: a number, what it should be, and how far apart they may lie."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

Recorded = TypeVar("Recorded")

ALPHA = 1e-4
"""How often one number of a correct model may miss its tolerance; a check has fewer than ten of them."""

_UNITS = {"s", "min", "h", "bpm", "brpm", "c"}

Verdict = Literal["pass", "fail", "skipped"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How thoroughly to look."""

    seed: int = 1
    quick: bool = False
    recordings: Path | None = None

    def sized(self, quick: int, full: int) -> int:
        """A sample's size."""
        return quick if self.quick else full

    def recorded(self, read: Callable[[Path], Recorded]) -> Recorded:
        """What `read` finds in the folder of recordings. Raises `LeftOut` when it is not there."""
        if self.recordings is None:
            raise LeftOut("HAINA_DATA names no folder of recordings")
        try:
            return read(self.recordings)
        except OSError as error:
            raise LeftOut(f"{error.filename or self.recordings}: {error.strerror or error}") from None


class Curve(NamedTuple):
    """A profile to be drawn: what was expected and what was measured at each `x`."""

    x: Sequence[float]
    expected: Sequence[float]
    measured: Sequence[float]
    x_name: str
    y_name: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One number of a check. All of expected, measured, distance and tolerance are in `unit`."""

    what: str
    expected: float
    measured: float
    tolerance: float
    unit: str
    source: str
    test: str
    """The statistical test, its sample and its size, in words."""
    distance: float = field(default=-1.0)
    curve: Curve | None = None

    def __post_init__(self) -> None:
        if self.distance < 0:
            object.__setattr__(self, "distance", abs(self.measured - self.expected))

    @property
    def verdict(self) -> Verdict:
        """Not a number fails."""
        return "pass" if self.distance <= self.tolerance else "fail"


def spoken(name: str) -> str:
    """A target's name in words, without the unit it ends with: that stands beside it."""
    *words, last = name.split("_")
    return " ".join(words if last in _UNITS else [*words, last])


class LeftOut(Exception):
    """A check cannot be made here; the message is a sentence saying why."""


@dataclass(frozen=True, slots=True)
class Check:
    """A named question, what it is asked of, and how it is answered."""

    name: str
    title: str
    asked_of: str
    """The building blocks that were run: of the models themselves, or a plain SimPy network."""
    weight_s: float
    """About how long a full run takes on one idle core: for the progress bar only."""
    run: Callable[[Settings], list[Finding]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A check that was made, or why it was not."""

    check: Check
    findings: tuple[Finding, ...] = ()
    left_out: str = ""
    took_s: float = 0.0

    @property
    def verdict(self) -> Verdict:
        if self.left_out:
            return "skipped"
        return "pass" if self.findings and all(f.verdict == "pass" for f in self.findings) else "fail"
