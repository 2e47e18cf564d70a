"""Self-attention: what it is at first, and its form for large maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from papers.surgical_vision.models import attention
from papers.surgical_vision.models.attention import SelfAttention
from papers.surgical_vision.models.drawing import draw_pytorch


def test_attention_changes_nothing_at_first():
    x = jnp.asarray(np.random.default_rng(1).standard_normal((2, 3, 4, 16)), jnp.float32)
    network = SelfAttention(16, heads=2, rngs=nnx.Rngs(0))
    draw_pytorch(network, nnx.Rngs(1))
    np.testing.assert_array_equal(network(x), x)
    network.gamma[...] = jnp.array([0.0, 1.0])
    assert np.abs(network(x) - x).max() > 1e-3


@pytest.mark.parametrize("pooled", [False, True])
def test_large_tables_of_scores_are_not_held_and_give_the_same(pooled, monkeypatch):
    random = np.random.default_rng(2)
    shapes = ((2, 16, 3, 2), (2, 4 if pooled else 16, 3, 2), (2, 4 if pooled else 16, 3, 5))
    inputs = [jnp.asarray(random.standard_normal(shape), jnp.float32) for shape in shapes]

    def everything(*inputs):
        def loss(*inputs):
            return jnp.sin(attention._attended(*inputs)).sum()

        def penalty(*inputs):
            return sum((slope**2).sum() for slope in jax.grad(loss, (0, 1, 2))(*inputs))

        return attention._attended(*inputs), *jax.grad(penalty, (0, 1, 2))(*inputs)

    whole = jax.jit(everything)(*inputs)
    monkeypatch.setattr(attention, "_LARGE", 1)
    monkeypatch.setattr(attention, "_CHUNK", 4)
    text = str(jax.make_jaxpr(lambda *x: jax.vjp(attention._attended, *x)[0])(*inputs))
    assert "scan" in text
    for a, b in zip(whole, jax.jit(lambda *x: everything(*x))(*inputs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(a).max())
