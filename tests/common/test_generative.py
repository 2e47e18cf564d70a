"""Inception Score equals torch-fidelity's; intervals carry n and hold what they claim."""

import json
import warnings
from functools import reduce
from itertools import combinations
from pathlib import Path

import jax
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from common.metrics import ssim as ssim_module
from common.metrics.frechet import (
    Statistics,
    features_distance,
    frechet_distance,
    gaussian_frechet_distance,
)
from common.metrics.inception_score import inception_score
from common.metrics.intervals import around, frechet_interval, mean_interval
from common.metrics.ssim import all_pairs_ssim, ssim
from common.pretrained.inception import (
    WIDTHS,
    inception_features,
    inception_logits,
    inception_parameters,
    load_inception,
)
from common.pretrained.weights import inception_path
from tests.golden.image_pairs import photographs
from tests.golden.seeded_inception import fit_for_inception
from tests.golden.seeded_weights import seeded_weights

FOLDER = Path(__file__).parents[1] / "golden"
GOLDEN = dict(np.load(FOLDER / "perceptual.npz"))
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=10, deadline=None, derandomize=True)


def features(seed, n=12, width=5):
    random = np.random.default_rng(seed)
    return random.standard_normal((n, width)).astype(np.float32) * random.uniform(0.1, 10, width)


def noise(seed, n):
    return np.random.default_rng(seed).random((n, 14, 17, 1), dtype=np.float32)


# Inception Score


@pytest.mark.parametrize(("row", "splits"), [(0, 10), (1, 1), (2, 4)])
def test_inception_score_matches_torch_fidelity(row, splits):
    found = inception_score(GOLDEN["logits"], splits=splits)
    expected = GOLDEN["inception_scores"][row]
    np.testing.assert_allclose([found.mean, found.std], expected, rtol=1e-6, atol=1e-12)
    assert (found.n, found.splits) == (57, splits)


@jax.jit
def all_widths(parameters):
    # torch-fidelity subtracts 128 and divides by it, pytorch-fid and we 127.5
    images = photographs().astype(np.float32) / 256
    return {width: inception_features(parameters, images, width) for width in WIDTHS}


def assert_close(found, expected):
    assert found.shape == expected.shape
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert error < 1e-4, error


def test_features_and_logits_of_photographs_match_torch_fidelity():
    shapes = json.loads(str(np.load(FOLDER / "inception.npz")["shapes"]))
    shapes |= {"fc.weight": (1008, 2048), "fc.bias": (1008,)}
    parameters = inception_parameters(fit_for_inception(seeded_weights(shapes)))
    found = all_widths(parameters)
    for width in WIDTHS:
        assert_close(found[width], GOLDEN[f"inception_seeded_{width}"])
    for bias, name in ((False, "logits_unbiased"), (True, "logits")):
        logits = inception_logits(parameters, found[2048], bias=bias)
        assert_close(logits, GOLDEN[f"inception_seeded_{name}"])
    del parameters["fc"]
    with pytest.raises(InputError, match=r"without classes.*INCEPTION_WEIGHTS"):
        inception_logits(parameters, found[2048])


def test_published_features_of_photographs_match_torch_fidelity():
    try:
        path = inception_path(download=False)
    except InputError as error:
        pytest.skip(str(error))
    for width, found in all_widths(load_inception(path)).items():
        assert_close(found, GOLDEN[f"inception_published_{width}"])


def test_a_classifier_of_another_size_is_refused():
    shapes = json.loads(str(np.load(FOLDER / "inception.npz")["shapes"]))
    tensors = seeded_weights(shapes | {"fc.weight": (1000, 2048), "fc.bias": (1000,)})
    with pytest.raises(ValueError, match="classifier"):
        inception_parameters(fit_for_inception(tensors))


@few
@given(seeds, st.integers(1, 4))
def test_inception_score_bounds_and_order(seed, splits):
    logits = features(seed, 20, 7)
    found = inception_score(logits, splits=splits)
    assert 1 - 1e-9 <= found.mean <= 7 + 1e-9
    whole = inception_score(logits, splits=1)
    shuffled = np.random.default_rng(seed).permutation(logits)
    np.testing.assert_allclose(inception_score(shuffled, splits=1).mean, whole.mean)
    np.testing.assert_allclose(inception_score(logits + 3, splits=1).mean, whole.mean, rtol=1e-5)


def test_inception_score_of_extremes():
    certain = 1e4 * np.tile(np.eye(5, dtype=np.float32), (8, 1))
    assert inception_score(certain, splits=1).mean == pytest.approx(5)
    same = np.ones((20, 5), np.float32)
    assert inception_score(same).mean == pytest.approx(1)


def test_inception_score_refusals():
    with pytest.raises(InputError, match="logits: 9 given, at least 10 needed"):
        inception_score(GOLDEN["logits"][:9])
    with pytest.raises(InputError, match="logits: NaN"):
        inception_score(np.full((20, 3), np.nan, np.float32))
    with pytest.raises(InputError, match="splits 0"):
        inception_score(GOLDEN["logits"], splits=0)


# Fréchet distance


