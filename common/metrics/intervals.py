"""How far a metric may be off because only so many images were looked at.

None of these sees a bias: the Fréchet distance of few images is too large however narrow its
interval is, and a set of patients is not a set of independent images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import numpy as np
import scipy.stats
from jaxtyping import Float

from common.errors import InputError
from common.metrics.checks import check_vectors
from common.metrics.frechet import features_distance

AnyArray = jax.Array | np.ndarray


@dataclass(frozen=True)
class Interval:
    """A value, the two-sided confidence interval around it, and the counts it rests on."""

    value: float
    low: float
    high: float
    level: float
    n: tuple[int, ...]


def mean_interval(values: Float[AnyArray, " n"], level: float = 0.95) -> Interval:
    """Return the mean of a metric over independent images, with Student's t interval.

    Matches `scipy.stats.t.interval` of the mean and its standard error. For `ssim`, `ms_ssim`,
    `psnr`, `lpips` and `gmsd`. Raises InputError for NaN, infinite values and fewer than two.
    """
    check_vectors(values[:, None], "values", 2)
    numbers = np.asarray(values, np.float64)
    error = numbers.std(ddof=1) / len(numbers) ** 0.5
    return around(float(numbers.mean()), float(error), (len(numbers),), level)


def around(value: float, error: float, n: tuple[int, ...], level: float = 0.95) -> Interval:
    """Return the interval of a value with its standard error: Student's t, min(n) - 1 degrees."""
    if not 0 < level < 1:
        raise InputError(f"level {level}: expected a share between 0 and 1, such as 0.95")
    half = float(scipy.stats.t.ppf((1 + level) / 2, min(n) - 1)) * error
    return Interval(value, value - half, value + half, level, n)


def frechet_interval(
    a: Float[AnyArray, "n_a features"],
    b: Float[AnyArray, "n_b features_b"],
    *,
    level: float = 0.95,
    resamples: int = 100,
    seed: int = 0,
) -> Interval:
    """Return the Fréchet distance of two sets of features with its bootstrap interval.

    Both sets are drawn again, image by image; the standard deviation over the draws is taken for
    the standard error around the value itself, since draws with repetition lie higher than it does
    (they hold fewer different images) and their quantiles would miss it. The interval is that of
    the distance at these n, for comparisons at equal n; it ends at 0. Each draw costs a singular
    value decomposition of the smaller of n and the feature width. Raises InputError as
    `frechet_distance`, and for fewer than two resamples.
    """
    for features in (a, b):
        check_vectors(features, "features", 2)
    if resamples < 2:
        raise InputError(f"resamples {resamples}: expected at least 2")
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    random = np.random.default_rng(seed)
    draws = [
        features_distance(
            x[random.integers(0, len(x), len(x))], y[random.integers(0, len(y), len(y))]
        )
        for _ in range(resamples)
    ]
    error = float(np.std(draws, ddof=1))
    found = around(features_distance(x, y), error, (len(x), len(y)), level)
    return replace(found, low=max(found.low, 0.0))
