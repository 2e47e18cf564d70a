"""ResNet-18 (He et al. 2016, arXiv:1512.03385) on gray films; equal to torchvision's `resnet18`.

With the stems "half" and "small" there is a 3x3 convolution, of stride 2 or 1, in place of the 7x7
one and the pooling, as is usual for images of 64 pixels and less.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from common.nn.conv import Conv, max_pool
from common.nn.initialization import draw_normal, draw_uniform
from common.nn.linear import linear
from common.nn.normalization import BatchNorm
from papers.rare_disease_controlnet.config import ClassifierConfig

Maps = Float[Array, "batch rows columns features"]
_MOMENTUM, _EPSILON = 0.9, 1e-5  # torchvision's


class Block(nnx.Module):
    """Two 3x3 convolutions and the input added, through a 1x1 one where sizes differ."""

    def __init__(self, in_features: int, features: int, stride: int, **options: Any):
        convs: Any = {"use_bias": False, **options}
        norms: Any = {"momentum": _MOMENTUM, "epsilon": _EPSILON, **options}
        self.conv1 = Conv(in_features, features, 3, stride=stride, padding=1, **convs)
        self.norm1 = BatchNorm(features, relu=True, **norms)
        self.conv2 = Conv(features, features, 3, padding=1, **convs)
        self.norm2 = BatchNorm(features, **norms)
        same = stride == 1 and in_features == features
        self.skip = (
            None if same else Conv(in_features, features, 1, stride=stride, padding=0, **convs)
        )
        self.skip_norm = None if same else BatchNorm(features, **norms)

    def __call__(self, x: Float[Array, "batch height width inputs"], train: bool) -> Maps:
        """Return the block's maps."""
        y = self.norm2(self.conv2(self.norm1(self.conv1(x), train)), train)
        if self.skip is not None and self.skip_norm is not None:
            x = self.skip_norm(self.skip(x), train)
        return jax.nn.relu(x + y)


class Classifier(nnx.Module):
    """Films to one logit for each class."""

    def __init__(self, config: ClassifierConfig, classes: int, *, rngs: nnx.Rngs):
        options: Any = {"dtype": jnp.dtype(config.dtype), "rngs": rngs}
        stem: dict[str, Any]
        first, self.imagenet = config.channels[0], config.stem == "imagenet"
        width, stem = (7, {"padding": 3}) if self.imagenet else (3, {"padding": 1})
        stem |= {"stride": 1 if config.stem == "small" else 2, "use_bias": False}
        self.conv = Conv(1, first, width, **stem, **options)
        self.norm = BatchNorm(first, momentum=_MOMENTUM, epsilon=_EPSILON, relu=True, **options)
        blocks, width = [], first
        for level, (features, count) in enumerate(zip(config.channels, config.blocks, strict=True)):
            for index in range(count):
                stride = 2 if level and not index else 1
                blocks.append(Block(width, features, stride, **options))
                width = features
        self.blocks = nnx.List(blocks)
        self.head = linear(width, classes, **options)
        convs = [each for _, each in nnx.iter_modules(self) if isinstance(each, Conv)]
        draw_normal([(each.kernel, _deviation(each)) for each in convs], rngs)
        head: Any = (self.head.kernel, self.head.bias)
        draw_uniform([(parameter, width**-0.5) for parameter in head], rngs)

    def __call__(
        self, images: Float[Array, "batch height width 1"], train: bool = False
    ) -> Float[Array, "batch classes"]:
        """Return the logits, float32, of films in [0, 1]; with `train` the batch's statistics."""
        return self.logits(self.maps(images, train))

    def maps(self, images: Float[Array, "batch height width 1"], train: bool = False) -> Maps:
        """Return the last maps, of which the logits are a mean: for heat maps and as features."""
        x = self.norm(self.conv(2 * images - 1), train)
        if self.imagenet:
            x = max_pool(x, 3, 2, padding=1)
        for block in self.blocks:
            x = block(x, train)
        return x

    def logits(self, maps: Maps) -> Float[Array, "batch classes"]:
        """Return the logits of the last maps."""
        return self.head(maps.mean((1, 2))).astype(jnp.float32)


def _deviation(layer: Conv) -> float:
    """Return He's standard deviation by the outputs of a kernel, as torchvision draws it."""
    rows, columns, _, features = layer.kernel.shape
    return (2 / (rows * columns * features)) ** 0.5
