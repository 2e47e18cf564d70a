"""Losses: values known from their formulas, and where each has its least."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from papers.surgical_vision import losses

RANDOM = np.random.default_rng(0)


def test_cross_entropy_of_real_and_generated():
    logits = jnp.array([[0.0, 2.0], [-1.0, 30.0]])
    sigmoid = 1 / (1 + np.exp(-np.array([0.0, 2.0, -1.0, 30.0])))
    assert float(losses.is_real(logits, True)) == pytest.approx(-np.log(sigmoid).mean(), rel=1e-6)
    generated = np.mean([np.log(2), np.log1p(np.exp(2)), np.log1p(np.exp(-1)), 30.0])
    assert float(losses.is_real(logits, False)) == pytest.approx(generated, rel=1e-6)
    slope = jax.grad(lambda x: losses.is_real(x, True))(jnp.array([-50.0]))
    assert float(slope[0]) == pytest.approx(-1)  # non-saturating: a bad image still learns


def test_least_squares_of_real_and_generated():
    scores = jnp.array([[1.0, 0.5], [0.0, -1.0]])
    assert float(losses.is_real_squared(scores, True)) == pytest.approx((0 + 0.25 + 1 + 4) / 4)
    assert float(losses.is_real_squared(scores, False)) == pytest.approx((1 + 0.25 + 0 + 1) / 4)


def test_the_absolute_difference_is_a_mean():
    assert float(losses.l1(jnp.array([1.0, -1.0]), jnp.array([0.5, 1.0]))) == pytest.approx(1.25)


def test_pixels_are_summed_and_images_averaged():
    target = jnp.array(RANDOM.uniform(-1, 1, (2, 4, 4, 3)).astype(np.float32))
    output = jnp.array(RANDOM.uniform(-0.9, 0.9, (2, 4, 4, 3)).astype(np.float32))
    p, y = (np.asarray(x, np.float64) / 2 + 0.5 for x in (output, target))
    entropy = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    expected = entropy.sum((1, 2, 3)).mean()
    assert float(losses.pixels_entropy(output, target)) == pytest.approx(expected, rel=1e-5)
    expected = ((p - y) ** 2).sum((1, 2, 3)).mean()
    assert float(losses.pixels_squared(output, target)) == pytest.approx(expected, rel=1e-5)
    for loss in (losses.pixels_entropy, losses.pixels_squared):
        slope = jax.grad(loss)(target, target)
        np.testing.assert_allclose(slope, 0, atol=1e-5)  # the least is at the target
    certain = jnp.sign(target)  # 0 and 1: Keras cuts probabilities off before the logarithm
    assert np.isfinite(float(losses.pixels_entropy(certain, -certain)))
    assert float(losses.pixels_entropy(certain, certain)) == pytest.approx(0, abs=1e-4)


def test_the_divergence_is_the_integral_of_its_definition():
    mean, log_variance = np.array([[0.5, -1.0]]), np.array([[0.3, -0.7]])
    z = np.linspace(-12, 12, 20001)
    whole = 0.0
    for m, v in zip(mean[0], np.exp(log_variance[0]), strict=True):
        q = np.exp(-((z - m) ** 2) / (2 * v)) / np.sqrt(2 * np.pi * v)
        log_p = -(z**2) / 2 - np.log(np.sqrt(2 * np.pi))
        log_q = -((z - m) ** 2) / (2 * v) - np.log(np.sqrt(2 * np.pi * v))
        whole += np.trapezoid(q * (log_q - log_p), z)
    given = jnp.asarray(np.repeat(mean, 3, 0)), jnp.asarray(np.repeat(log_variance, 3, 0))
    assert float(losses.kl(*given)) == pytest.approx(whole, rel=1e-5)  # a mean over the batch
    assert float(losses.kl(jnp.zeros((2, 3)), jnp.zeros((2, 3)))) == 0


def test_labels_are_summed_and_images_averaged():
    logits = jnp.array([[0.0, 1.0, -2.0], [3.0, 0.0, 0.0]])
    labels = np.array([[1, 1, 0], [0, 1, 0]], np.uint8)
    p = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    expected = -np.log(np.where(labels == 1, p, 1 - p)).sum(1).mean()
    assert float(losses.has_labels(logits, jnp.asarray(labels))) == pytest.approx(
        expected, rel=1e-5
    )


def test_the_logit_of_a_domain():
    logits = jnp.arange(8.0).reshape(2, 4)
    np.testing.assert_array_equal(losses.of_domain(logits, jnp.array([3, 1])), [3, 5])


def test_gram_matrices_by_their_sums():
    features = RANDOM.standard_normal((2, 3, 5, 4)).astype(np.float32)
    expected = np.zeros((2, 4, 4))
    for image, i, j in np.ndindex(2, 4, 4):
        expected[image, i, j] = (features[image, ..., i] * features[image, ..., j]).sum() / 60
    np.testing.assert_allclose(losses.gram(jnp.asarray(features)), expected, rtol=1e-4, atol=1e-6)
    moved = np.roll(features, (1, 2), (1, 2))  # where a feature is does not count
    np.testing.assert_allclose(losses.gram(jnp.asarray(moved)), expected, rtol=1e-4, atol=1e-6)


def test_no_gradient_goes_through_what_is_stopped():
    slope = jax.grad(lambda x: (losses.stopped(x) * x).sum())(jnp.array([3.0]))
    assert float(slope[0]) == 3
