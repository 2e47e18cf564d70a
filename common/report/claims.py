"""Tests that a study's ``claims.py`` is written with.

Each looks at one number per seed and asks on which side of zero its mean lies: supported if the
one-sided 95% confidence bound m - t s / sqrt(n) is above zero, contradicted if m + t s / sqrt(n)
is below, inconclusive otherwise. Comparisons are paired: the difference is taken inside a seed.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from common.report.verdicts import Verdict, student, too_few
from common.results.metrics_file import value_at


def values(seeds: Sequence[dict[str, Any]], path: str) -> list[float]:
    """Return the metric at a dotted path for every seed; NaN where it is absent."""
    found = [value_at(seed, path) for seed in seeds]
    return [math.nan if value is None else value for value in found]


def series(seeds: Sequence[dict[str, Any]], paths: Sequence[str]) -> list[list[float]]:
    """Return for every seed the list of its metrics at `paths`."""
    return [list(row) for row in zip(*(values(seeds, path) for path in paths), strict=True)]


def positive(per_seed: Sequence[float], what: str, of: str = "seeds") -> Verdict:
    """Return whether the mean of `per_seed` is above zero; `what` names the quantity.

    The values may also be those of other independent things than seeds: `of` says which.
    """
    return _on_side(per_seed, what, 1, of)


def negative(per_seed: Sequence[float], what: str) -> Verdict:
    """Return whether the mean of `per_seed` is below zero."""
    return _on_side(per_seed, what, -1)


def greater(ours: Sequence[float], than: Sequence[float], what: str) -> Verdict:
    """Return whether `ours` exceeds `than`, paired by seed."""
    return positive([a - b for a, b in zip(ours, than, strict=True)], what)


def increases(
    per_seed: Sequence[Sequence[float]], what: str, x: Sequence[float] | None = None
) -> Verdict:
    """Return whether a quantity rises: the least-squares slope of every seed's series over `x`.

    Args:
        per_seed: for every seed, the quantity at each of at least two points.
        what: the quantity, for the detail line.
        x: where the points lie; by default 0, 1, 2, …
    """
    slopes = [_slope(row, x) for row in per_seed]
    return positive(slopes, f"slope of {what}")


def decreases(
    per_seed: Sequence[Sequence[float]], what: str, x: Sequence[float] | None = None
) -> Verdict:
    """Return whether a quantity falls; see :func:`increases`."""
    return negative([_slope(row, x) for row in per_seed], f"slope of {what}")


def _on_side(per_seed: Sequence[float], what: str, sign: int, of: str = "seeds") -> Verdict:
    if refused := too_few(len(per_seed), of):
        return refused
    if not all(math.isfinite(value) for value in per_seed):
        return Verdict("not testable", f"{what}: not measured in all {of}")
    count, mean = len(per_seed), float(np.mean(per_seed))
    half = student(0.95, count) * float(np.std(per_seed, ddof=1)) / math.sqrt(count)
    detail = f"{what} {mean:.4g} ± {half:.2g} (one-sided 95%, {count} {of})"
    if sign * mean - half > 0:
        return Verdict("supported", detail)
    return Verdict("contradicted" if sign * mean + half < 0 else "inconclusive", detail)


def _slope(row: Sequence[float], x: Sequence[float] | None) -> float:
    at = np.arange(len(row), dtype=np.float64) if x is None else np.asarray(x, np.float64)
    at = at - at.mean()
    return float(at @ np.asarray(row, np.float64) / (at @ at))


def all_of(*parts: Verdict) -> Verdict:
    """Return the verdict of a claim that says several things, what decides first."""
    for word in ("no verdict", "contradicted", "not testable", "inconclusive"):
        if found := [part for part in parts if part.word == word]:
            rest = [] if word == "no verdict" else [part for part in parts if part not in found]
            return Verdict(found[0].word, joined([*found, *rest]))
    return Verdict("supported", joined(parts))


def joined(parts: Sequence[Verdict]) -> str:
    """Return the details of several verdicts, each once."""
    return "; ".join(dict.fromkeys(part.detail for part in parts))
