"""Metrics equal the implementations they name, keep their laws, and refuse unusable input."""

import warnings
from functools import reduce
from itertools import combinations
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from common.metrics import ssim as ssim_module
from common.metrics.frechet import Statistics, frechet_distance, gaussian_frechet_distance
from common.metrics.kid import kernel_distance, squared_mmd
from common.metrics.memorization import nearest_neighbors
from common.metrics.regression import regression_errors
from common.metrics.ssim import all_pairs_ssim, ssim

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "metrics.npz"))
A, B = GOLDEN["a"], GOLDEN["b"]
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=10, deadline=None)


def images(seed, n=3, height=14, width=17, channels=1):
    return np.random.default_rng(seed).random((n, height, width, channels), dtype=np.float32)


def features(seed, n=12, width=5):
    random = np.random.default_rng(seed)
    return random.standard_normal((n, width)).astype(np.float32) * random.uniform(0.1, 10, width)


# SSIM


def test_ssim_matches_pytorch_msssim_and_skimage():
    values = ssim(GOLDEN["x"], GOLDEN["y"])
    np.testing.assert_allclose(values, GOLDEN["ssim"], atol=1e-5)
    np.testing.assert_allclose(values, GOLDEN["ssim_skimage"], atol=1e-5)
    assert np.ptp(GOLDEN["ssim"]) > 1e-3  # values that a constant would not meet


def test_all_pairs_ssim_matches_the_loop():
    found = all_pairs_ssim(GOLDEN["gray"])
    np.testing.assert_allclose([found.mean, found.std], GOLDEN["all_pairs"], atol=1e-5)
    assert found.n == len(GOLDEN["gray"])


@pytest.mark.parametrize(("n", "block", "channels"), [(5, 2, 1), (6, 3, 3), (2, 512, 1)])
def test_all_pairs_ssim_in_blocks_is_the_mean_over_pairs(monkeypatch, n, block, channels):
    monkeypatch.setattr(ssim_module, "_BLOCK", block)
    x = images(n, n, channels=channels)
    i, j = np.array(list(combinations(range(n), 2))).T
    expected = np.asarray(ssim(x[i], x[j]), np.float64)
    found = all_pairs_ssim(x)
    np.testing.assert_allclose(found.mean, expected.mean(), atol=1e-6)
    np.testing.assert_allclose(found.std, expected.std(), atol=1e-5)


@few
@given(seeds)
def test_ssim_is_symmetric_bounded_and_one_for_equal_images(seed):
    x, y = images(seed), images(seed + 1)
    np.testing.assert_allclose(ssim(x, y), ssim(y, x), atol=1e-6)
    np.testing.assert_allclose(ssim(x, x), 1, atol=1e-5)
    assert np.all(np.abs(ssim(x, 1 - x)) <= 1 + 1e-5)


def test_ssim_in_jit_has_gradients():
    x, y = images(0), images(1)
    slope = jax.jit(jax.grad(lambda z: ssim(z, y).mean()))(x)
    step = 1e-3 * slope / jnp.abs(slope).max()
    assert ssim(jnp.clip(x + step, 0, 1), y).mean() > ssim(x, y).mean()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x * 255, "divide by 255"),
        (lambda x: x * 2 - 1, "x / 2"),
        (lambda x: np.where(x > 0.5, np.nan, x), "NaN"),
        (lambda x: x[:, :10], "10x17"),
        (lambda x: x[..., 0], "height, width, channels"),
        (lambda x: x[:0], "0 given"),
    ],
)
def test_images_that_are_refused(spoil, message):
    x = spoil(images(0))
    for metric in (lambda z: ssim_module._check(z, "images", 1), all_pairs_ssim):
        with pytest.raises((InputError, TypeError)) as raised:
            metric(x)
        if isinstance(raised.value, InputError):  # a wrong rank meets the annotation first
            assert message in str(raised.value)


