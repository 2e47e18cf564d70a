"""Gradient energy of images whose gradient is known, and what blur makes of it."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from common.errors import InputError
from common.metrics.luminance import luminance
from common.metrics.sharpness import gradient_energy, relative_sharpness

NOISE = np.random.default_rng(0).random((3, 24, 32, 3)).astype(np.float32)


def test_ramps_and_waves_have_their_energy():
    row, column = np.mgrid[:33, :65].astype(np.float32)
    ramp = 0.01 * row + 0.005 * column
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * column / 16)
    found = gradient_energy(np.stack([ramp, wave, 0 * ramp])[..., None])
    # over whole periods the squared central difference has the mean (a sin(k))² / 2
    slope = 0.5 * np.sin(2 * np.pi / 16)
    np.testing.assert_allclose(found[[0, 2]], [0.01**2 + 0.005**2, 0], atol=1e-9)
    assert found[1] == pytest.approx(slope**2 / 2, rel=0.02)


def test_blur_lowers_it_and_a_copy_has_1():
    np.testing.assert_array_equal(relative_sharpness(NOISE, NOISE), 1)
    found = [
        relative_sharpness(gaussian_filter(NOISE, (0, s, s, 0)), NOISE) for s in (0.4, 0.7, 1, 2)
    ]
    assert np.all(np.diff(found, axis=0) < 0)
    np.testing.assert_allclose(relative_sharpness(NOISE / 2, NOISE), 0.25, rtol=1e-5)


def test_a_constant_reference_gives_nan():
    flat = np.full_like(NOISE, 0.5)
    assert np.isnan(relative_sharpness(NOISE, flat)).all()
    np.testing.assert_array_equal(relative_sharpness(flat, NOISE), 0)


def test_luminance_is_that_of_color():
    np.testing.assert_allclose(luminance(np.eye(3)[:, None, None]).ravel(), [0.299, 0.587, 0.114])
    np.testing.assert_allclose(luminance(np.repeat(NOISE[..., :1], 3, 3)), NOISE[..., 0], rtol=1e-6)


def test_bad_input_is_one_error():
    with pytest.raises(InputError, match=r"images: values up to .* divide by 255"):
        gradient_energy(NOISE * 255)
    with pytest.raises(InputError, match="reference images: values down to"):
        relative_sharpness(NOISE, NOISE * 2 - 1)
    with pytest.raises(InputError, match="one shape"):
        relative_sharpness(NOISE, NOISE[:, 1:])
    with pytest.raises(InputError, match="2x32, expected at least 3x3"):
        gradient_energy(NOISE[:, :2])
    with pytest.raises(InputError, match="2 channels, expected 1 or 3"):
        gradient_energy(NOISE[..., :2])
