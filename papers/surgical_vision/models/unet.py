"""Pix2Pix's U-Net (Isola et al. 2017, arXiv:1611.07004), as the authors' PyTorch code has it.

Where that code has BatchNorm we have instance normalization with scale and bias. At the published
batch of one, in training and inference alike, they are the same; with more images a batch's
statistics would make an image depend on the others of its batch.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from common.errors import InputError
from common.nn.conv import Conv, ConvTranspose
from common.nn.linear import ZEROS
from common.nn.normalization import InstanceNorm
from papers.surgical_vision.models.drawing import draw_dcgan

SLOPE = 0.2
_WIDEST = 8  # times the width of the finest map
_PLAIN_UPS = 5  # without dropout: the innermost and the four outermost


class UNet(nnx.Module):
    """Images in [-1, 1] of images in [-1, 1], by way of maps of half the size, `downs` times.

    Dropout follows the `dropped` blocks next to the innermost one, three of the published eight;
    without `dropped`, all but the innermost and the four outermost, as in the code.
    """

    def __init__(
        self,
        channels: int = 3,
        *,
        filters: int = 64,
        downs: int = 8,
        dropout: float | int = 0.5,
        dropped: int | None = None,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        options: Any = {"kernel_init": ZEROS, "dtype": dtype, "rngs": rngs}
        norms: Any = {"affine": True, "dtype": dtype, "rngs": rngs}
        widths = [filters * min(2**level, _WIDEST) for level in range(downs)]
        self.down = nnx.List(
            Conv(before, after, 4, stride=2, padding=1, use_bias=False, **options)
            for before, after in pairwise((channels, *widths))
        )
        # neither the first map nor the innermost, which may be a single pixel, is normalized
        self.down_norms = nnx.List(InstanceNorm(width, **norms) for width in widths[1:-1])
        # from the outermost, as `down`; all but the innermost see two maps
        seen = [*(2 * width for width in widths[:-1]), widths[-1]]
        self.up = nnx.List(
            ConvTranspose(before, after, 4, padding=1, use_bias=level == 0, **options)
            for level, (before, after) in enumerate(zip(seen, (channels, *widths), strict=False))
        )
        self.up_norms = nnx.List(InstanceNorm(width, **norms) for width in widths[:-1])
        dropped = max(0, downs - _PLAIN_UPS) if dropped is None else dropped
        self.dropped = range(downs - 1 - dropped, downs - 1) if dropout else range(0)
        self.dropout = dropout
        draw_dcgan(self, rngs)

    def __call__(
        self,
        images: Float[Array, "batch height width channels"],
        keys: Key[Array, " batch"] | None = None,
    ) -> Float[Array, "batch height width channels"]:
        """Return the images, float32.

        Activations drop in training and inference alike, as published, by the key of each image:
        what comes out of it does not depend on its batch. Raises InputError for a size that cannot
        be halved `downs` times, ValueError without keys where something drops.
        """
        _check_size(images.shape[1], images.shape[2], len(self.down))
        if keys is None and self.dropped:
            raise ValueError("dropout needs a key for each image")
        maps = [self.down[0](images)]
        for i, layer in enumerate(self.down[1:]):
            x = layer(jax.nn.leaky_relu(maps[-1], SLOPE))
            maps.append(self.down_norms[i](x) if i < len(self.down_norms) else x)
        x = maps.pop()
        for level in range(len(self.up) - 1, 0, -1):
            x = self.up_norms[level - 1](self.up[level](jax.nn.relu(x)))
            if keys is not None and level in self.dropped:
                x = _dropped(x, self.dropout, keys, level)
            x = jnp.concatenate([maps[level - 1], x], axis=-1)
        return jnp.tanh(self.up[0](jax.nn.relu(x)).astype(jnp.float32))


def _dropped(
    x: Float[Array, "batch height width channels"], rate: float | int, keys: Array, level: int
) -> Array:
    """Return `x` with a part `rate` of each image's values 0 and the others scaled up."""

    def is_kept(key: Array) -> Array:
        return jax.random.bernoulli(jax.random.fold_in(key, level), 1 - rate, x.shape[1:])

    return jnp.where(jax.vmap(is_kept)(keys), x / (1 - rate), jnp.zeros_like(x))


def _check_size(height: int, width: int, halvings: int) -> None:
    divisor = 2**halvings
    if height % divisor or width % divisor:
        raise InputError(
            f"images of {height}x{width}: the U-Net halves them {halvings} times; give multiples "
            f"of {divisor}"
        )