def test_refusals_of_pairs_and_counts():
    with pytest.raises(InputError, match="expected one shape"):
        ssim(images(0, 3), images(0, 2))
    with pytest.raises(InputError, match="at least 2"):
        all_pairs_ssim(images(0, 1))
    with pytest.raises(InputError, match="divide by 255"):
        ssim_module.check_images(np.zeros((1, 20, 20, 1), np.uint8))


# FID and KID


def test_frechet_distance_matches_pytorch_fid():
    found = frechet_distance(Statistics.of(A[:170]), Statistics.of(B))
    np.testing.assert_allclose(found.value, GOLDEN["frechet"], rtol=1e-6)
    assert (found.n, found.features) == ((170, 170), 48)


def test_fewer_images_than_features_gives_the_same_value_and_a_warning():
    with pytest.warns(UserWarning, match="30 and 30 images in 48 features.*KID"):
        found = frechet_distance(Statistics.of(A[:30]), Statistics.of(B[:30]))
    np.testing.assert_allclose(found.value, GOLDEN["frechet_few"], rtol=1e-3)
    assert found.biased


@few
@given(seeds, st.lists(st.integers(1, 11), max_size=4, unique=True))
def test_statistics_merge_in_any_cut_and_order(seed, cuts):
    x = features(seed)
    parts = [Statistics.of(part) for part in np.split(x, sorted(cuts))]
    order = np.random.default_rng(seed).permutation(len(parts))
    merged = reduce(Statistics.merge, [parts[i] for i in order])
    np.testing.assert_allclose(merged.mean, x.mean(0, np.float64), rtol=1e-9, atol=1e-12)
    expected = np.cov(x.astype(np.float64), rowvar=False)
    np.testing.assert_allclose(merged.covariance, expected, rtol=1e-9, atol=1e-9)


