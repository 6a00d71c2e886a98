"""How long a reading takes from the socket to its store, measured once for each commit and not for each message.

A transaction knows when the first of its messages came. When a store has settled the last of them, all of them took at
most the time in between: so what is told is an upper bound, and the wait for the commit, for a batch to fill and for
the store are in it. A store that was down shows here as what it was, late.
"""

from bisect import bisect_left
from collections import deque
from itertools import accumulate
from typing import Final, NamedTuple

BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the histogram's buckets, and one without."""

MAX_UNDER_WAY: Final = 1_000
"""Commits that may wait for a store; beyond it two are taken for one, as old as the older of them."""

RECENT_COMMITS: Final = 2_000
"""What the percentiles are of: some seconds under load, minutes in a quiet town."""


class _UnderWay(NamedTuple):
    last: int  # the number of its last point
    points: int
    since_s: float


class Latency:
    """Receive-to-settled times of one store, in seconds on the loop's clock."""

    def __init__(self) -> None:
        self.total_s = 0.0
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self._under_way: deque[_UnderWay] = deque()
        self._recent: deque[tuple[float, int]] = deque(maxlen=RECENT_COMMITS)

    def committed(self, last: int, points: int, since_s: float) -> None:
        """Points up to number `last` are durable; the first of them came at `since_s`."""
        if len(self._under_way) >= MAX_UNDER_WAY:
            _, before, since_s = self._under_way.pop()
            points += before
        self._under_way.append(_UnderWay(last, points, since_s))

    def settled(self, cursor: int, now_s: float) -> None:
        """The store has everything through number `cursor`."""
        under_way = self._under_way
        while under_way and under_way[0].last <= cursor:
            _, points, since_s = under_way.popleft()
            took_s = now_s - since_s
            self._counts[bisect_left(BUCKETS_S, took_s)] += points
            self.total_s += took_s * points
            self._recent.append((took_s, points))

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bound and how many took no longer, the last one without a bound: as Prometheus has it."""
        bounds = [*(f"{bound:g}" for bound in BUCKETS_S), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self._counts)), strict=True))

    def percentiles_ms(self, *shares: float) -> list[float | None]:
        """Of the recent readings, the time within which that share of them was settled; None when there are none."""
        ascending = sorted(self._recent)
        if not ascending:
            return [None] * len(shares)
        upto = list(accumulate(points for _, points in ascending))
        return [round(1000 * ascending[bisect_left(upto, share * upto[-1])][0], 2) for share in shares]
