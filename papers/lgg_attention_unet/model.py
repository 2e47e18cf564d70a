"""The source's network: an Attention U-Net, as its README writes it in Keras.

After Ronneberger et al. 2015 and Oktay et al. 2018, with what the source changes: one BatchNorm a
block, before its last ReLU, and one behind every gate.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from common.errors import InputError
from common.nn.conv import Conv, ConvTranspose, max_pool, upsample_nearest
from common.nn.initialization import draw_uniform, glorot_bound
from common.nn.normalization import BatchNorm
from papers.lgg_attention_unet.config import ModelConfig

EPSILON = 1e-3  # of BatchNorm: Keras's default
_ZEROS = nnx.initializers.zeros_init()  # until all kernels are drawn at once


class AttentionUNet(nnx.Module):
    """Logits of tumor in every pixel of a slice; the source's network ends in their sigmoid.

    Parameters and BatchNorm's statistics are float32, convolutions compute in the config's dtype.
    Raises InputError where the config names fewer than two levels.
    """

    def __init__(self, config: ModelConfig, channels: int = 3, *, rngs: nnx.Rngs):
        filters = config.filters
        if len(filters) < 2:
            raise InputError(f"model.filters: {filters} is no U-Net; give two levels or more")
        options: Any = {"dtype": jnp.dtype(config.dtype), "rngs": rngs}
        norms: Any = {"momentum": config.norm_momentum, **options}
        self.down = nnx.List(
            ConvBlock(before, after, **norms)
            for before, after in zip((channels, *filters), filters, strict=False)
        )
        self.up = nnx.List(
            Up(low, high, config.gates, **norms)
            for low, high in zip(filters[:0:-1], filters[-2::-1], strict=True)
        )
        self.head = Conv(filters[0], 1, 1, kernel_init=_ZEROS, **options)
        # Keras's defaults: Glorot's uniform draw for the kernels, zero for the biases
        modules: Any = nnx.iter_modules(self)
        kernels = [layer.kernel for _, layer in modules if hasattr(layer, "kernel")]
        draw_uniform([(kernel, glorot_bound(kernel.shape)) for kernel in kernels], rngs)

    def __call__(
        self, images: Float[Array, "batch height width channels"], train: bool = False
    ) -> Float[Array, "batch height width 1"]:
        """Return the logits, float32; `train` normalizes by the batch and moves the statistics.

        Raises InputError where height or width cannot be halved once per level below the first.
        """
        return self._forward(images, train)[0]

    def with_gates(
        self, images: Float[Array, "batch height width channels"]
    ) -> tuple[Float[Array, "batch height width 1"], list[Float[Array, "batch _ _ 1"]]]:
        """Return the logits and what each gate lets through, from 0 to 1, the deepest level first.

        A gate's map has the size of the skip it multiplies: the last one that of the images.
        """
        return self._forward(images, train=False)

    def _forward(self, images: Array, train: bool) -> tuple[Array, list[Array]]:
        _check_size(images.shape[1], images.shape[2], len(self.up))
        x, skips = images, []
        for level, block in enumerate(self.down):
            x = block(max_pool(x, 2) if level else x, train)
            skips.append(x)
        maps = []
        for up, skip in zip(self.up, skips[-2::-1], strict=True):
            x, gate = up(x, skip, train)
            if gate is not None:
                maps.append(gate.astype(jnp.float32))
        return self.head(x).astype(jnp.float32), maps


class ConvBlock(nnx.Module):
    """Two 3x3 convolutions, each before a ReLU, the second with BatchNorm between."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        momentum: float,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        options: Any = {"dtype": dtype, "rngs": rngs}
        self.conv1 = Conv(in_features, out_features, 3, kernel_init=_ZEROS, **options)
        self.conv2 = Conv(out_features, out_features, 3, kernel_init=_ZEROS, **options)
        self.norm = BatchNorm(
            out_features, momentum=momentum, epsilon=EPSILON, relu=True, **options
        )

    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> Float[Array, "batch height width features"]:
        """Return the block's output."""
        return self.norm(self.conv2(jax.nn.relu(self.conv1(x))), train)


class Gate(nnx.Module):
    """Additive attention: the level below says which pixels of the skip go on; then BatchNorm."""

    def __init__(
        self,
        low_features: int,
        features: int,
        *,
        momentum: float,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        options: Any = {"kernel_init": _ZEROS, "dtype": dtype, "rngs": rngs}
        self.phi = Conv(low_features, features, 1, **options)
        self.theta = Conv(features, features, 1, **options)
        self.psi = Conv(features, 1, 1, **options)
        self.norm = BatchNorm(features, momentum=momentum, epsilon=EPSILON, dtype=dtype, rngs=rngs)

    def __call__(
        self,
        low: Float[Array, "batch low_height low_width low_channels"],
        skip: Float[Array, "batch height width channels"],
        train: bool,
    ) -> tuple[Float[Array, "batch height width channels"], Float[Array, "batch height width 1"]]:
        """Return the gated skip and the map it was multiplied by; `low` is half the skip's size."""
        every_other = skip[:, ::2, ::2]  # all that a 1x1 convolution with stride 2 sees
        x = jax.nn.relu(self.phi(low) + self.theta(every_other))
        gate = upsample_nearest(jax.nn.sigmoid(self.psi(x)), 2)
        return self.norm(skip * gate, train), gate


class Up(nnx.Module):
    """One level of the way up: enlarged features beside the gated skip, then a block."""

    def __init__(
        self,
        low_features: int,
        features: int,
        gated: bool,
        *,
        momentum: float,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        options: Any = {"dtype": dtype, "rngs": rngs}
        norms: Any = {"momentum": momentum, **options}
        self.upsample = ConvTranspose(low_features, features, 2, kernel_init=_ZEROS, **options)
        self.gate = Gate(low_features, features, **norms) if gated else None
        self.block = ConvBlock(2 * features, features, **norms)

    def __call__(
        self,
        low: Float[Array, "batch low_height low_width low_channels"],
        skip: Float[Array, "batch height width channels"],
        train: bool,
    ) -> tuple[
        Float[Array, "batch height width channels"], Float[Array, "batch height width 1"] | None
    ]:
        """Return the level's output and its gate's map, None where it has no gate."""
        skip, gate = (skip, None) if self.gate is None else self.gate(low, skip, train)
        return self.block(jnp.concatenate([self.upsample(low), skip], axis=-1), train), gate


def _check_size(height: int, width: int, halvings: int) -> None:
    """Raise InputError unless height and width can be halved so often."""
    divisor = 2**halvings
    if height % divisor or width % divisor:
        raise InputError(
            f"images of {height}x{width}: a network of {halvings + 1} levels halves height and "
            f"width {halvings} times; give multiples of {divisor}"
        )
