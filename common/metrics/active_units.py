"""Which units of a variational autoencoder's latent space say anything of the input.

With the posterior N(μ(x), exp(v(x))) of a unit and the prior N(0, 1):

    active  where  variance over inputs of μ(x) > 0.01              (Burda et al. 2016, 5.2)   (1)
    KL      = mean over inputs of (μ² + exp(v) - v - 1) / 2                                    (2)

A collapsed posterior is the prior whatever the input: neither active, nor of any KL.
"""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Bool, Float, Float64

from common.errors import InputError
from common.metrics.checks import check_same_shape, check_vectors

AnyArray = jax.Array | np.ndarray


def active_units(
    means: Float[AnyArray, "n units"], threshold: float | int = 0.01
) -> Bool[np.ndarray, " units"]:
    """Return equation (1) of each unit, from the posterior means of n inputs.

    The variance is the unbiased one; of few inputs it is uncertain, so name n beside the count.
    Raises InputError for fewer than 2 inputs, NaN, and a threshold below 0.
    """
    check_vectors(means, "posterior means", 2)
    if not threshold >= 0:
        raise InputError(f"threshold {threshold:g} of the variance: expected 0 or more")
    return np.asarray(means, np.float64).var(0, ddof=1) > threshold


def kl_by_unit(
    means: Float[AnyArray, "n units"], log_variances: Float[AnyArray, ...]
) -> Float64[np.ndarray, " units"]:
    """Return equation (2) of each unit, in nats; in [0, inf), summing to the KL of all.

    Raises InputError for no input, NaN, and shapes that differ.
    """
    check_vectors(means, "posterior means")
    check_vectors(log_variances, "posterior log-variances")
    check_same_shape(means, log_variances, ("posterior means", "log-variances"))
    mean, log = np.asarray(means, np.float64), np.asarray(log_variances, np.float64)
    return (mean**2 + np.exp(log) - log - 1).mean(0) / 2
