"""Multi-head attention (Vaswani et al. 2017, arXiv:1706.03762, eq. 1), in the form that is fastest.

Large tables of scores are never held whole: a GPU has cuDNN's kernel, where it computes in half
precision; a CPU computes one head and a few hundred queries at a time, forward and again in the
backward pass, in a sixth of the time for 4096 tokens.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from common.nn import cpu_forms
from common.nn.linear import linear

Heads = Float[Array, "batch tokens heads head_features"]
_CHUNK = 512  # queries at a time
_LARGE = 1024 * 1024  # scores of a head from which on they are not held whole
_CUDNN_HEAD_FEATURES = 128  # at most


class Attention(nnx.Module):
    """Multi-head attention of a sequence to a context.

    `bias` is that of queries, keys and values; the output has one always.
    """

    def __init__(
        self,
        features: int,
        context_features: int,
        heads: int,
        *,
        bias: bool = False,
        causal: bool = False,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        options: Any = {"dtype": dtype, "rngs": rngs}
        self.heads, self.causal = heads, causal
        self.query = linear(features, features, use_bias=bias, **options)
        self.key = linear(context_features, features, use_bias=bias, **options)
        self.value = linear(context_features, features, use_bias=bias, **options)
        self.out = linear(features, features, **options)

    def __call__(
        self,
        x: Float[Array, "batch tokens features"],
        context: Float[Array, "batch context_tokens context_features"],
    ) -> Float[Array, "batch tokens features"]:
        """Return what each token of `x` takes from `context`."""
        query, key, value = (
            y.reshape(*y.shape[:2], self.heads, -1)
            for y in (self.query(x), self.key(context), self.value(context))
        )
        return self.out(attention(query, key, value, causal=self.causal).reshape(x.shape))


def attention(
    query: Heads,
    key: Float[Array, "batch keys heads head_features"],
    value: Float[Array, "batch keys heads head_features"],
    *,
    causal: bool = False,
) -> Heads:
    """Return softmax(query key^T / sqrt(head_features)) value of each head, softmax in float32.

    In a `causal` one no token sees a later one.
    """
    large = query.shape[1] * key.shape[1] >= _LARGE and not causal
    if large and cpu_forms.on_cpu() and query.shape[1] % _CHUNK == 0:
        return _in_chunks(query, key, value)
    if large and _cudnn_has(query):
        return _by_cudnn(query, key, value)
    return jax.nn.dot_product_attention(query, key, value, is_causal=causal)


def _cudnn_has(query: Heads) -> bool:
    half = query.dtype in (jnp.bfloat16, jnp.float16)
    fits = query.shape[3] % 8 == 0 and query.shape[3] <= _CUDNN_HEAD_FEATURES
    return jax.default_backend() == "gpu" and half and fits


@jax.custom_vjp
def _by_cudnn(query: Array, key: Array, value: Array) -> Array:
    return jax.nn.dot_product_attention(query, key, value, implementation="cudnn")


def _cudnn_forward(query, key, value):
    return _by_cudnn(query, key, value), (query, key, value)


def _cudnn_backward(kept, gradient):
    """The scores again, by XLA: with deterministic operations it does not compile cuDNN's."""
    _, pull = jax.vjp(jax.nn.dot_product_attention, *kept)
    return pull(gradient)


_by_cudnn.defvjp(_cudnn_forward, _cudnn_backward)


def _in_chunks(query: Heads, key: Array, value: Array) -> Heads:
    batch, tokens, heads, features = query.shape

    def by_head(x: Array) -> Array:
        return x.transpose(0, 2, 1, 3).reshape(batch * heads, x.shape[1], features)

    @jax.checkpoint  # the scores are computed again in the backward pass, not kept
    def of_queries(queries: Array, keys: Array, values: Array) -> Array:
        scores = jnp.matmul(queries, keys.T, preferred_element_type=jnp.float32)
        weights = jnp.exp(scores - scores.max(-1, keepdims=True))
        total = weights.sum(-1, keepdims=True)
        return (jnp.matmul(weights.astype(values.dtype), values) / total).astype(values.dtype)

    def of_head(head: tuple[Array, Array, Array]) -> Array:
        queries, keys, values = head
        return jax.lax.map(lambda some: of_queries(some, keys, values), queries)

    queries = by_head(query * features**-0.5).reshape(batch * heads, -1, _CHUNK, features)
    out = jax.lax.map(of_head, (queries, by_head(key), by_head(value)))
    return out.reshape(batch, heads, tokens, features).transpose(0, 2, 1, 3)
