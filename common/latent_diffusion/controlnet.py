"""ControlNet (Zhang et al. 2023, arXiv:2302.05543); equal to diffusers' `ControlNetModel`.

A copy of the U-Net's way down and middle, to whose first feature map an image (edges, depth) is
added through a small encoder. What it gives is added to the U-Net's skips and middle through
1x1 convolutions that begin at zero, so that an untrained one changes nothing:

    (1)  y_c = F(x) + Z(F_c(x + Z(c)))                                             Zhang eq. 2
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from common.diffusion.unet.blocks import convolution, init_weights
from common.diffusion.unet.unet import ZERO, Map, Residuals, UNet, UNetConfig, UNetEncoder
from common.latent_diffusion.config import HintConfig
from common.nn.linear import linear

# in guess mode the residuals of the finest resolution count a tenth, the middle's fully
_GUESS_FROM = 0.1


class HintEncoder(nnx.Module):
    """An image in [0, 1] to a map of the latents' size: halved once per channel after the first."""

    def __init__(self, config: HintConfig, features: int, **options: Any):
        self.conv_in = convolution(config.image_channels, config.channels[0], **options)
        pairs = zip(config.channels, config.channels[1:], strict=False)
        blocks = []
        for width, wider in pairs:
            blocks.append(convolution(width, width, **options))
            blocks.append(convolution(width, wider, stride=2, **options))
        self.blocks = nnx.List(blocks)
        self.conv_out = convolution(config.channels[-1], features, **options)

    def __call__(
        self, hint: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch rows columns features"]:
        """Return what is added to the first feature map."""
        h = jax.nn.silu(self.conv_in(hint))
        for block in self.blocks:
            h = jax.nn.silu(block(h))
        return self.conv_out(h)


class ControlNet(UNetEncoder):
    """Residuals for the skips and the middle of a U-Net, from what it sees and an image."""

    def __init__(self, config: UNetConfig, hint: HintConfig, *, rngs: nnx.Rngs):
        super().__init__(config, rngs=rngs)
        options: Any = {"dtype": self.dtype, "rngs": rngs}
        first, last = config.channels[0], config.channels[-1]
        self.hint = HintEncoder(hint, first, **options)
        self.to_skips = nnx.List([linear(size, size, **options) for size in config.skip_channels])
        self.to_middle = linear(last, last, **options)
        init_weights(self, rngs, ZERO)
        zero: Any = (*self.to_skips, self.to_middle)  # the hint's last layer is, as all `conv_out`
        for layer in zero:
            for parameter in (layer.kernel, layer.bias):
                parameter[...] = jnp.zeros_like(parameter[...])

    @classmethod
    def of(
        cls, network: UNet, config: UNetConfig, hint: HintConfig, seed: int | Key[Array, ""]
    ) -> ControlNet:
        """Return one to be trained: its way down and middle are copies of the U-Net's."""
        controlnet = jax.jit(lambda: cls(config, hint, rngs=nnx.Rngs(seed)))()
        theirs = dict(nnx.to_flat_state(nnx.state(network)))
        ours = nnx.to_flat_state(nnx.state(controlnet))
        shared = [(path, theirs[path].copy()) for path, _ in ours if path in theirs]
        nnx.update(controlnet, nnx.from_flat_state(shared))
        return controlnet

    def encode_hint(
        self, hint: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch rows columns features"]:
        """Return the map of an image in [0, 1]; the same for every step, so to be computed once."""
        return self.hint(hint)

    def __call__(
        self,
        x: Float[Array, "batch rows columns channels"],
        t: Int[Array, " batch"],
        context: Float[Array, "batch tokens context_features"],
        encoded_hint: Float[Array, "batch rows columns features"],
        scale: Float[Array, ""] | float = 1.0,
        guess: bool = False,
    ) -> Residuals:
        """Return `scale` times the residuals, in guess mode weighted by `guess_weights` as well."""
        time = self.embed_time(t)
        h, skips = self.encode(self.conv_in(x) + encoded_hint, time, context)
        maps = [layer(skip) for layer, skip in zip(self.to_skips, skips, strict=True)]
        maps.append(self.to_middle(h))
        weights = guess_weights(len(maps)) if guess else np.ones(len(maps), np.float32)
        maps = [_weighted(one, weight * scale) for one, weight in zip(maps, weights, strict=True)]
        return maps[:-1], maps[-1]


def guess_weights(count: int) -> Float[np.ndarray, " count"]:
    """Return the residuals' weights in guess mode: 0.1 to 1 in equal ratios, the middle's last."""
    return np.logspace(np.log10(_GUESS_FROM), 0, count).astype(np.float32)


def _weighted(features: Map, weight: Any) -> Map:
    return (features * weight).astype(features.dtype)
