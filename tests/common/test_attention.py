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


def test_kernel_of_cudnn_is_for_the_forward_pass_alone(monkeypatch):
    asked, inner = [], jax.nn.dot_product_attention

    def recorded(*inputs, implementation=None, **options):
        asked.append(implementation)
        return inner(*inputs, **options)

    monkeypatch.setattr(jax.nn, "dot_product_attention", recorded)
    monkeypatch.setattr(module, "_LARGE", 1)
    monkeypatch.setattr(module.cpu_forms, "on_cpu", lambda: False)
    monkeypatch.setattr(module, "_cudnn_has", lambda query: True)
    inputs = drawn(24, 10)
    ours, theirs = (
        jax.value_and_grad(lambda *x, f=f: (f(*x) ** 2).sum(), argnums=(0, 1, 2))(*inputs)
        for f in (attention, plain)
    )
    for one, other in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert asked == ["cudnn", None]
    attention(*inputs, causal=False)
    assert asked[-1] == "cudnn"


def test_kernel_of_cudnn_is_asked_for_where_it_works(monkeypatch):
    half = drawn(4, 4, jnp.bfloat16)[0]
    assert not module._cudnn_has(half)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert module._cudnn_has(half)
    assert not module._cudnn_has(half.astype(jnp.float32))
    assert not module._cudnn_has(half[..., :4])
    assert not module._cudnn_has(jnp.zeros((1, 4, 1, 160), jnp.bfloat16))
