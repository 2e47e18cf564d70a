"""Whether films are indistinguishable: only where a test of equivalence says so.

That no difference was found shows nothing; a study that is too small finds none. Two one-sided
tests ask instead whether an accuracy is surely less than a margin away from guessing. The margin is
fixed before anybody reads.
"""

from __future__ import annotations

import math

from statsmodels.stats.proportion import binom_tost

from papers.rare_disease_controlnet.desk.reports.estimate import Estimate
from papers.rare_disease_controlnet.desk.reports.power import CHANCE, SIGNIFICANCE

MARGIN = 0.15  # 15 percentage points
LEVEL_OF_TESTS = 1 - 2 * SIGNIFICANCE  # of an interval that both tests together amount to
HALF = (0.45, 0.55)  # shares of real films at which guessing is right half of the time, about


def p_value(right: int | float, n: int, margin: float = MARGIN) -> float:
    """Return the exact p-value that an accuracy is a margin or more away from one half.

    `right` may hold half answers; both whole numbers beside it are asked, the worse one counts.
    """
    bounds = CHANCE - margin, CHANCE + margin
    return max(float(binom_tost(k, n, *bounds)[0]) for k in (math.floor(right), math.ceil(right)))


def shown(estimate: Estimate, margin: float = MARGIN) -> bool:
    """Return whether an interval at `LEVEL_OF_TESTS` lies within the margin about one half."""
    return estimate.within(CHANCE - margin, CHANCE + margin)
