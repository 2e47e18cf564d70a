"""The text encoder of CLIP (Radford et al. 2021, arXiv:2103.00020).

Equal to transformers' `CLIPTextModel`: a transformer in which no token sees a later one. What
Stable Diffusion is conditioned on is its last hidden state after the final normalization, all
positions, the padding among them.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from common.diffusion.unet.blocks import init_weights
from common.latent_diffusion.config import TextConfig
from common.nn.attention import Attention
from common.nn.linear import layer_norm, linear

_EMBEDDING_SPREAD = 0.02  # standard deviation of untrained embeddings


class TextLayer(nnx.Module):
    """Causal self-attention and a feed-forward layer, each around a skip."""

    def __init__(self, config: TextConfig, **options: Any):
        features = config.features
        self.activation = config.activation
        self.norm1 = layer_norm(features, **options)
        self.attention = Attention(
            features, features, config.heads, bias=True, causal=True, **options
        )
        self.norm2 = layer_norm(features, **options)
        self.ff_in = linear(features, config.hidden_features, **options)
        self.ff_out = linear(config.hidden_features, features, **options)

    def __call__(
        self, x: Float[Array, "batch tokens features"]
    ) -> Float[Array, "batch tokens features"]:
        """Return the layer's output."""
        y = self.norm1(x)
        x = x + self.attention(y, y)
        h = self.ff_in(self.norm2(x))
        if self.activation == "quick_gelu":
            h = h * jax.nn.sigmoid(1.702 * h)
        else:
            h = jax.nn.gelu(h, approximate=False)
        return x + self.ff_out(h)


class TextEncoder(nnx.Module):
    """Token ids to the tokens of a condition."""

    def __init__(self, config: TextConfig, *, rngs: nnx.Rngs):
        options: Any = {"dtype": jnp.dtype(config.dtype), "rngs": rngs}
        init = nnx.initializers.normal(_EMBEDDING_SPREAD)
        self.tokens, self.positions = (
            nnx.Embed(count, config.features, embedding_init=init, **options)
            for count in (config.vocabulary, config.positions)
        )
        self.layers = nnx.List([TextLayer(config, **options) for _ in range(config.layers)])
        self.norm_out = layer_norm(config.features, **options)
        init_weights(self, rngs, zero=())

    def __call__(self, ids: Int[Array, "batch tokens"]) -> Float[Array, "batch tokens features"]:
        """Return the last hidden state, normalized, float32; at most `positions` tokens."""
        x = self.tokens(ids) + self.positions(jnp.arange(ids.shape[1]))
        for layer in self.layers:
            x = layer(x)
        return self.norm_out(x).astype(jnp.float32)
