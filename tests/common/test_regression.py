"""Regression errors keep their laws, also for constant, tiny and huge values."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from common.metrics.regression import regression_errors

seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=30, deadline=None, derandomize=True)


def pairs(seed, n=20):
    """Return predictions and targets [n] of some scale, as ages are."""
    random = np.random.default_rng(seed)
    target = random.uniform(20, 90, n)
    return target + random.normal(0, 10 ** random.uniform(-2, 2), n), target


@few
@given(seeds, st.integers(2, 40))
def test_errors_are_those_of_their_definitions(seed, n):
    x, y = pairs(seed, n)
    found = regression_errors(x, y)
    assert found.n == n
    np.testing.assert_allclose(found.mae, sum(abs(a - b) for a, b in zip(x, y, strict=True)) / n)
    np.testing.assert_allclose(found.mse, np.var(x - y) + np.mean(x - y) ** 2, rtol=1e-9)
    np.testing.assert_allclose(found.r, scipy.stats.pearsonr(x, y).statistic, atol=1e-12)
    assert found.mae <= found.rmse * (1 + 1e-12)


@few
@given(seeds)
def test_errors_are_symmetric_and_zero_for_equal_values(seed):
    x, y = pairs(seed)
    assert regression_errors(x, y) == regression_errors(y, x)
    same = regression_errors(x, x)
    assert (same.mae, same.mse, same.rmse) == (0, 0, 0)
    assert same.r == pytest.approx(1, abs=1e-15)
    assert same.r <= 1
    assert regression_errors(-x, x).r == pytest.approx(-1, abs=1e-15)


@few
@given(seeds)
def test_errors_do_not_depend_on_the_order_of_pairs(seed):
    x, y = pairs(seed)
    order = np.random.default_rng(seed).permutation(len(x))
    found, again = regression_errors(x, y), regression_errors(x[order], y[order])
    for name in ("mae", "mse", "rmse", "r"):
        np.testing.assert_allclose(getattr(again, name), getattr(found, name), rtol=1e-9)


@few
@given(seeds, st.floats(0.01, 100), st.floats(-100, 100))
def test_errors_follow_the_unit_and_not_the_origin(seed, scale, shift):
    x, y = pairs(seed)
    found = regression_errors(x, y)
    moved = regression_errors(scale * x + shift, scale * y + shift)
    np.testing.assert_allclose(moved.mae, scale * found.mae, rtol=1e-6)
    np.testing.assert_allclose(moved.mse, scale**2 * found.mse, rtol=1e-6)
    np.testing.assert_allclose(moved.r, found.r, atol=1e-6)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1 / 3, 1e9 + 0.1])
def test_r_is_nan_for_a_constant_even_where_its_mean_is_rounded(constant):
    values = np.arange(7.0)
    for x, y in ((np.full(7, constant), values), (values, np.full(7, constant))):
        assert np.isnan(regression_errors(x, y).r)


@pytest.mark.parametrize("scale", [1e-200, 1e150])
def test_r_neither_underflows_nor_overflows(scale):
    x, y = np.array([1.0, 2.0, 4.0, 3.0]), np.array([1.0, 3.0, 3.0, 2.0])
    expected = regression_errors(x, y).r
    np.testing.assert_allclose(regression_errors(scale * x, scale * y).r, expected, rtol=1e-12)


def test_values_that_are_refused():
    x = np.arange(3.0)
    with pytest.raises(InputError, match="predicted: NaN or infinite"):
        regression_errors(np.array([0, 1, np.inf]), x)
    with pytest.raises(InputError, match=r"predicted \(3,\) and target \(3, 1\)"):
        regression_errors(x, x[:, None])
