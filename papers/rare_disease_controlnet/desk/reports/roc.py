"""How well a score orders two kinds of films: the ROC curve of one reader, and its area."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

from papers.rare_disease_controlnet.desk.reports.estimate import (
    LEVEL,
    Estimate,
    around,
    share,
    undefined,
)


def order(
    low: Float[np.ndarray, "*reader m"], high: Float[np.ndarray, "*reader n"]
) -> Float[np.ndarray, "*reader m n"]:
    """Return for every pair of films 1 if `high` has the greater score, 1/2 if they are equal."""
    difference = high[..., None, :] - low[..., :, None]
    return (1 + np.sign(difference)) / 2


def area(
    low: Float[np.ndarray, " m"], high: Float[np.ndarray, " n"], level: float = LEVEL
) -> Estimate:
    """Return the probability that a film of `high` has the greater score, by DeLong.

    Where every pair is in the same order, the variance is zero, which does not mean certainty: the
    interval is then Wilson's for as many observations as the smaller group has films.
    """
    n = len(low) + len(high)
    if not len(low) or not len(high):
        return undefined(n)
    pairs = order(low, high)
    value = float(pairs.mean())
    if min(len(low), len(high)) < 2:
        return Estimate(value, 0.0, 1.0, n)
    by_low, by_high = pairs.mean(axis=1), pairs.mean(axis=0)  # how far each film is on its side
    variance = by_low.var(ddof=1) / len(low) + by_high.var(ddof=1) / len(high)
    if variance <= 0:
        fewest = min(len(low), len(high))
        bound = share(value * fewest, fewest, level)
        return Estimate(value, bound.low, bound.high, n)
    return around(value, float(norm.ppf((1 + level) / 2) * np.sqrt(variance)), n)


def curve(
    low: Float[np.ndarray, " m"], high: Float[np.ndarray, " n"]
) -> tuple[tuple[float, float], ...]:
    """Return the points of the ROC curve: shares of `low` and of `high` from a threshold on."""
    thresholds = np.unique(np.concatenate([low, high]))[::-1]
    points = [(float(np.mean(low >= t)), float(np.mean(high >= t))) for t in thresholds]
    return ((0.0, 0.0), *points)