@few
@given(seeds)
def test_frechet_distance_laws(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        a, b = Statistics.of(features(seed)), Statistics.of(features(seed + 1))
        shifted = Statistics(a.n, a.mean + 2, a.scatter)
        forth, back = frechet_distance(a, b).value, frechet_distance(b, a).value
        scale = np.trace(a.covariance)
        np.testing.assert_allclose(forth, back, rtol=1e-9)
        np.testing.assert_allclose(frechet_distance(a, a).value, 0, atol=1e-9 * scale)
        np.testing.assert_allclose(frechet_distance(a, shifted).value, 4 * 5, rtol=1e-9)


def test_frechet_distance_in_jit():
    a, b = Statistics.of(A), Statistics.of(B)
    moments = (a.mean, a.covariance, b.mean, b.covariance)
    found = jax.jit(gaussian_frechet_distance)(*(jnp.asarray(m, jnp.float32) for m in moments))
    np.testing.assert_allclose(found, gaussian_frechet_distance(*moments), rtol=1e-3)


def test_frechet_distance_refusals():
    a = Statistics.of(A)
    with pytest.raises(InputError, match="48 and 5 values"):
        frechet_distance(a, Statistics.of(features(0)))
    with pytest.raises(InputError, match="48 and 5 values"):
        a.merge(Statistics.of(features(0)))
    with pytest.raises(InputError, match="at least 2"):
        frechet_distance(a, Statistics.of(B[:1]))
    with pytest.raises(InputError, match="NaN"):
        Statistics.of(np.full((3, 2), np.nan, np.float32))


def test_kernel_distance_matches_torch_fidelity():
    x, y = A[:170].astype(np.float64), B.astype(np.float64)
    np.testing.assert_allclose(squared_mmd(x, y), GOLDEN["mmd"], rtol=1e-9)
    np.testing.assert_allclose(jax.jit(squared_mmd)(A[:170], B), GOLDEN["mmd"], rtol=1e-3)
    whole = kernel_distance(A[:170], B, subsets=2, subset_size=170)
    np.testing.assert_allclose(whole.mean, GOLDEN["mmd"], rtol=1e-9)
    assert whole.std < 1e-9


def test_kernel_distance_is_seeded_and_about_zero_for_one_distribution():
    found = kernel_distance(A[:100], A[100:])
    assert abs(found.mean) < 3 * found.std < kernel_distance(A, B).mean
    assert (found.subsets, found.subset_size) == (100, 50)
    assert found == kernel_distance(A[:100], A[100:]) != kernel_distance(A[:100], A[100:], seed=1)


def test_kernel_distance_refusals():
    with pytest.raises(InputError, match="48 and 5 values"):
        kernel_distance(A, features(0))
    with pytest.raises(InputError, match="subset_size 300: expected 2 to 170"):
        kernel_distance(A, B, subset_size=300)
    with pytest.raises(InputError, match="3 given, at least 4"):
        kernel_distance(A, B[:3])


# Regression and nearest neighbors


def test_regression_errors_match_scipy():
    found = regression_errors(A[:, 0], A[:, 1])
    np.testing.assert_allclose(found.r, GOLDEN["r"], rtol=1e-6)
    np.testing.assert_allclose(found.r, scipy.stats.pearsonr(A[:, 0], A[:, 1]).statistic, rtol=1e-5)
    by_hand = regression_errors(np.array([1.0, 2.0, 6.0]), np.array([2.0, 2.0, 2.0]))
    assert (by_hand.mae, by_hand.mse, by_hand.n) == (5 / 3, 17 / 3, 3)
    assert by_hand.rmse == pytest.approx((17 / 3) ** 0.5)
    assert np.isnan(by_hand.r)


@few
@given(seeds, st.floats(0.1, 10), st.floats(-10, 10))
def test_pearson_keeps_under_scale_and_shift(seed, scale, shift):
    x, y = features(seed, 20, 2).T
    found = regression_errors(x, y)
    assert -1 - 1e-12 <= found.r <= 1 + 1e-12
    np.testing.assert_allclose(regression_errors(scale * x + shift, y).r, found.r, atol=1e-6)
    np.testing.assert_allclose(regression_errors(x, y).mse, found.rmse**2)
    assert found.mae <= found.rmse * (1 + 1e-12)


def test_regression_refusals():
    with pytest.raises(InputError, match="expected one shape"):
        regression_errors(A[:, 0], B[:, 0])
    with pytest.raises(InputError, match="at least 2"):
        regression_errors(A[:1, 0], A[:1, 1])
    with pytest.raises(InputError, match="NaN"):
        regression_errors(A[:2, 0], np.array([1.0, np.nan]))


@pytest.mark.parametrize("queries", [1, 300])  # within a block, and over its edge
def test_nearest_neighbors_match_the_full_search(queries):
    random = np.random.default_rng(0)
    y = 100 + random.random((40, 3, 2, 1), dtype=np.float32)  # far from 0, where rounding is felt
    x = y[random.integers(0, 40, queries)] + random.normal(0, 1e-3, (queries, 3, 2, 1))
    x = x.astype(np.float32)
    found = nearest_neighbors(x, y)
    apart = np.sqrt(((x[:, None].astype(np.float64) - y) ** 2).mean((2, 3, 4)))
    np.testing.assert_array_equal(found.index, apart.argmin(1))
    np.testing.assert_allclose(found.distance, apart.min(1), rtol=1e-12)


def test_a_copy_is_found_at_distance_zero_and_named_by_its_first():
    y = images(0, 30)
    y[20] = y[7]
    found = nearest_neighbors(y[[7, 3]], y)
    assert found.index.tolist() == [7, 3]
    assert found.distance.tolist() == [0, 0]


def test_nearest_neighbors_refusals():
    with pytest.raises(InputError, match="expected one shape"):
        nearest_neighbors(images(0), images(0, height=15))
    with pytest.raises(InputError, match="references: 0 given"):
        nearest_neighbors(images(0), images(0)[:0])
    with pytest.raises(InputError, match="queries: NaN"):
        nearest_neighbors(images(0) * np.float32(np.nan), images(0))
