"""Verdicts on reported numbers: two one-sided tests of equivalence over our seeds.

Every number has a margin, which its source or its use justifies: what is nearer than that is the
same for all purposes. With mean m and standard deviation s of n seeds, the 90% interval of the mean
is m ± t s / sqrt(n), t the 95% quantile of Student's distribution with n - 1 degrees of freedom. A
number agrees where all of the interval lies within its margin (Schuirmann 1987, J Pharmacokinet
Biopharm 15, at 5%) and differs where none of it does; else the seeds do not decide. So a noisy run
never agrees the more easily.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

MINIMUM_SEEDS = 3

Word = Literal[
    "agrees",  # a number: ours lies within its margin
    "better",  # beyond it, on the good side
    "differs",  # beyond it
    "not comparable",  # other data, other scale, or not measured here
    "context",  # a number of others than the source
    "supported",  # a claim
    "contradicted",
    "inconclusive",  # and a number: partly beyond its margin
    "not testable",
    "no verdict",  # a smoke run, or fewer than three seeds
]
Better = Literal["lower", "higher", "none"]


@dataclass(frozen=True)
class Verdict:
    """A verdict's word and the reason in a line."""

    word: Word
    detail: str


@dataclass(frozen=True)
class Interval:
    """A mean with an interval around it."""

    mean: float
    low: float
    high: float


def student(probability: float, count: int) -> float:
    """Return the quantile of Student's distribution for a mean of `count` values."""
    from scipy.special import stdtrit  # takes a fifth of a second, and most commands judge nothing

    return float(stdtrit(count - 1, probability))


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the 90% interval of the mean.

    Raises:
        ValueError: fewer than three values.
    """
    if len(values) < MINIMUM_SEEDS:
        raise ValueError(f"an interval needs {MINIMUM_SEEDS} values, not {len(values)}")
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    half = student(0.95, len(values)) * spread / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def judge(
    values: Sequence[float], reported: float, margin: float, better: Better = "none"
) -> Verdict:
    """Return agrees, better, differs or inconclusive for a reported number, given every seed's."""
    if refused := too_few(len(values)):
        return refused
    if not all(math.isfinite(value) for value in values):
        return Verdict("differs", "a seed's value is not finite")
    interval = mean_interval(values)
    detail = f"90% interval {interval.low:.3g} to {interval.high:.3g}, margin ± {margin:.3g}"
    if reported - margin <= interval.low and interval.high <= reported + margin:
        return Verdict("agrees", detail)
    if interval.low <= reported + margin and reported - margin <= interval.high:
        return Verdict("inconclusive", detail)
    good_side = "lower" if interval.mean < reported else "higher"
    return Verdict("better" if good_side == better else "differs", detail)


def too_few(count: int, of: str = "seeds") -> Verdict | None:
    """Return the verdict that there is none if fewer than three seeds were run, else None."""
    if count < MINIMUM_SEEDS:
        return Verdict("no verdict", f"{count} of at least {MINIMUM_SEEDS} {of}")
    return None
