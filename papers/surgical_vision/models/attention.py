"""Self-attention over the pixels of a map (SAGAN, Zhang et al. 2019, arXiv:1805.08318).

Several modules of it side by side are this study's reading of "the number of self-attention modules
raised": each has its own queries, keys, values and gamma, and all are added to the map.

Values are `reduced` times as wide as queries and keys, which `common.nn.attention` does not have;
where the table of scores is large, it is made for some queries of one image at a time, and again in
the backward pass, so that it is never held whole, on whatever backend.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from common.nn.conv import max_pool
from common.nn.linear import linear

_CHUNK = 512  # queries at a time
_LARGE = 1024 * 1024  # scores of a module from which on they are not held whole


class SelfAttention(nnx.Module):
    """A map to which each pixel adds gamma times what it takes from all others; gamma begins at 0.

    The form that most code has: 1x1 convolutions to `channels` / `reduced` channels of queries and
    keys and `channels` of values, scores that are not scaled. `pooled` keys and values are 2x2
    maxima, as in the authors' code: for large maps. `heads` modules: all have their part of the
    output features of `query`, `key` and `value`, one after the other, and of `gamma` [heads].
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int = 1,
        reduced: int = 8,
        pooled: bool = False,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        options: Any = {"dtype": dtype, "rngs": rngs}
        narrow = max(1, channels // reduced)
        self.query = linear(channels, heads * narrow, **options)
        self.key = linear(channels, heads * narrow, **options)
        self.value = linear(channels, heads * channels, **options)
        self.gamma = nnx.Param(jnp.zeros(heads))
        self.heads, self.pooled = heads, pooled

    def __call__(
        self, x: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch height width channels"]:
        """Return `x` and what each module adds to it."""
        keys = max_pool(self.key(x), 2) if self.pooled else self.key(x)
        values = max_pool(self.value(x), 2) if self.pooled else self.value(x)
        taken = _attended(*(self._by_head(y) for y in (self.query(x), keys, values)))
        added = jnp.einsum("nthc,h->ntc", taken, self.gamma[...].astype(taken.dtype))
        return x + added.reshape(x.shape)

    def maps(
        self, x: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch heads height width key_height key_width"]:
        """Return how much each pixel takes from every other: each pixel's shares sum to 1.

        Holds all scores: for figures.
        """
        keys = max_pool(self.key(x), 2) if self.pooled else self.key(x)
        shares = _shares(self._by_head(self.query(x)), self._by_head(keys))
        return shares.reshape(len(x), self.heads, *x.shape[1:3], *keys.shape[1:3])

    def _by_head(self, y: Array) -> Array:
        return y.reshape(len(y), y.shape[1] * y.shape[2], self.heads, -1)


def _shares(query: Array, key: Array) -> Array:
    """Return the softmax over keys in float32: [... heads queries keys]."""
    scores = jnp.einsum("...thf,...shf->...hts", query, key, preferred_element_type=jnp.float32)
    return jax.nn.softmax(scores, axis=-1)


def _taken(query: Array, key: Array, value: Array) -> Array:
    return jnp.einsum("...hts,...shc->...thc", _shares(query, key).astype(value.dtype), value)


def _attended(query: Array, key: Array, value: Array) -> Array:
    """Return what each query takes from the values: [batch queries heads channels]."""
    batch, queries, heads, _ = query.shape
    if queries * key.shape[1] < _LARGE or queries % _CHUNK:
        return _taken(query, key, value)
    some_taken = jax.checkpoint(_taken)  # scores are computed again in the backward pass, not kept

    def of_image(image: tuple[Array, Array, Array]) -> Array:
        chunks, keys, values = image
        return jax.lax.map(lambda some: some_taken(some, keys, values), chunks)

    chunks = query.reshape(batch, queries // _CHUNK, _CHUNK, heads, -1)
    return jax.lax.map(of_image, (chunks, key, value)).reshape(batch, queries, heads, -1)
