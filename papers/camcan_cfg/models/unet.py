"""The denoising network: MONAI's DiffusionModelUNet as the source configures it."""

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
    linear,
    time_embedding,
    upsampling,
)
from common.errors import InputError
from common.nn.normalization import GroupNorm
from papers.camcan_cfg.config import ModelConfig

# the last layer of every branch, so that the network begins as the identity plus nothing
ZERO = ("conv2", "proj_out", "conv_out")


class UNet(nnx.Module):
    """Predicts the noise in an image at a time, given (age, sex, slice number).

    Equal to `generative.networks.nets.DiffusionModelUNet` of MONAI GenerativeModels 0.2.3 with two
    dimensions, one channel in and out, and one transformer layer per attention block. Raises
    InputError where the config's numbers do not go together.
    """

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        _check(config)
        self.dtype = jnp.dtype(config.dtype)
        self.features = first = config.channels[0]
        options: Any = {"dtype": self.dtype, "rngs": rngs}

        def block(in_features: int, level: int, attention: bool) -> Block:
            features, head = config.channels[level], config.head_channels[level]
            residual = ResidualBlock(in_features, features, 4 * first, config.groups, **options)
            if not attention:
                return Block(residual, None)
            context = config.condition_features
            return Block(
                residual, SpatialTransformer(features, head, context, config.groups, **options)
            )

        self.time1 = linear(first, 4 * first, **options)
        self.time2 = linear(4 * first, 4 * first, **options)
        self.conv_in = convolution(1, first, **options)

        levels = range(len(config.channels))
        features, skips, down, up = first, [first], [], []
        for level in levels:
            blocks = []
            for _ in range(config.residual_blocks):
                blocks.append(block(features, level, config.attention[level]))
                features = config.channels[level]
                skips.append(features)
            downsample = None
            if level < levels[-1]:
                downsample = convolution(features, features, stride=2, **options)
                skips.append(features)
            down.append(Down(blocks, downsample))
        self.down = nnx.List(down)

        self.middle = nnx.List(
            [block(features, levels[-1], True), block(features, levels[-1], False)]
        )
        for level in reversed(levels):
            blocks = []
            for _ in range(config.residual_blocks + 1):
                blocks.append(block(features + skips.pop(), level, config.attention[level]))
                features = config.channels[level]
            up.append(Up(blocks, upsampling(features, **options) if level else None))
        self.up = nnx.List(up)

        self.norm_out = GroupNorm(first, config.groups, epsilon=NORM_EPSILON, silu=True, **options)
        self.conv_out = convolution(first, 1, **options)
        init_weights(self, rngs, ZERO)

    def __call__(
        self,
        x: Float[Array, "batch height width 1"],
        t: Int[Array, " batch"],
        condition: Float[Array, "batch condition_features"],
    ) -> Float[Array, "batch height width 1"]:
        """Return the noise in `x` at time index `t`, float32; the condition is one token.

        ValueError where height or width cannot be halved once per level below the first.
        """
        divisor = 2 ** (len(self.down) - 1)
        if x.shape[1] % divisor or x.shape[2] % divisor:
            raise ValueError(f"height and width {x.shape[1:3]} must be multiples of {divisor}")
        time = self.time2(jax.nn.silu(self.time1(time_embedding(t, self.features))))
        time, context = jax.nn.silu(time), condition[:, None]

        h = self.conv_in(x)
        skips = [h]
        for down in self.down:
            for block in down.blocks:
                h = block(h, time, context)
                skips.append(h)
            if down.downsample is not None:
                h = down.downsample(h)
                skips.append(h)
        for block in self.middle:
            h = block(h, time, context)
        for up in self.up:
            for block in up.blocks:
                h = block(jnp.concatenate([h, skips.pop()], axis=-1), time, context)
            if up.upsample is not None:
                h = up.upsample(h)
        return self.conv_out(self.norm_out(h)).astype(jnp.float32)


def _check(config: ModelConfig) -> None:
    """Raise InputError unless the config describes a network."""
    levels = len(config.channels)
    for name in ("attention", "head_channels"):
        if len(getattr(config, name)) != levels:
            raise InputError(
                f"model.{name}: {len(getattr(config, name))} values for {levels} model.channels; "
                "give one per level"
            )
    for level, (channels, head) in enumerate(
        zip(config.channels, config.head_channels, strict=True)
    ):
        if channels % config.groups:
            raise InputError(
                f"model.channels: {channels} is no multiple of model.groups = {config.groups}; "
                "change either"
            )
        # the middle block has attention whatever the last level has
        attends = config.attention[level] or level == levels - 1
        if attends and (head < 1 or channels % head):
            raise InputError(
                f"model.head_channels: {head} at level {level}; give a divisor of its "
                f"{channels} channels"
            )
