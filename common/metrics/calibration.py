"""Whether probabilities are what they say: the reliability diagram and its mean gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from common.errors import InputError
from common.metrics.checks import check_finite, check_same_shape


@dataclass(frozen=True)
class Reliability:
    """Bins of equal width of the probabilities 0 to 1; NaN where a bin holds none.

    `predicted` is the mean probability of a bin, `observed` the share that was positive.
    """

    predicted: Float64[np.ndarray, " bins"]
    observed: Float64[np.ndarray, " bins"]
    count: Int[np.ndarray, " bins"]

    @property
    def error(self) -> float:
        """The expected calibration error, in [0, 1]: the bins' gaps, weighted by their counts.

        Naeini et al. 2015 (AAAI 29:2901); of binary probabilities as torchmetrics' `l1` norm.
        """
        gaps = np.abs(self.predicted - self.observed)
        return float(np.nansum(gaps * self.count) / self.count.sum())


def reliability(
    probability: Float[np.ndarray, " n"], positive: Bool[np.ndarray, ...], bins: int = 10
) -> Reliability:
    """Return how often what was given a probability was positive, by bins of the probability.

    Matches scikit-learn 1.9.1's `calibration_curve`, which leaves empty bins out. A probability on
    the edge of two bins counts in the lower one. Few values a bin make the error large by itself.
    Raises InputError for NaN, values outside [0, 1], counts that differ, and no bin.
    """
    check_same_shape(probability, positive, ("probability", "positive"))
    check_finite(probability, "probability")
    values = np.asarray(probability, np.float64)
    if not len(values) or values.min() < 0 or values.max() > 1 or bins < 1:
        raise InputError(
            f"{len(values)} probabilities in {bins} bins: expected at least one of each, and "
            "values from 0 to 1"
        )
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], values)
    count, total, hits = (
        np.bincount(place, weights, minlength=bins) for weights in (None, values, positive)
    )
    with np.errstate(invalid="ignore"):
        return Reliability(total / count, hits / count, count)
