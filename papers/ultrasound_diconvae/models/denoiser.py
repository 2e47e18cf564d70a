"""Di-Conv-AE-Net: an autoencoder of dilated convolutions that takes speckle off an image.

After Karaoğlu, Bilge & Uluer 2022, as the source changed it: four convolutions down and four up,
all 3x3 with ReLU, BatchNorm and Dropout, a sigmoid at the end. Where a level was pooled on the way
down, the layer up is a transposed 4x4 convolution with stride 2: enlarging by repetition in front
of a convolution with dilation 2 would give the four pixels of a block one value.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from common.errors import InputError
from common.nn.conv import Conv, ConvTranspose, max_pool
from common.nn.initialization import draw_uniform, he_bound
from common.nn.normalization import BatchNorm
from papers.ultrasound_diconvae.config import DenoiserConfig

EPSILON = 1e-5  # of BatchNorm: PyTorch's default
_ZEROS = nnx.initializers.zeros_init()  # until all kernels are drawn at once


class DiConvAE(nnx.Module):
    """Images with less speckle, in [0, 1], of images in [0, 1].

    Parameters and BatchNorm's statistics are float32, convolutions compute in the config's dtype.
    """

    def __init__(self, config: DenoiserConfig, channels: int = 1, *, rngs: nnx.Rngs):
        options: Any = {"kernel_init": _ZEROS, "dtype": jnp.dtype(config.dtype), "rngs": rngs}
        widths, levels = (channels, *config.filters), range(len(config.filters))

        def layer(before: int, after: int, level: int, up: bool) -> Conv | ConvTranspose:
            if up and level < config.pooled:
                return ConvTranspose(before, after, 4, **options)
            return Conv(before, after, 3, dilation=config.dilations[level], **options)

        def norm(features: int) -> BatchNorm:
            momentum, dtype = config.norm_momentum, options["dtype"]
            return BatchNorm(
                features, momentum=momentum, epsilon=EPSILON, relu=True, dtype=dtype, rngs=rngs
            )

        self.down = nnx.List(layer(widths[i], widths[i + 1], i, up=False) for i in levels)
        self.up = nnx.List(layer(widths[i + 1], widths[i], i, up=True) for i in reversed(levels))
        self.norms = nnx.List(norm(width) for width in (*widths[1:], *widths[:0:-1][1:]))
        self.pooled, self.dropout = config.pooled, config.dropout
        kernels = [module.kernel for module in (*self.down, *self.up)]
        draw_uniform([(kernel, he_bound(kernel.shape)) for kernel in kernels], rngs)

    def __call__(
        self,
        images: Float[Array, "batch height width channels"],
        train: bool = False,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, "batch height width channels"]:
        """Return the images, float32, in [0, 1].

        `train` normalizes by the batch, moves the statistics, and drops activations by `key`, which
        it then needs. Raises InputError where height or width cannot be halved once per pooling.
        """
        _check_size(images.shape[1], images.shape[2], self.pooled)
        drops = jax.random.split(key, len(self.norms)) if key is not None else None
        if train and self.dropout and drops is None:
            raise ValueError("training with dropout needs a key")
        x, layers = images, (*self.down, *self.up)
        for i, norm in enumerate(self.norms):
            x = norm(layers[i](x), train)
            if train and self.dropout and drops is not None:
                x = _dropped(x, self.dropout, drops[i])
            if i < self.pooled:
                x = max_pool(x, 2)
        return jax.nn.sigmoid(self.up[-1](x).astype(jnp.float32))


def _dropped(x: Array, rate: float, key: Array) -> Array:
    """Return `x` with a part `rate` of its values 0 and the others scaled up (Srivastava 2014)."""
    kept = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(kept, x / (1 - rate), jnp.zeros_like(x))


def _check_size(height: int, width: int, halvings: int) -> None:
    divisor = 2**halvings
    if height % divisor or width % divisor:
        raise InputError(
            f"images of {height}x{width}: the denoiser halves them {halvings} times; give "
            f"multiples of {divisor}"
        )