@few
@given(seeds, st.integers(3, 30), st.integers(3, 30))
def test_distance_of_features_is_that_of_their_statistics(seed, n, m):
    x, y = features(seed, n, 10), features(seed + 1, m, 10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = frechet_distance(Statistics.of(x), Statistics.of(y)).value
    # roots of eigenvalues that are 0 but for rounding
    np.testing.assert_allclose(features_distance(x, y), expected, rtol=1e-5)
    np.testing.assert_allclose(features_distance(y, x), features_distance(x, y), rtol=1e-9)
    np.testing.assert_allclose(features_distance(x, x), 0, atol=1e-9 * np.square(x).sum())


@few
@given(seeds)
def test_streams_of_batches_in_any_order_give_one_distance(seed):
    random = np.random.default_rng(seed)
    x, y = features(seed, 40, 6), features(seed + 1, 40, 6)
    cuts = sorted(random.choice(np.arange(1, 40), 3, replace=False))
    parts = [Statistics.of(x[i]) for i in np.split(random.permutation(40), cuts)]
    reference = Statistics.of(y)
    found = frechet_distance(reduce(Statistics.merge, parts), reference).value
    expected = frechet_distance(Statistics.of(x), reference).value
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_singular_and_regular_covariances_take_one_value():
    x, y = features(0, 80, 12).astype(np.float64), features(1, 80, 12).astype(np.float64)
    y[:, 3] = y[:, 2]  # singular: no Cholesky factor on one side
    moments = [m for z in (x, y) for m in (z.mean(0), np.cov(z, rowvar=False))]
    root = scipy.linalg.sqrtm(moments[1] @ moments[3]).real
    expected = ((moments[0] - moments[2]) ** 2).sum() + np.trace(moments[1] + moments[3] - 2 * root)
    np.testing.assert_allclose(gaussian_frechet_distance(*moments), expected, rtol=1e-6)


def test_small_sets_are_warned_of_once_at_a_place():
    a, b = Statistics.of(features(0, 4)), Statistics.of(features(1, 4))
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        for _ in range(3):
            frechet_distance(a, b)
    (warning,) = caught
    assert "KID" in str(warning.message)


# Intervals


def test_mean_interval_matches_scipy():
    values = ssim(noise(0, 9), noise(1, 9))
    found = mean_interval(values, 0.9)
    numbers = np.asarray(values, np.float64)
    expected = scipy.stats.t.interval(0.9, 8, numbers.mean(), scipy.stats.sem(numbers))
    np.testing.assert_allclose((found.low, found.high), expected, rtol=1e-9)
    assert (found.value, found.n, found.level) == (numbers.mean(), (9,), 0.9)


def test_standard_error_of_all_pairs_leaves_out_one_image_at_a_time(monkeypatch):
    x = noise(0, 7)
    means = [all_pairs_ssim(np.delete(x, i, 0)).mean for i in range(7)]
    expected = (6 * np.var(means)) ** 0.5
    for block in (512, 3):
        monkeypatch.setattr(ssim_module, "_BLOCK", block)
        found = all_pairs_ssim(x)
        np.testing.assert_allclose(found.standard_error, expected, rtol=1e-3)
    interval = found.interval()
    half = scipy.stats.t.ppf(0.975, 6) * found.standard_error
    np.testing.assert_allclose([interval.low, interval.high], found.mean + half * np.array([-1, 1]))
    assert interval.n == (7,)
    assert np.isnan(all_pairs_ssim(x[:2]).standard_error)


@few
@given(seeds)
def test_all_pairs_ssim_keeps_under_permutation(seed):
    x = noise(seed, 5)
    pairs = ssim(*(x[list(side)] for side in zip(*combinations(range(5), 2), strict=True)))
    for order in (np.arange(5), np.random.default_rng(seed).permutation(5)):
        found = all_pairs_ssim(x[order])
        np.testing.assert_allclose(found.mean, np.mean(pairs), atol=1e-6)
        np.testing.assert_allclose(
            found.standard_error, all_pairs_ssim(x).standard_error, rtol=1e-3
        )


def test_bootstrap_finds_the_spread_of_the_distance_over_new_sets():
    random = np.random.default_rng(0)
    draws = [[random.standard_normal((60, 4)) + shift for shift in (0, 0.5)] for _ in range(300)]
    spread = np.std([features_distance(x, y) for x, y in draws])
    found = [frechet_interval(x, y, seed=i) for i, (x, y) in enumerate(draws[:20])]
    errors = [(i.high - i.value) / scipy.stats.t.ppf(0.975, 59) for i in found]
    assert 0.8 < np.mean(errors) / spread < 1.25


@few
@given(seeds)
def test_bootstrap_is_seeded_and_holds_its_value(seed):
    x, y = features(seed, 20, 30), features(seed + 1, 25, 30)  # fewer images than features
    found = frechet_interval(x, y, resamples=5)
    assert found == frechet_interval(x, y, resamples=5) != frechet_interval(x, y, resamples=6)
    assert 0 <= found.low < found.value < found.high
    assert found.value == features_distance(x, y)
    assert found.n == (20, 25)
    assert frechet_interval(x, x, resamples=5).low == 0


def test_interval_refusals():
    with pytest.raises(InputError, match="values: 1 given, at least 2"):
        mean_interval(np.ones(1))
    with pytest.raises(InputError, match="NaN or infinite"):
        mean_interval(np.array([1.0, np.inf]))  # PSNR of a copy
    for level in (0.0, 1.0, 95.0):
        with pytest.raises(InputError, match=f"level {level}"):
            around(0.0, 1.0, (5,), level)
    with pytest.raises(InputError, match="5 and 4 values"):
        frechet_interval(features(0), features(0, width=4))
    with pytest.raises(InputError, match="1 given, at least 2"):
        frechet_interval(features(0, 1), features(0))
    with pytest.raises(InputError, match="resamples 1"):
        frechet_interval(features(0), features(1), resamples=1)
