"""SegNet (Badrinarayanan, Kendall & Cipolla 2017): VGG16's convolutions, and the same way back up.

Every 2x2 max pooling keeps which pixel was the largest; on the way up the values go back to those
pixels, with zeros between, which the convolutions behind fill.
"""

from itertools import pairwise
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from common.errors import InputError
from common.nn.conv import Conv
from common.nn.initialization import draw_uniform, he_bound
from common.nn.normalization import BatchNorm
from common.nn.pooling import max_pool_switches, max_unpool
from papers.ultrasound_diconvae.config import SegmenterConfig

EPSILON = 1e-5  # of BatchNorm: PyTorch's default
_ZEROS = nnx.initializers.zeros_init()  # until all kernels are drawn at once


class SegNet(nnx.Module):
    """Logits of `classes` classes in every pixel.

    BatchNorm and ReLU follow every convolution but the last, which gives the logits. Parameters
    and BatchNorm's statistics are float32, convolutions compute in the config's dtype.
    """

    def __init__(self, config: SegmenterConfig, classes: int, channels: int = 1, *, rngs: nnx.Rngs):
        filters, counts = config.filters, config.convolutions
        options: Any = {"dtype": jnp.dtype(config.dtype), "rngs": rngs}
        norms: Any = {"momentum": config.norm_momentum, **options}
        self.down: nnx.List = nnx.List()
        self.up: nnx.List = nnx.List()
        for level, (width, count) in enumerate(zip(filters, counts, strict=True)):
            before = filters[level - 1] if level else channels
            self.down.append(Level((before, *[width] * count), **norms))
            # the first level's last convolution is the head
            self.up.append(Level((*[width] * count, *[before] * bool(level)), **norms))
        self.head = Conv(filters[0], classes, 3, kernel_init=_ZEROS, **options)
        modules: Any = nnx.iter_modules(self)
        kernels = [layer.kernel for _, layer in modules if hasattr(layer, "kernel")]
        draw_uniform([(kernel, he_bound(kernel.shape)) for kernel in kernels], rngs)

    def __call__(
        self, images: Float[Array, "batch height width channels"], train: bool = False
    ) -> Float[Array, "batch height width classes"]:
        """Return the logits, float32; `train` normalizes by the batch and moves the statistics.

        Raises InputError where height or width cannot be halved once per level.
        """
        _check_size(images.shape[1], images.shape[2], len(self.down))
        x, switches = images, []
        for level in self.down:
            x, switch = max_pool_switches(level(x, train))
            switches.append(switch)
        for level, switch in zip(reversed(self.up), reversed(switches), strict=True):
            x = level(max_unpool(x, switch), train)
        return self.head(x).astype(jnp.float32)


class Level(nnx.Module):
    """3x3 convolutions from each width to the next, each before BatchNorm and ReLU."""

    def __init__(self, widths: tuple[int, ...], *, momentum: float, dtype: Any, rngs: nnx.Rngs):
        options: Any = {"dtype": dtype, "rngs": rngs}
        self.convolutions = nnx.List(
            Conv(before, after, 3, kernel_init=_ZEROS, **options)
            for before, after in pairwise(widths)
        )
        self.norms = nnx.List(
            BatchNorm(width, momentum=momentum, epsilon=EPSILON, relu=True, **options)
            for width in widths[1:]
        )

    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> Float[Array, "batch height width features"]:
        """Return the level's output."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = norm(convolution(x), train)
        return x


def _check_size(height: int, width: int, halvings: int) -> None:
    divisor = 2**halvings
    if height % divisor or width % divisor:
        raise InputError(
            f"images of {height}x{width}: the segmenter halves them {halvings} times; give "
            f"multiples of {divisor}"
        )
