"""The few distributions that tests of a simulation need, without SciPy.

Tails are computed, not looked up: the regularised incomplete gamma and beta functions by series and continued
fractions (Press et al., Numerical Recipes, chapter 6), good to about 1e-10; quantiles by bisection of them.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_STEPS, _NEAR, _TINY = 1_000, 1e-14, 1e-300
standard_normal = NormalDist()


def gamma_cdf(shape: float, x: float) -> float:
    """P(X ≤ x) of a gamma variate with scale 1: the regularised lower incomplete gamma function."""
    if x <= 0:
        return 0.0
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1:
        term = total = 1 / shape
        for step in range(1, _STEPS):
            term *= x / (shape + step)
            total += term
            if term < total * _NEAR:
                break
        return front * total
    b = x + 1 - shape
    c, d = 1 / _TINY, 1 / b
    fraction = d
    for step in range(1, _STEPS):
        a = -step * (step - shape)
        b += 2
        d = 1 / _not_zero(a * d + b)
        c = _not_zero(b + a / c)
        fraction *= c * d
        if abs(c * d - 1) < _NEAR:
            break
    return 1 - front * fraction


def beta_cdf(a: float, b: float, x: float) -> float:
    """P(X ≤ x) of a beta variate: the regularised incomplete beta function."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _STEPS):
        before = fraction
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _not_zero(1 + term * d)
            c = _not_zero(1 + term / c)
            fraction *= c * d
        if abs(fraction / before - 1) < _NEAR:
            break
    return front * fraction


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def chi_square_quantile(probability: float, freedom: int) -> float:
    """The value that χ² with so many degrees of freedom stays below with this probability."""
    return _bisect(lambda x: gamma_cdf(freedom / 2, x / 2) - probability, 0.0, freedom + 60 * math.sqrt(freedom) + 60)


def student_quantile(probability: float, freedom: int) -> float:
    """The value that Student's t stays below with this probability, which must be 0.5 or more."""

    def above(t: float) -> float:
        return 1 - beta_cdf(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2 - probability

    return _bisect(above, 0.0, 1e4)


def kolmogorov_critical(alpha: float, count: int) -> float:
    """The distance that `count` draws of the right law exceed with probability at most `alpha`.

    The Dvoretzky-Kiefer-Wolfowitz bound with Massart's constant (Ann. Probab. 18, 1990): valid at every size.
    """
    return math.sqrt(math.log(2 / alpha) / (2 * count))


def kolmogorov_distance(draws: FloatArray, cdf: Callable[[float], float]) -> float:
    """The largest distance between the draws' empirical law and a continuous one.

    The law is tabulated at 4,000 of the draws and interpolated in between, where it is all but straight.
    """
    ordered = np.sort(draws)
    knots = np.unique(ordered[np.linspace(0, len(ordered) - 1, 4_000).astype(int)])
    law = np.interp(ordered, knots, [cdf(float(x)) for x in knots])
    rank = np.arange(len(ordered) + 1) / len(ordered)
    return float(max(np.max(rank[1:] - law), np.max(law - rank[:-1])))


def binomial_bounds(count: int, probability: float, alpha: float) -> tuple[int, int]:
    """The fewest and most successes of `count` trials that are still likely: `alpha` at most lies outside."""
    logs = [
        math.lgamma(count + 1)
        - math.lgamma(k + 1)
        - math.lgamma(count - k + 1)
        + k * math.log(probability)
        + (count - k) * math.log1p(-probability)
        for k in range(count + 1)
    ]
    cumulated = np.cumsum(np.exp(logs))
    fewest = int(np.searchsorted(cumulated, alpha / 2, side="right"))
    most = int(np.searchsorted(cumulated, 1 - alpha / 2, side="left"))
    return fewest, min(most, count)


def batch_means(values: FloatArray, batches: int) -> FloatArray:
    """The means of so many equal stretches of a long run; what does not fill a stretch is left out at the start."""
    length = len(values) // batches
    return np.asarray(values[len(values) - length * batches :].reshape(batches, length).mean(axis=1))


def margin(means: FloatArray, alpha: float) -> float:
    """Half the width of Student's interval for the mean of independent values: wrong with probability `alpha`."""
    return student_quantile(1 - alpha / 2, len(means) - 1) * float(np.std(means, ddof=1)) / math.sqrt(len(means))


def jackknife_margin(left_out: FloatArray, alpha: float) -> float:
    """The same for any number of a sample, from its values when one of some equal groups at a time is left out.

    Quenouille, Biometrika 43 (1956); Tukey 1958.
    """
    groups = len(left_out)
    error = math.sqrt((groups - 1) / groups * float(((left_out - left_out.mean()) ** 2).sum()))
    return student_quantile(1 - alpha / 2, groups - 1) * error


def _bisect(rising: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(200):
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2
