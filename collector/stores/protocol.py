"""What the collector asks of a *store*: write points durably, or say in which of two ways it could not.

The journal numbers every point it accepts: 1, 2, 3 … without a gap. A *cursor* is such a number. A batch is always a
contiguous run of the journal, so `write(source, cursor, points)` hands over exactly the points numbered
``cursor - len(points) + 1`` to ``cursor``. That one number makes everything else simple:

- a store that remembers, per `source`, the highest cursor it has written can drop from the front of a batch what it
  already has (``have - first + 1`` points, where ``first`` is the batch's first number), whichever way the batches
  were cut before a crash, a timeout or a bisection; a store that remembers nothing relies on a point's key;
- when a store refuses a batch, the shipper halves it and goes on from left to right; every half has its own cursor,
  and a point that is refused alone is left out: the next batch simply begins after it, so a store must accept a
  batch that begins later than its cursor + 1.

Both ways to fail are exceptions: `StoreUnavailable` is about the store and is tried again for ever, `StoreRefused`
is about the points and is not.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from haina.contract import Point

Each = TypeVar("Each")


class StoreUnavailable(Exception):
    """The store cannot take anything now (connection refused, time-out, 5xx, 429): the same batch is tried again.

    `retry_after_s` is how long the store asked to be left alone, in seconds; None when it did not say.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class StoreRefused(Exception):
    """Something in this batch will never be accepted (a type conflict, outside the retention …): one sentence why.

    Points of the batch may have been written all the same; writing a point twice changes nothing.
    """


class Store(Protocol):
    """Somewhere to keep points. The calls block; each shipper makes them from one thread of its own."""

    name: str
    """What logs, status and metrics call it, such as ``duckdb`` or ``influxdb``; unique among a collector's stores
    (the collector numbers namesakes)."""

    def write(self, source: str, cursor: int, points: Sequence[Point]) -> None:
        """Write `points`, the last of which is number `cursor` of journal `source`; durable when it returns.

        `source` is the journal's own uuid. Raises `StoreUnavailable` or `StoreRefused`.
        """

    def close(self) -> None:
        """Let go of connections and files. Nothing is written any more."""


def halves(batch: Sequence[Each], cursor: int) -> list[tuple[Sequence[Each], int]]:
    """A refused batch in two, each with its cursor, for a stack: the one to go on with is the last."""
    half = len(batch) // 2
    return [(batch[half:], cursor), (batch[:half], cursor - len(batch) + half)]
