"""Random numbers against the laws they claim, and against each other."""

import math
from collections.abc import Callable

import numpy as np

from simulator.randomness import CohortStream, Stream
from simulator.validation.finding import ALPHA, Finding, Settings
from simulator.validation.inference import (
    FloatArray,
    chi_square_quantile,
    gamma_cdf,
    kolmogorov_critical,
    kolmogorov_distance,
    standard_normal,
)

_KS = "Kolmogorov 1933; bound by Massart, Ann. Probab. 18 (1990)"
_PEARSON = "Pearson 1900"
_SPLITMIX = "Steele, Lea, Flood, OOPSLA 2014"

Law = tuple[str, Callable[[Stream], float], Callable[[float], float]]
_LAWS: tuple[Law, ...] = (
    ("uniform", lambda s: s.random(), lambda x: x),
    ("exponential", lambda s: s.exponential(3.0), lambda x: -math.expm1(-x / 3)),
    ("normal", lambda s: s.normal(2.0, 3.0), lambda x: standard_normal.cdf((x - 2) / 3)),
    ("lognormal", lambda s: s.lognormal(0.5, 0.8), lambda x: standard_normal.cdf((math.log(x) - 0.5) / 0.8)),
    ("gamma of shape 2.5", lambda s: s.gamma(2.5, 2.0), lambda x: gamma_cdf(2.5, x / 2)),
    ("gamma of shape 0.5", lambda s: s.gamma(0.5, 2.0), lambda x: gamma_cdf(0.5, x / 2)),
    ("Weibull", lambda s: s.weibull(0.866, 458.0), lambda x: -math.expm1(-((x / 458) ** 0.866))),
)
_POISSON_MEAN = 6.0


def sampled_laws(settings: Settings) -> list[Finding]:
    """Draws of `Stream` by each law the models use."""
    count = settings.sized(60_000, 150_000)
    findings = []
    for name, draw, cdf in _LAWS:
        stream = Stream(settings.seed, "validation", name)
        distance = kolmogorov_distance(np.array([draw(stream) for _ in range(count)]), cdf)
        findings.append(_kolmogorov(name, distance, count, 0.7 * ALPHA))
    stream = Stream(settings.seed, "validation", "poisson")
    size = count // 2
    counts = np.bincount([min(stream.poisson(_POISSON_MEAN), 15) for _ in range(size)], minlength=16)
    chances = np.array([math.exp(-_POISSON_MEAN + k * math.log(_POISSON_MEAN) - math.lgamma(k + 1)) for k in range(15)])
    expected = np.append(chances, 1 - chances.sum()) * size
    squares = float(((counts - expected) ** 2 / expected).sum())
    findings.append(_pearson("Poisson", squares, 15, f"16 bins, {size:,} draws"))
    return findings


def streams(settings: Settings) -> list[Finding]:
    """`CohortStream`: each entity uniform, and none like its neighbour or like its own past."""
    entities, rounds = 500, settings.sized(100, 400)
    cohort = CohortStream(settings.seed, [f"home-{n}" for n in range(entities)], "validation")
    table = np.stack([cohort.random() for _ in range(rounds)])
    normals = np.concatenate([cohort.normal() for _ in range(rounds // 2)])
    first, single = Stream(settings.seed, "home-0", "validation"), table[:, 0]
    same = np.array([first.random() for _ in range(rounds)])
    pairs = {
        "neighbouring streams": (table[:, :-1], table[:, 1:]),
        "a stream and its own past": (table[:-1], table[1:]),
        "a stream and its own past but one": (table[:-2], table[2:]),
    }
    return [
        _kolmogorov("uniform over all streams", kolmogorov_distance(table.ravel(), lambda x: x), table.size, ALPHA),
        _kolmogorov("normal", kolmogorov_distance(normals, standard_normal.cdf), normals.size, ALPHA),
        _uniform_within(table),
        *(_independent(name, left.ravel(), right.ravel()) for name, (left, right) in pairs.items()),
        Finding(
            "largest difference from the same entity's `Stream`",
            0.0,
            float(np.abs(single - same).max()),
            0.0,
            "1",
            _SPLITMIX,
            f"equality of {rounds} draws",
        ),
    ]


def _kolmogorov(name: str, distance: float, count: int, alpha: float) -> Finding:
    tolerance = kolmogorov_critical(alpha, count)
    return Finding(f"{name}: D", 0.0, distance, tolerance, "1", _KS, f"Kolmogorov-Smirnov, {count:,} draws")


def _pearson(what: str, squares: float, freedom: int, sample: str) -> Finding:
    return Finding(
        f"{what}: χ²",
        float(freedom),
        squares,
        chi_square_quantile(1 - ALPHA, freedom) - freedom,
        "1",
        _PEARSON,
        f"Pearson's χ², {sample}",
        distance=max(squares - freedom, 0.0),
    )


def _uniform_within(table: FloatArray) -> Finding:
    """Each stream's mean: all of them together, as χ² with a degree of freedom for each stream."""
    rounds, entities = table.shape
    squares = float(((table.mean(axis=0) - 0.5) ** 2 * 12 * rounds).sum())
    return _pearson("each stream's mean", squares, entities, f"{entities} streams of {rounds} draws")


def _independent(name: str, left: FloatArray, right: FloatArray) -> Finding:
    """Pairs on a 16 by 16 board."""
    cells = np.bincount((left * 16).astype(int) * 16 + (right * 16).astype(int), minlength=256)
    expected = len(left) / 256
    squares = float(((cells - expected) ** 2 / expected).sum())
    return _pearson(name, squares, 255, f"256 cells, {len(left):,} pairs")
