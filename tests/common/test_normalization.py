"""Batch normalization: statistics of the batch, moving statistics, and what inference uses.

Instance normalization against PyTorch; tests/golden/make_layers.py recorded it.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from common.nn.normalization import BatchNorm, InstanceNorm

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "layers.npz")
X = np.random.default_rng(0).normal(5, 3, (4, 3, 2, 3)).astype(np.float32) * [1, 2, 0.01]


def layer(**options) -> BatchNorm:
    norm = BatchNorm(3, rngs=nnx.Rngs(0), **options)
    norm.scale[...], norm.bias[...] = jnp.array([1.0, 2, -1]), jnp.array([0.5, 0, 1])
    norm.mean[...], norm.var[...] = jnp.array([1.0, -2, 0]), jnp.array([4.0, 9, 0.25])
    return norm


def expected(x, mean, var, epsilon=1e-3):
    return (x - mean) / np.sqrt(var + epsilon) * [1, 2, -1] + [0.5, 0, 1]


def statistics(norm):
    return np.array([norm.mean[...], norm.var[...]])


def test_training_normalizes_by_the_batch_over_rows_height_and_width():
    found = layer()(X, train=True)
    np.testing.assert_allclose(found, expected(X, X.mean((0, 1, 2)), X.var((0, 1, 2))), atol=1e-4)


def test_inference_normalizes_by_the_moving_statistics_and_leaves_them():
    norm = layer()
    before = statistics(norm)
    np.testing.assert_allclose(norm(X, train=False), expected(X, *before), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(statistics(norm), before)


@pytest.mark.parametrize("momentum", [0.99, 0.75])
def test_moving_statistics_keep_momentum_of_the_old(momentum):
    norm = layer(momentum=momentum)
    before, batch = statistics(norm), np.array([X.mean((0, 1, 2)), X.var((0, 1, 2))])
    norm(X, train=True)
    np.testing.assert_allclose(
        statistics(norm), momentum * before + (1 - momentum) * batch, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("epsilon", [1e-3, 1.0])
def test_epsilon_is_added_to_the_variance(epsilon):
    constant = np.full((2, 2, 2, 3), 7, np.float32)
    norm = layer(epsilon=epsilon)
    np.testing.assert_allclose(norm(constant, train=True), expected(constant, 7, 0, epsilon))
    found = norm(constant, train=False)
    np.testing.assert_allclose(found, expected(constant, *statistics(norm), epsilon), rtol=1e-4)


def test_relu_and_type():
    plain, norm = layer(), layer(relu=True, dtype=jnp.bfloat16)
    x = X.astype(np.float32)
    found = norm(jnp.asarray(x, jnp.bfloat16), train=False)
    assert found.dtype == jnp.bfloat16
    assert norm.mean[...].dtype == jnp.float32
    np.testing.assert_allclose(found, np.maximum(plain(x, train=False), 0), rtol=0.02, atol=0.02)


def test_gradient_goes_through_the_statistics_of_the_batch():
    graph, state = nnx.split(layer())
    shifted = jax.grad(lambda s: nnx.merge(graph, state)(X + s, train=True)[0].sum())(0.0)
    np.testing.assert_allclose(shifted, 0, atol=1e-4)  # a shift of the whole batch changes nothing


@pytest.mark.parametrize("affine", [False, True])
def test_instance_normalization_and_its_gradients_equal_pytorch(affine):
    name = "instance_affine" if affine else "instance"
    norm = InstanceNorm(3, affine=affine, rngs=nnx.Rngs(0))
    if affine:
        norm.scale[...], norm.bias[...] = GOLDEN[f"{name}/weight"], GOLDEN[f"{name}/bias"]
    graph, state = nnx.split(norm)
    assert bool(jax.tree.leaves(state)) == affine

    def output(state, x):
        return nnx.merge(graph, state)(x)

    found, pull = jax.vjp(output, state, jnp.asarray(GOLDEN["images"]))
    slopes, slope = pull(GOLDEN[f"{name}/slopes"])
    np.testing.assert_allclose(found, GOLDEN[f"{name}/output"], atol=1e-5)
    np.testing.assert_allclose(slope, GOLDEN[f"{name}/gradient"], atol=1e-5)
    if affine:
        np.testing.assert_allclose(slopes["scale"][...], GOLDEN[f"{name}/weight_gradient"], 1e-5)
        np.testing.assert_allclose(slopes["bias"][...], GOLDEN[f"{name}/bias_gradient"], 1e-5)


def test_instance_normalization_of_an_image_does_not_depend_on_its_batch():
    norm = InstanceNorm(3, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    x = X.astype(np.float32)
    assert norm(x).dtype == jnp.bfloat16
    np.testing.assert_array_equal(norm(x)[:1], norm(x[:1]))
    wide = InstanceNorm(3, epsilon=100.0, rngs=nnx.Rngs(0))
    centered = x - x.mean((1, 2), keepdims=True)
    expected = centered / np.sqrt(x.var((1, 2), keepdims=True) + 100)
    np.testing.assert_allclose(wide(x), expected, atol=1e-5)
