"""Units of a latent space that follow the input, and those that have collapsed."""

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.stats import norm

from common.errors import InputError
from common.metrics.active_units import active_units, kl_by_unit


def test_units_that_follow_the_input_are_active():
    random = np.random.default_rng(0)
    spread = np.array([1, 0.2, 0.05, 0])  # variances 1, 0.04, 0.0025, 0
    means = 3 + spread * random.normal(size=(500, 4))  # an offset alone says nothing
    assert active_units(means).tolist() == [True, True, False, False]
    assert active_units(means, 0.001).tolist() == [True, True, True, False]
    assert active_units(means, 0).tolist() == [True, True, True, False]
    # unbiased: 0 and 0.15 have the variance 0.01125, by n in place of n - 1 0.005625
    assert active_units(np.array([[0, 0], [0.15, 0.14]])).tolist() == [True, False]


def test_divergence_is_the_integral():
    means, log_variances = np.array([[0.0, 0.7], [0.0, -1.2]]), np.array([[0.0, -1.0], [0.0, 0.4]])
    expected = []
    for mean, log in zip(means[:, 1], log_variances[:, 1], strict=True):
        posterior = norm(mean, np.exp(log / 2))
        z = np.linspace(-12, 12, 10_001)
        ratio = posterior.logpdf(z) - norm().logpdf(z)
        expected.append(trapezoid(posterior.pdf(z) * ratio, z))
    np.testing.assert_allclose(kl_by_unit(means, log_variances), [0, np.mean(expected)], atol=1e-8)


def test_bad_input_is_one_error():
    means = np.zeros((3, 2))
    with pytest.raises(InputError, match="posterior means: 1 given, at least 2"):
        active_units(means[:1])
    with pytest.raises(InputError, match="posterior means: NaN"):
        active_units(means * np.nan)
    with pytest.raises(InputError, match="threshold -1"):
        active_units(means, -1)
    with pytest.raises(InputError, match="one shape"):
        kl_by_unit(means, means[:, :1])
    with pytest.raises(InputError, match="log-variances: NaN"):
        kl_by_unit(means, means * np.nan)
