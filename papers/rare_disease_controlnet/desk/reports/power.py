"""How many films a reader must read for an answer, exactly, half of them real.

Power rises by a saw: that of so many films may be less than of fewer. Numbers are given in steps.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.stats import binom

from papers.rare_disease_controlnet.desk.reports.estimate import share

CHANCE = 0.5
POWER = 0.8
SIGNIFICANCE = 0.05
_MOST = 100_000  # films, where a search ends


@cache
def to_see(accuracy: float, step: int = 5) -> int:
    """Return the films to see with 80% power that a reader of this accuracy does not guess.

    By the exact binomial test, two-sided, at 5%.
    """
    return next(n for n in range(step, _MOST, step) if _power_to_see(n, accuracy) >= POWER)


@cache
def to_show_equivalence(margin: float, step: int = 10) -> int:
    """Return the films to show with 80% power that a reader who guesses is within a margin.

    By two exact one-sided binomial tests at 5%.
    """
    return next(n for n in range(step, _MOST, step) if _power_of_equivalence(n, margin) >= POWER)


def half_width(n: int) -> float:
    """Return how far the Wilson interval of an accuracy of one half reaches to each side."""
    found = share(CHANCE * n, n)
    assert found.low is not None
    return CHANCE - found.low


def _power_to_see(n: int, accuracy: float) -> float:
    right = np.arange(n + 1)
    tail = np.minimum(binom.cdf(right, n, CHANCE), binom.sf(right - 1, n, CHANCE))
    return float(binom.pmf(right, n, accuracy)[2 * tail < SIGNIFICANCE].sum())


def _power_of_equivalence(n: int, margin: float) -> float:
    right = np.arange(n + 1)
    above = binom.sf(right - 1, n, CHANCE - margin)
    below = binom.cdf(right, n, CHANCE + margin)
    shown = np.maximum(above, below) < SIGNIFICANCE
    return float(binom.pmf(right, n, CHANCE)[shown].sum())
