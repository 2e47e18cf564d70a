"""Verdicts on reported numbers: a 95% prediction interval over our seeds.

With mean m and standard deviation s of n seeds, a further run falls with 95% probability into
m ± t s sqrt(1 + 1/n), t the 97.5% quantile of Student's distribution with n - 1 degrees of
freedom (Hahn & Meeker, Statistical Intervals, 1991, section 4.8). The source's number is that
further run. The interval is never narrower than the number's floor, which stands for what the
seeds cannot show: rounding, the choice of test images.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

MINIMUM_SEEDS = 3

Word = Literal[
    "within",  # a number: inside the interval
    "better",  # outside of it, on the good side
    "outside",  # outside of it
    "not comparable",  # other data, other scale, or not measured here
    "context",  # a number of others than the source
    "supported",  # a claim
    "contradicted",
    "inconclusive",
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
    return float(stdtrit(count - 1, probability))


def prediction_interval(values: Sequence[float], floor: float = 0.0) -> Interval:
    """Return the 95% prediction interval for one more value, at least ± `floor` wide.

    Raises:
        ValueError: fewer than three values.
    """
    if len(values) < MINIMUM_SEEDS:
        raise ValueError(f"an interval needs {MINIMUM_SEEDS} values, not {len(values)}")
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    half = student(0.975, len(values)) * spread * math.sqrt(1 + 1 / len(values))
    half = max(half, floor)
    return Interval(mean, mean - half, mean + half)


def judge(
    values: Sequence[float], reported: float, better: Better = "none", floor: float = 0.0
) -> Verdict:
    """Return within, better or outside for a reported number, given ours of every seed."""
    if refused := too_few(len(values)):
        return refused
    if not all(math.isfinite(value) for value in values):
        return Verdict("outside", "a seed's value is not finite")
    interval = prediction_interval(values, floor)
    detail = f"95% interval {interval.low:.4g} to {interval.high:.4g}"
    if interval.low <= reported <= interval.high:
        return Verdict("within", detail)
    good_side = "lower" if interval.mean < reported else "higher"
    return Verdict("better" if good_side == better else "outside", detail)


def too_few(count: int, of: str = "seeds") -> Verdict | None:
    """Return the verdict that there is none if fewer than three seeds were run, else None."""
    if count < MINIMUM_SEEDS:
        return Verdict("no verdict", f"{count} of at least {MINIMUM_SEEDS} {of}")
    return None
