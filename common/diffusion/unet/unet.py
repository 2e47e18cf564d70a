"""The denoising U-Net of Ho et al. 2020 with attention to a condition (Rombach et al. 2022).

One class for MONAI GenerativeModels' `DiffusionModelUNet` and diffusers' `UNet2DConditionModel`:
they differ in sizes, in an epsilon, and in which levels attend. Its way down, with the middle, is
also a ControlNet's (Zhang et al. 2023), hence `UNetEncoder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from common.diffusion.unet.blocks import (
    NORM_EPSILON,
    Block,
    Down,
    ResidualBlock,
    SpatialTransformer,
    Up,
    convolution,
    init_weights,
    time_embedding,
    upsampling,
)
from common.nn.linear import linear
from common.nn.normalization import GroupNorm

# the last layer of every branch, so that the network begins as the identity plus nothing
ZERO = ("conv2", "proj_out", "conv_out")

Map = Float[Array, "batch _rows _columns _features"]  # of any resolution
Residuals = tuple[Sequence[Map], Map]  # to the skips, in their order, and to the middle


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of a denoising U-Net; tuples have one value per resolution, the finest first.

    `residual_blocks` are those of a resolution on the way down, the way up has one more; the
    middle attends always. `epsilon` is that of the normalizations outside of attention. `remat`
    computes the blocks' activations again in the backward pass instead of keeping them.
    """

    in_channels: int
    out_channels: int
    channels: tuple[int, ...]
    attention: tuple[bool, ...]
    head_channels: tuple[int, ...]  # width of an attention head
    context_features: int  # of the condition's tokens
    residual_blocks: int = 2
    groups: int = 32
    epsilon: float = NORM_EPSILON
    dtype: str = "float32"  # that layers compute in
    remat: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError where the numbers do not go together."""
        levels = len(self.channels)
        for name in ("attention", "head_channels"):
            if len(getattr(self, name)) != levels:
                raise ValueError(
                    f"{name}: {len(getattr(self, name))} values for {levels} channels; "
                    "give one per level"
                )
        for level, (channels, head) in enumerate(
            zip(self.channels, self.head_channels, strict=True)
        ):
            attends = self.attention[level] or level == levels - 1
            if channels % self.groups or (attends and (head < 1 or channels % head)):
                raise ValueError(
                    f"channels: {channels} at level {level} with groups = {self.groups} and "
                    f"head_channels = {head}; expected a multiple of both"
                )

    @property
    def divisor(self) -> int:
        """What height and width must be multiples of."""
        return 2 ** (len(self.channels) - 1)

    @property
    def skip_channels(self) -> tuple[int, ...]:
        """Channels of the skips, in the order of the way down."""
        last, skips = len(self.channels) - 1, [self.channels[0]]
        for level, channels in enumerate(self.channels):
            skips += [channels] * (self.residual_blocks + (level < last))
        return tuple(skips)


class UNetEncoder(nnx.Module):
    """Time embedding, the way down and the middle of a U-Net."""

    def __init__(self, config: UNetConfig, *, rngs: nnx.Rngs):
        self.dtype, self.divisor = jnp.dtype(config.dtype), config.divisor
        self.remat, self.features = config.remat, config.channels[0]
        first = config.channels[0]
        options: Any = {"dtype": self.dtype, "rngs": rngs}
        self.time1 = linear(first, 4 * first, **options)
        self.time2 = linear(4 * first, 4 * first, **options)
        self.conv_in = convolution(config.in_channels, first, **options)

        levels = range(len(config.channels))
        features, down = first, []
        for level in levels:
            blocks = []
            for _ in range(config.residual_blocks):
                blocks.append(_block(config, features, level, config.attention[level], **options))
                features = config.channels[level]
            last = level == levels[-1]
            downsample = None if last else convolution(features, features, stride=2, **options)
            down.append(Down(blocks, downsample))
        self.down = nnx.List(down)
        self.middle = nnx.List(
            [_block(config, features, levels[-1], attends, **options) for attends in (True, False)]
        )

    def embed_time(self, t: Int[Array, " batch"]) -> Float[Array, "batch time_features"]:
        """Return the activated embedding of time indices, which the blocks take."""
        time = time_embedding(t, self.features)
        return jax.nn.silu(self.time2(jax.nn.silu(self.time1(time))))

    def encode(
        self,
        h: Map,
        time: Float[Array, "batch time_features"],
        context: Float[Array, "batch tokens context_features"],
    ) -> tuple[Map, list[Map]]:
        """Return what the middle makes of ``conv_in(x)``, and the skips on the way, `h` first.

        Raises ValueError where height or width cannot be halved once per level below the first.
        """
        if h.shape[1] % self.divisor or h.shape[2] % self.divisor:
            raise ValueError(f"height and width {h.shape[1:3]} must be multiples of {self.divisor}")
        skips = [h]
        for down in self.down:
            for block in down.blocks:
                h = self.run(block, h, time, context)
                skips.append(h)
            if down.downsample is not None:
                h = down.downsample(h)
                skips.append(h)
        for block in self.middle:
            h = self.run(block, h, time, context)
        return h, skips

    def run(self, block: Block, h: Array, time: Array, context: Array) -> Map:
        """Return the block's output; with `remat` its inside is computed again for gradients."""
        return nnx.remat(_call)(block, h, time, context) if self.remat else block(h, time, context)


