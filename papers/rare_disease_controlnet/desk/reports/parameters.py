"""Whether films drawn with more or less of a parameter were judged better."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.stats import norm, spearmanr

from papers.rare_disease_controlnet.desk.reports.estimate import LEVEL, Estimate, undefined

FEWEST = 5  # films of which a correlation tells anything


def correlation(
    parameter: Float[np.ndarray, " n"], score: Float[np.ndarray, " n"], level: float = LEVEL
) -> Estimate:
    """Return Spearman's correlation, with Fisher's interval in the form of Bonett and Wright.

    It is not defined where one of both is the same for all films, or films are fewer than 5.
    """
    n = len(parameter)
    if n < FEWEST or len(np.unique(parameter)) < 2 or len(np.unique(score)) < 2:
        return undefined(n)
    value = float(spearmanr(parameter, score).statistic)
    if np.isclose(abs(value), 1):
        return Estimate(value, None, None, n)
    error = np.sqrt((1 + value**2 / 2) / (n - 3))
    reach = float(norm.ppf((1 + level) / 2) * error)
    middle = np.arctanh(value)
    return Estimate(value, float(np.tanh(middle - reach)), float(np.tanh(middle + reach)), n)
