"""The store that keeps nothing: to measure the line before the store, or to raise alarms alone."""

from collections.abc import Sequence

from haina.contract import Point


class NullStore:
    """Takes every point and forgets it."""

    name = "null"

    def write(self, source: str, cursor: int, points: Sequence[Point]) -> None:
        """Do nothing, successfully."""

    def close(self) -> None:
        """Do nothing."""
