"""The network: convolutions with BatchNorm, Dropout, and a linear layer."""

from __future__ import annotations

from itertools import pairwise

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key, UInt8

from common.nn.conv import Conv
from common.nn.normalization import BatchNorm
from papers.study_name.config import ModelConfig


class Detector(nnx.Module):
    """The logit of a spot for each image of one size."""

    def __init__(self, config: ModelConfig, size: int, *, rngs: nnx.Rngs):
        widths = (1, *config.filters)
        self.convs = nnx.List(Conv(one, other, 3, rngs=rngs) for one, other in pairwise(widths))
        self.norms = nnx.List(
            BatchNorm(width, momentum=config.norm_momentum, relu=True, rngs=rngs)
            for width in config.filters
        )
        self.dropout = nnx.Dropout(config.dropout)  # keeps no key: each call brings its own
        self.last = nnx.Linear(size * size * config.filters[-1], 1, rngs=rngs)

    def __call__(
        self,
        images: UInt8[Array | np.ndarray, "batch size size 1"],
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, " batch"]:
        """Return the logits. With a `key`, which Dropout draws by, the network is in training."""
        train = key is not None
        x = images.astype(jnp.float32) / 255
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(conv(x), train)
        x = self.dropout(x.reshape(len(x), -1), deterministic=not train, rngs=key)
        return self.last(x)[:, 0]
