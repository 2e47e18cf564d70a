"""Penalties where they are known; with networks: test_models_golden.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from papers.surgical_vision.gradient_penalty import between, gradient_penalty, r1

IMAGES = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)), jnp.float32)


def test_penalty_at_a_gradient_of_zero_is_finite():
    def penalty(weight):
        return gradient_penalty(lambda x: weight * x.sum((1, 2, 3)), IMAGES)

    assert jax.value_and_grad(penalty)(0.0) == (1, 0)
    norm = 0.1 * np.sqrt(IMAGES[0].size)  # of the gradient, which is the weight everywhere
    assert penalty(0.1) == pytest.approx((norm - 1) ** 2, rel=1e-5)
    assert r1(lambda x: 0.1 * x.sum((1, 2, 3)), IMAGES) == pytest.approx(norm**2 / 2, rel=1e-5)
    assert r1(lambda x: 0.1 * x, IMAGES) == pytest.approx(norm**2 / 2, rel=1e-5)  # of the sum


def test_penalized_images_lie_between_at_a_place_of_each_pair():
    points = np.asarray(
        between(jnp.ones((500, 2, 2, 1)), jnp.zeros((500, 2, 2, 1)), jax.random.key(0))
    )
    assert (np.ptp(points, (1, 2, 3)) == 0).all()
    shares = np.sort(points[:, 0, 0, 0])
    np.testing.assert_allclose(shares, np.linspace(0, 1, 500), atol=0.08)  # uniform
