"""Fréchet distance between two sets of features (Heusel et al. 2017), as FID is.

    d² = |m_a - m_b|² + tr(C_a) + tr(C_b) - 2 tr((C_a C_b)^½)                                 (1)

With C = F Fᵀ, the last trace is the sum of the singular values of F_aᵀ F_b, which needs no square
root of a product that is almost singular and stays exact where there are fewer images than
features. F is Cholesky's factor on the host where the covariance has one, else eigenvectors scaled
by the roots of eigenvalues.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float, Float64

from common.errors import InputError
from common.metrics.checks import check_vectors

AnyArray = jax.Array | np.ndarray


@dataclass(frozen=True)
class Statistics:
    """Count, mean and scatter (sum of outer products about the mean) of features, in float64."""

    n: int
    mean: Float64[np.ndarray, " features"]
    scatter: Float64[np.ndarray, "features features"]

    @classmethod
    def of(cls, features: Float[AnyArray, "n features"]) -> Statistics:
        """Return the statistics of a set, or of one batch of it to be merged with others."""
        check_vectors(features, "features")
        values = np.asarray(features, np.float64)
        mean = values.mean(0)
        centered = values - mean
        return cls(len(values), mean, centered.T @ centered)

    def merge(self, other: Statistics) -> Statistics:
        """Return the statistics of both sets together (Chan, Golub and LeVeque 1979)."""
        _check_same_width(len(self.mean), len(other.mean))
        n = self.n + other.n
        step = other.mean - self.mean
        between = np.outer(step, step) * (self.n * other.n / n)
        mean = self.mean + step * (other.n / n)
        return Statistics(n, mean, self.scatter + other.scatter + between)

    @property
    def covariance(self) -> Float64[np.ndarray, "features features"]:
        """The unbiased covariance, as `np.cov`."""
        return self.scatter / (self.n - 1)


@dataclass(frozen=True)
class FrechetDistance:
    """The distance with what its bias depends on: the two counts and the feature width."""

    value: float
    n: tuple[int, int]
    features: int

    @property
    def biased(self) -> bool:
        """Whether a set has no more images than features, so that its covariance is singular."""
        return min(self.n) <= self.features


def frechet_distance(a: Statistics, b: Statistics) -> FrechetDistance:
    """Return the Fréchet distance of two sets, and warn where they are too small for it.

    In [0, inf). Matches pytorch-fid 0.3.0's `calculate_frechet_distance`. The value falls as n
    grows: compare only at equal n, and read KID beside it where the warning shows. Raises
    InputError for one image only and for widths that differ.
    """
    _check_same_width(len(a.mean), len(b.mean))
    if min(a.n, b.n) < 2:
        raise InputError(f"Fréchet distance: sets of {a.n} and {b.n}, each needs at least 2")
    value = gaussian_frechet_distance(a.mean, a.covariance, b.mean, b.covariance)
    distance = FrechetDistance(float(value), (a.n, b.n), len(a.mean))
    if distance.biased:
        warnings.warn(
            f"Fréchet distance of {a.n} and {b.n} images in {len(a.mean)} features is biased "
            "upwards: read KID beside it",
            stacklevel=2,
        )
    return distance


def gaussian_frechet_distance(
    mean_a: Float[AnyArray, " features"],
    covariance_a: Float[AnyArray, "features features"],
    mean_b: Float[AnyArray, " features"],
    covariance_b: Float[AnyArray, "features features"],
) -> Float[AnyArray, ""] | np.floating:
    """Return equation (1); pure, in the precision and on the device of its arguments.

    `frechet_distance` gives it NumPy arrays in float64. JAX arrays stay on their device; in float32
    the error was up to 1e-6 of the traces (768 features), which a small distance may not bear.
    """
    xp = mean_a.__array_namespace__()
    root = xp.linalg.svdvals(_factor(covariance_a).T @ _factor(covariance_b)).sum()
    traces = xp.linalg.trace(covariance_a) + xp.linalg.trace(covariance_b)
    distance = ((mean_a - mean_b) ** 2).sum() + traces - 2 * root
    return xp.maximum(distance, xp.zeros_like(distance))  # rounding may leave it just below


def features_distance(a: Float[AnyArray, "n_a features"], b: Float[AnyArray, "n_b _"]) -> float:
    """Return the Fréchet distance from the features themselves, in float64, without a warning.

    Where there are fewer images than features, the features are the factor and the decomposition
    is as small as the set. Raises InputError for widths that differ.
    """
    _check_same_width(a.shape[1], b.shape[1])
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    f, g = _features_factor(x), _features_factor(y)
    root = np.linalg.svdvals(f.T @ g).sum()
    means = ((x.mean(0) - y.mean(0)) ** 2).sum()
    return max(float(means + (f**2).sum() + (g**2).sum() - 2 * root), 0.0)


def _features_factor(features: np.ndarray) -> AnyArray:
    """Return F with F Fᵀ the covariance of features."""
    centered, free = features - features.mean(0), len(features) - 1
    if len(features) > features.shape[1]:
        return _factor(centered.T @ centered / free)
    return centered.T / free**0.5


def _factor(covariance: AnyArray) -> AnyArray:
    """Return F with F Fᵀ = `covariance`."""
    if isinstance(covariance, np.ndarray):
        try:
            return np.linalg.cholesky(covariance)  # much the fastest
        except np.linalg.LinAlgError:  # singular
            pass
    xp = covariance.__array_namespace__()
    values, vectors = xp.linalg.eigh(covariance)
    return vectors * xp.sqrt(xp.clip(values, 0, None))


def _check_same_width(a: int, b: int) -> None:
    if a != b:
        raise InputError(f"features of {a} and {b} values: take one width")
