"""Errors of a regression."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float

from common.metrics.checks import check_finite, check_same_shape, check_vectors


@dataclass(frozen=True)
class RegressionErrors:
    """MAE and RMSE in the target's unit, MSE in its square, Pearson's r in [-1, 1], count."""

    mae: float
    mse: float
    rmse: float
    r: float
    n: int


def regression_errors(
    predicted: Float[jax.Array | np.ndarray, " n"], target: Float[jax.Array | np.ndarray, " ..."]
) -> RegressionErrors:
    """Return the errors of predictions, computed in float64.

    MAE and MSE match scikit-learn's, r matches `scipy.stats.pearsonr`; r is NaN where either side
    is constant, as there. Raises InputError for fewer than two values, NaN, or counts that differ.
    """
    check_same_shape(predicted, target, ("predicted", "target"))
    check_vectors(predicted[:, None], "predicted", 2)
    check_finite(target, "target")
    x, y = np.asarray(predicted, np.float64), np.asarray(target, np.float64)
    mse = float(((x - y) ** 2).mean())
    return RegressionErrors(float(np.abs(x - y).mean()), mse, mse**0.5, _pearson(x, y), len(x))


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Return Pearson's r; NaN where a side is constant, which rounding of its mean would hide."""
    if not np.ptp(x) or not np.ptp(y):
        return float("nan")
    # a power of two rounds nothing, and keeps the squares from under- and overflowing
    x, y = (np.ldexp(z - z.mean(), -np.frexp(np.ptp(z))[1]) for z in (x, y))
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1, 1))
