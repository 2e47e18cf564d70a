"""How far readers agree, with each other and with themselves, beyond chance.

κ is low where nearly all answers are the same, however much readers agree: so raw agreement and
how common the answers are stand beside it.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import t
from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa

from papers.rare_disease_controlnet.desk.reports.estimate import (
    LEVEL,
    Estimate,
    share,
    undefined,
)

Answers = Float[np.ndarray, " n"]  # NaN: none
Matrix = Float[np.ndarray, "readers films"]


def cohen(
    first: Answers, second: Answers, categories: tuple[float, ...], *, weighted: bool = False
) -> Estimate:
    """Return Cohen's κ of answers to the same films, with its large-sample interval.

    Args:
        first: answers of one reader, or before.
        second: those of the other, or after.
        categories: all answers that there are, in order.
        weighted: whether answers that are further apart disagree more, by the squared distance.

    It is not defined where both give one and the same answer to all films.
    """
    table = _table(first, second, categories)
    n = int(table.sum())
    expected = _by_chance(table, weighted) if n else 1.0
    if np.isclose(expected, 1):
        return undefined(n)
    with np.errstate(invalid="ignore", divide="ignore"):  # of variances that are none
        found = cohens_kappa(table, wt="quadratic" if weighted else None)
    if np.isclose(found.kappa, 1):
        return _perfect(n, expected)
    if found.var_kappa <= 0:
        return Estimate(float(found.kappa), None, None, n)
    low, high = max(-1.0, float(found.kappa_low)), min(1.0, float(found.kappa_upp))
    return Estimate(float(found.kappa), low, high, n)


def fleiss(answers: Matrix, categories: tuple[float, ...]) -> Estimate:
    """Return Fleiss' κ of all readers, over the films that all have judged.

    The interval is of the jackknife, films left out one by one.
    """
    kept = answers[:, ~np.isnan(answers).any(axis=0)]
    counts = np.stack([(kept == one).sum(axis=0) for one in categories], axis=1)
    n = len(counts)
    shares = counts.sum(axis=0) / max(1, counts.sum())
    expected = float(np.sum(shares**2))
    if n < 2 or len(kept) < 2 or np.isclose(expected, 1):
        return undefined(n)
    value = float(fleiss_kappa(counts))
    if np.isclose(value, 1):
        return _perfect(n, expected)
    without = [_fleiss(np.delete(counts, one, axis=0)) for one in range(n)]
    # a film without which all answers are one and the same leaves κ as it is
    left = np.array([value if np.isnan(one) else one for one in without])
    error = np.sqrt((n - 1) / n * np.sum((left - left.mean()) ** 2))
    half_width = float(t.ppf((1 + LEVEL) / 2, n - 1) * error)
    return Estimate(value, max(-1.0, value - half_width), min(1.0, value + half_width), n)


def raw(answers: Matrix) -> float | None:
    """Return the share of pairs of answers to the same film that are equal."""
    equal = both = 0
    for first, second in combinations(answers, 2):
        kept = ~np.isnan(first) & ~np.isnan(second)
        equal += int(np.sum(first[kept] == second[kept]))
        both += int(kept.sum())
    return equal / both if both else None


def prevalence(answers: Matrix, category: float) -> float | None:
    """Return how common one answer is among all."""
    given = answers[~np.isnan(answers)]
    return float(np.mean(given == category)) if len(given) else None


def _table(
    first: Answers, second: Answers, categories: tuple[float, ...]
) -> Int[np.ndarray, "c c"]:
    """Return how often each pair of answers was given."""
    return np.array([[int(np.sum((first == a) & (second == b))) for b in categories]
                     for a in categories])  # fmt: skip


def _by_chance(table: Int[np.ndarray, "c c"], weighted: bool) -> float:
    """Return the agreement that is expected by chance."""
    n, places = table.sum(), np.arange(len(table))
    apart = np.abs(places[:, None] - places[None, :])
    weights = 1 - (apart / max(1, len(table) - 1)) ** 2 if weighted else (apart == 0).astype(float)
    return float(np.sum(weights * np.outer(table.sum(axis=1), table.sum(axis=0))) / n**2)


def _fleiss(counts: Int[np.ndarray, "films c"]) -> float:
    """Return Fleiss' κ, NaN where all answers are the same."""
    raters = counts.sum(axis=1)[0]
    agreed = np.mean((np.sum(counts**2, axis=1) - raters) / (raters * (raters - 1)))
    expected = np.sum((counts.sum(axis=0) / counts.sum()) ** 2)
    return float((agreed - expected) / (1 - expected)) if expected < 1 else float("nan")


def _perfect(n: int, expected: float) -> Estimate:
    """Return a κ of 1 with what the Wilson interval of raw agreement leaves of it."""
    low = share(n, n).low or 0.0
    return Estimate(1.0, (low - expected) / (1 - expected), 1.0, n)
