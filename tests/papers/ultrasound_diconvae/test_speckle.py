"""Rayleigh noise on images: its moments, its range, its dependence on the key alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from papers.ultrasound_diconvae.config import SpeckleConfig
from papers.ultrasound_diconvae.speckle import (
    RAYLEIGH_MEAN,
    RAYLEIGH_VARIANCE,
    rayleigh,
    speckled,
)

KEY = jax.random.key(0)


@pytest.mark.parametrize("sigma", SpeckleConfig().sigmas)
def test_moments_and_median_are_rayleigh_s(sigma):
    noise = np.asarray(rayleigh(KEY, (400, 400), sigma), np.float64)
    assert noise.min() >= 0
    assert noise.mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.01)
    assert noise.var() == pytest.approx(sigma**2 * (2 - np.pi / 2), rel=0.02)
    assert np.median(noise) == pytest.approx(sigma * np.sqrt(2 * np.log(2)), rel=0.01)
    assert noise.mean() == pytest.approx(sigma * RAYLEIGH_MEAN, rel=0.01)


def test_speckle_multiplies_and_brightens_unless_centered():
    dark = jnp.full((4, 100, 100, 1), 0.1)
    noisy = speckled(KEY, dark, 0.5)
    assert float(noisy.mean()) == pytest.approx(0.1 * (1 + 0.5 * RAYLEIGH_MEAN), rel=0.01)
    assert float(noisy.std()) == pytest.approx(0.1 * 0.5 * RAYLEIGH_VARIANCE**0.5, rel=0.02)
    level = speckled(KEY, dark, 0.5, centered=True)
    assert float(level.mean()) == pytest.approx(0.1, rel=0.01)
    np.testing.assert_allclose(speckled(KEY, 2 * dark, 0.1), 2 * speckled(KEY, dark, 0.1), 1e-5)
    assert (speckled(KEY, 0 * dark, 0.75) == 0).all()


def test_values_stay_between_0_and_1_and_no_speckle_is_the_image():
    image = jnp.linspace(0, 1, 1200).reshape(1, 30, 40, 1)
    noisy = speckled(KEY, image, 0.75)
    assert float(noisy.min()) >= 0
    assert float(noisy.max()) == 1
    np.testing.assert_array_equal(speckled(KEY, image, 0.0), image)


def test_one_sigma_for_each_image_and_one_noise_for_each_key():
    images = jnp.full((2, 64, 64, 1), 0.2)
    sigma = jnp.array([0.1, 0.4]).reshape(2, 1, 1, 1)
    noisy = jax.jit(speckled)(KEY, images, sigma)
    spread = noisy.std((1, 2, 3))
    assert float(spread[1] / spread[0]) == pytest.approx(4, rel=0.1)
    np.testing.assert_allclose(noisy, speckled(KEY, images, sigma), rtol=1e-5)
    assert (noisy != speckled(jax.random.key(1), images, sigma)).mean() > 0.99