class UNet(UNetEncoder):
    """Predicts the noise, or the velocity, in an image at a time, given tokens of a condition."""

    def __init__(self, config: UNetConfig, *, rngs: nnx.Rngs):
        super().__init__(config, rngs=rngs)
        options: Any = {"dtype": self.dtype, "rngs": rngs}
        channels, skips = config.channels, list(config.skip_channels)
        features, up = channels[-1], []
        for level in reversed(range(len(channels))):
            blocks = []
            for _ in range(config.residual_blocks + 1):
                width = features + skips.pop()
                blocks.append(_block(config, width, level, config.attention[level], **options))
                features = channels[level]
            up.append(Up(blocks, upsampling(features, **options) if level else None))
        self.up = nnx.List(up)
        self.norm_out = GroupNorm(
            channels[0], config.groups, epsilon=config.epsilon, silu=True, **options
        )
        self.conv_out = convolution(channels[0], config.out_channels, **options)
        init_weights(self, rngs, ZERO)

    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        t: Int[Array, " batch"],
        context: Float[Array, "batch tokens context_features"],
        residuals: Residuals | None = None,
    ) -> Float[Array, "batch height width out_channels"]:
        """Return the prediction for `x` at time index `t`, float32.

        `residuals` are a ControlNet's: what is added to each skip and to the middle.
        """
        time = self.embed_time(t)
        h, skips = self.encode(self.conv_in(x), time, context)
        if residuals is not None:
            to_skips, to_middle = residuals
            skips = [skip + more for skip, more in zip(skips, to_skips, strict=True)]
            h = h + to_middle
        for up in self.up:
            for block in up.blocks:
                h = self.run(block, jnp.concatenate([h, skips.pop()], axis=-1), time, context)
            if up.upsample is not None:
                h = up.upsample(h)
        return self.conv_out(self.norm_out(h)).astype(jnp.float32)


def _block(
    config: UNetConfig, in_features: int, level: int, attends: bool, **options: Any
) -> Block:
    features, time_features = config.channels[level], 4 * config.channels[0]
    residual = ResidualBlock(
        in_features, features, time_features, config.groups, epsilon=config.epsilon, **options
    )
    if not attends:
        return Block(residual, None)
    sizes = (features, config.head_channels[level], config.context_features, config.groups)
    return Block(residual, SpatialTransformer(*sizes, **options))


def _call(block: Block, h: Array, time: Array, context: Array) -> Array:
    return block(h, time, context)
