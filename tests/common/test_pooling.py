"""Pooling with switches against PyTorch; tests/golden/make_pooling.py recorded it."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common.errors import InputError
from common.nn.pooling import max_pool_switches, max_unpool

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "pooling.npz")


def test_maxima_places_and_gradient_are_pytorchs_ties_too():
    pooled, switches = jax.jit(max_pool_switches)(GOLDEN["images"])
    np.testing.assert_array_equal(pooled, GOLDEN["pooled"])
    rows, columns, width = np.arange(3)[:, None, None], np.arange(4)[:, None], 8
    indices = (2 * rows + switches // 2) * width + 2 * columns + switches % 2
    np.testing.assert_array_equal(indices, GOLDEN["indices"])

    @jax.jit
    def pull(x, cotangent):
        return jax.vjp(lambda x: max_pool_switches(x)[0], x)[1](cotangent)[0]

    found = pull(GOLDEN["images"], GOLDEN["values"])
    np.testing.assert_array_equal(found, GOLDEN["pooled_gradient"])


def test_unpooling_and_its_gradient_are_pytorchs():
    @jax.jit
    def there_and_back(x, v, cotangent):
        switches = max_pool_switches(x)[1]
        unpooled, pull = jax.vjp(lambda v: max_unpool(v, switches), v)
        return unpooled, pull(cotangent)[0]

    names = ("images", "values", "slopes")
    unpooled, gradient = there_and_back(*(GOLDEN[name] for name in names))
    np.testing.assert_array_equal(unpooled, GOLDEN["unpooled"])
    np.testing.assert_array_equal(gradient, GOLDEN["unpooled_gradient"])


def test_neither_direction_scatters():
    def there_and_back(x):
        return jnp.sum(max_unpool(*max_pool_switches(x)) ** 2)

    program = str(jax.make_jaxpr(jax.grad(there_and_back))(GOLDEN["images"]))
    assert "scatter" not in program
    assert "gather" not in program


def test_odd_sides_are_one_error():
    with pytest.raises(InputError, match="2x2 pooling of 5x4: expected even"):
        max_pool_switches(np.zeros((1, 5, 4, 1), np.float32))


def test_bfloat16_and_not_a_number_go_through():
    x = jnp.asarray(GOLDEN["images"], jnp.bfloat16)
    pooled, switches = jax.eval_shape(max_pool_switches, x)
    assert pooled.dtype == jax.eval_shape(max_unpool, pooled, switches).dtype == jnp.bfloat16
    broken = GOLDEN["images"].copy()
    broken[0, 3, 4, 1] = np.nan
    assert np.argwhere(np.isnan(jax.jit(max_pool_switches)(broken)[0])).tolist() == [[0, 1, 2, 1]]
