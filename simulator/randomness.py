"""Randomness that belongs to somebody.

Every entity draws from streams of its own, named by the run's seed, the entity and a purpose. So adding one
home changes nobody else's draws, and asking one model for one more number changes only that purpose.

The generator is SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014):
its n-th output is a hash of key + n·γ, so it is counter-based, needs no state but n, and NumPy computes it for
one stream ahead (`Stream`) or across many streams at once (`CohortStream`).
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

_GAMMA_INT, _MASK = 0x9E3779B97F4A7C15, 2**64 - 1
_GAMMA = np.uint64(_GAMMA_INT)
# Arrays of no dimension: NumPy would turn a scalar into one at every use, which costs as much as the arithmetic.
_MIX_1, _MIX_2 = (np.array(factor, dtype=np.uint64) for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_S30, _S27, _S31, _S11 = (np.array(shift, dtype=np.uint64) for shift in (30, 27, 31, 11))
_HALF, _TO_UNIT = np.array(0.5), np.array(2.0**-53)
# Drawn ahead at once: about what a visitor of a centre, who has a stream to himself, needs in all; then many.
_FIRST_BLOCK, _BLOCK = 24, 128

_BLOCK_STEPS = np.arange(1, _BLOCK + 1, dtype=np.uint64) * _GAMMA
_FIRST_STEPS = _BLOCK_STEPS[:_FIRST_BLOCK]

UInt64Array = npt.NDArray[np.uint64]
FloatArray = npt.NDArray[np.float64]

_standard_normal = NormalDist()


def stream_key(seed: int, entity: str, purpose: str) -> int:
    """The 64-bit key of a stream."""
    return xxhash.xxh3_64_intdigest(f"{seed}\x00{entity}\x00{purpose}".encode())


def _uniforms(states: UInt64Array) -> FloatArray:
    """SplitMix64's output function, as float64 in the open interval (0, 1)."""
    z = states ^ (states >> _S30)
    z *= _MIX_1
    z ^= z >> _S27
    z *= _MIX_2
    z ^= z >> _S31
    z >>= _S11
    unit: FloatArray = z + _HALF
    unit *= _TO_UNIT
    return unit


class Stream:
    """One entity's random numbers for one purpose."""

    __slots__ = ("_ahead", "_drawn", "_key")

    def __init__(self, seed: int, entity: str, purpose: str) -> None:
        self._key = stream_key(seed, entity, purpose)
        self._drawn = 0
        self._ahead: list[float] = []

    def random(self) -> float:
        """Uniform in (0, 1): never exactly 0 or 1, so logarithms and quantiles are always finite."""
        if not self._ahead:
            steps = _BLOCK_STEPS if self._drawn else _FIRST_STEPS
            reached = (self._key + self._drawn * _GAMMA_INT) & _MASK
            self._ahead = _uniforms(steps + np.uint64(reached))[::-1].tolist()
            self._drawn += len(steps)
        return self._ahead.pop()

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.random()

    def exponential(self, mean: float) -> float:
        """Exponential with the given mean, in the mean's unit."""
        return -mean * math.log(self.random())

    def normal(self, mean: float, sd: float) -> float:
        return mean + sd * _standard_normal.inv_cdf(self.random())

    def lognormal(self, mu: float, sigma: float) -> float:
        """Exp of a normal; `mu` and `sigma` are on the log scale."""
        return math.exp(mu + sigma * _standard_normal.inv_cdf(self.random()))

    def lognormal_mean_cv(self, mean: float, cv: float) -> float:
        """Lognormal with the given mean and coefficient of variation on the natural scale."""
        variance = math.log1p(cv * cv)
        return self.lognormal(math.log(mean) - variance / 2, math.sqrt(variance))

    def gamma(self, shape: float, scale: float) -> float:
        """Gamma variate (Marsaglia & Tsang, ACM TOMS 2000), mean shape·scale."""
        if shape < 1:
            return self.gamma(shape + 1, scale) * math.pow(self.random(), 1 / shape)
        d = shape - 1 / 3
        c = 1 / math.sqrt(9 * d)
        while True:
            x = self.normal(0, 1)
            v = (1 + c * x) ** 3
            if v > 0 and math.log(self.random()) < 0.5 * x * x + d - d * v + d * math.log(v):
                return d * v * scale

    def weibull(self, shape: float, scale: float) -> float:
        return scale * math.pow(-math.log(self.random()), 1 / shape)

    def poisson(self, mean: float) -> int:
        """Poisson by counting exponential gaps; meant for means below about 100."""
        count, total = 0, self.exponential(1.0)
        while total < mean:
            count += 1
            total += self.exponential(1.0)
        return count

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def integer(self, low: int, high: int) -> int:
        """Uniform integer, both ends included."""
        return low + int(self.random() * (high - low + 1))

    def choice(self, items: Sequence[Any], weights: Sequence[float] | None = None) -> Any:
        """One of the items, in proportion to weights (equal when not given)."""
        if weights is None:
            return items[int(self.random() * len(items))]
        target = self.random() * math.fsum(weights)
        for item, weight in zip(items, weights, strict=True):
            target -= weight
            if target < 0:
                return item
        return items[-1]


class CohortStream:
    """The streams of many entities for one purpose, drawn side by side: row i belongs to entity i alone."""

    def __init__(self, seed: int, entities: Sequence[str], purpose: str) -> None:
        self._keys: UInt64Array = np.array([stream_key(seed, e, purpose) for e in entities], dtype=np.uint64)
        self._drawn = 0

    def random(self) -> FloatArray:
        """One uniform in (0, 1) for each entity; shape (entities,)."""
        self._drawn += 1
        return _uniforms(self._keys + np.array([self._drawn], dtype=np.uint64) * _GAMMA)

    def normal(self) -> FloatArray:
        """One standard normal for each entity (Box-Muller); shape (entities,)."""
        radius = np.sqrt(-2.0 * np.log(self.random()))
        return np.asarray(radius * np.cos(2.0 * np.pi * self.random()), dtype=np.float64)
