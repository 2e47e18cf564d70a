"""Measures of speckle against distributions and formulas whose values are known."""

import jax
import numpy as np
import pytest

from common.errors import InputError
from common.metrics.speckle import (
    edge_preservation,
    effective_number_of_looks,
    envelope_snr,
    homogeneous_regions,
    speckle_index,
)

random = np.random.default_rng(0)
RAYLEIGH = random.rayleigh(0.1, (2, 128, 200, 1)).clip(0, 1).astype(np.float32)
RATIO = np.sqrt(4 / np.pi - 1)  # standard deviation to mean of Rayleigh's distribution


def test_fully_developed_speckle_has_its_known_values():
    np.testing.assert_allclose(envelope_snr(RAYLEIGH), 1 / RATIO, rtol=0.01)
    np.testing.assert_allclose(effective_number_of_looks(RAYLEIGH), 3.66, rtol=0.02)
    intensity = RAYLEIGH**2
    np.testing.assert_allclose(effective_number_of_looks(intensity), 1, rtol=0.03)
    # a small window's s is a little low
    found = [float(speckle_index(RAYLEIGH, window=w)[0]) for w in (3, 7, 15)]
    assert found == sorted(found)
    assert found[2] == pytest.approx(RATIO, rel=0.01)


def test_values_are_the_formulas():
    x = random.random((2, 9, 12, 1)).astype(np.float32)
    views = np.lib.stride_tricks.sliding_window_view(x[..., 0].astype(float), (4, 4), (1, 2))
    expected = (views.std((-2, -1)) / views.mean((-2, -1))).mean((1, 2))
    np.testing.assert_allclose(speckle_index(x, window=4), expected, rtol=1e-5)
    y = random.random(x.shape).astype(np.float32)
    for i, found in enumerate(edge_preservation(x, y)):
        edges = []
        for z in (x[i, ..., 0].astype(float), y[i, ..., 0].astype(float)):
            around = z[:-2, 1:-1] + z[2:, 1:-1] + z[1:-1, :-2] + z[1:-1, 2:]
            edges.append((around - 4 * z[1:-1, 1:-1]).ravel())
        assert float(found) == pytest.approx(np.corrcoef(*edges)[0, 1], rel=1e-4)


def test_mean_of_looks_and_smoothing_move_them_as_they_must():
    looks = random.rayleigh(0.1, (1, 100, 100, 4)).astype(np.float32)
    averaged = (looks**2).mean(-1, keepdims=True)
    assert float(effective_number_of_looks(averaged.clip(0, 1))[0]) == pytest.approx(4, rel=0.08)
    blurred = (RAYLEIGH[:, 1:] + RAYLEIGH[:, :-1]) / 2
    assert np.all(speckle_index(blurred) < speckle_index(RAYLEIGH))
    assert np.all(edge_preservation(RAYLEIGH[:, 1:], blurred) < 0.9)


def test_the_most_homogeneous_window_is_found_and_black_is_none():
    x = np.zeros((2, 60, 80, 1), np.float32)
    x[0, 10:50, 10:70] = random.random((40, 60, 1))
    x[0, 20:30, 40:50] = 0.5 + 0.01 * random.random((10, 10, 1))
    regions = homogeneous_regions(x, 10)
    assert regions[0].sum() == 100
    assert regions[0, 20:30, 40:50].all()
    assert not regions[1].any()
    assert float(effective_number_of_looks(x, regions)[0]) > 1000
    with pytest.raises(InputError, match="window of 61"):
        homogeneous_regions(x, 61)


def test_regions_leave_out_the_rest():
    x = np.concatenate([RAYLEIGH[:, :, :100], np.ones_like(RAYLEIGH[:, :, :100])], axis=2)
    regions = np.zeros(x.shape[:3], bool)
    regions[:, :, :100] = True
    for measure in (speckle_index, envelope_snr, effective_number_of_looks):
        inside = measure(RAYLEIGH[:, :, :100])
        np.testing.assert_allclose(measure(x, regions), inside, rtol=1e-4)
    cut = np.where(regions[..., None], x, 0)
    regions[:, :, 99] = False  # its Laplacian sees what was cut off
    np.testing.assert_allclose(edge_preservation(x, cut, regions), 1, rtol=1e-5)
    assert np.all(edge_preservation(x, cut) < 0.99)


def test_black_and_constant_images_have_stated_values():
    black, gray = np.zeros((1, 16, 16, 1), np.float32), np.full((1, 16, 16, 1), 0.5, np.float32)
    assert np.isnan(speckle_index(black)).all()
    assert float(speckle_index(gray)[0]) == 0
    assert np.isnan(envelope_snr(black)).all()
    assert np.isinf(envelope_snr(gray)).all()
    assert np.isnan(edge_preservation(gray, gray)).all()
    half = np.concatenate([black, RAYLEIGH[:1, :16, :16]], axis=1)
    assert float(speckle_index(half)[0]) > 0.2  # black windows count for nothing
    assert np.isnan(envelope_snr(gray, np.zeros((1, 16, 16), bool))).all()


def test_bad_input_is_one_error():
    with pytest.raises(InputError, match="divide by 255"):
        speckle_index(RAYLEIGH * 255)
    with pytest.raises(InputError, match="window of 300 pixels"):
        speckle_index(RAYLEIGH, window=300)
    with pytest.raises(InputError, match="expected one shape"):
        edge_preservation(RAYLEIGH, RAYLEIGH[:, :50])
    with pytest.raises(InputError, match=r"regions \(1, 4, 4\)"):
        envelope_snr(RAYLEIGH, np.ones((1, 4, 4), bool))


def test_measures_are_pure():
    @jax.jit
    def everything(x):
        return speckle_index(x), envelope_snr(x), edge_preservation(x, x)

    for found in everything(RAYLEIGH[:, :32, :32]):
        assert np.isfinite(found).all()
