"""Attention: its forms give the same values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common.nn import attention as module
from common.nn.attention import attention


def drawn(tokens, keys, dtype=jnp.float32):
    random = np.random.default_rng(0)
    shapes = (tokens, keys, keys)
    return [jnp.asarray(random.standard_normal((2, n, 3, 8)), dtype) for n in shapes]


def plain(query, key, value):
    scores = jnp.einsum("bthf,bshf->bhts", query, key) / np.sqrt(query.shape[3])
    return jnp.einsum("bhts,bshf->bthf", jax.nn.softmax(scores, axis=-1), value)


@pytest.fixture
def in_chunks(monkeypatch):
    """Compute small tables in chunks, and count how often."""
    monkeypatch.setattr(module, "_LARGE", 1)
    monkeypatch.setattr(module, "_CHUNK", 8)
    called, inner = [], module._in_chunks
    monkeypatch.setattr(module, "_in_chunks", lambda *inputs: called.append(1) or inner(*inputs))
    return called


@pytest.mark.parametrize("keys", [24, 5])
def test_chunks_give_the_same_values_and_gradients(in_chunks, keys):
    inputs = drawn(24, keys)
    weights = jnp.asarray(np.random.default_rng(1).standard_normal((2, 24, 3, 8)), jnp.float32)
    np.testing.assert_allclose(attention(*inputs), plain(*inputs), atol=1e-5)
    ours, theirs = (
        jax.grad(lambda *x, f=f: (f(*x) * weights).sum(), argnums=(0, 1, 2))(*inputs)
        for f in (attention, plain)
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert len(in_chunks) == 2


def test_chunks_survive_large_scores(in_chunks):
    query, key, value = drawn(16, 16)
    out = attention(1e3 * query, key, value)
    np.testing.assert_allclose(out, plain(1e3 * query, key, value), atol=1e-4)
    assert in_chunks


def test_bfloat16_stays_bfloat16_in_both_forms(in_chunks):
    inputs = drawn(16, 16, jnp.bfloat16)
    out = attention(*inputs)
    assert out.dtype == jnp.bfloat16
    whole = jax.nn.dot_product_attention(*inputs)
    np.testing.assert_allclose(out.astype(np.float32), whole.astype(np.float32), atol=0.05)


def test_causal_and_small_tables_are_whole(in_chunks):
    query, key, value = drawn(16, 16)
    causal = attention(query, key, value, causal=True)
    np.testing.assert_allclose(causal[:, :1], value[:, :1], atol=1e-6)
    module._LARGE = 1 << 20  # the fixture puts it back
    attention(query, key, value)
    assert not in_chunks


def test_published_sizes_are_computed_in_chunks():
    # 64 x 64 and 32 x 32 pixels of Stable Diffusion; not the 24 x 32 of camcan's lowest level
    assert 1024 * 1024 >= module._LARGE > 768 * 768
