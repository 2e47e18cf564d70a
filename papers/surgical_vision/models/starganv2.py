"""StarGANv2 (Choi et al. 2020, arXiv:1912.01865, appendix): its four networks.

The generator redraws an image in a style, which is a vector. The mapping network makes styles of
noise, the style encoder takes them from images, and the discriminator tells real images of a domain
from drawn ones. The last three have an output for every domain, of which the wanted one is taken.

Ours is the form without the high-pass skips, which need a trained landmark detector. The first
convolution is 3x3, where the paper's tables say 1x1: so has the authors' by its parameters.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from common.errors import InputError
from common.nn.conv import Conv
from common.nn.linear import ZEROS, linear
from common.nn.normalization import InstanceNorm
from papers.surgical_vision.models.starganv2_blocks import (
    Block,
    DomainLinear,
    StyledBlock,
    convolution,
    draw,
    leaky,
)

Images = Float[Array, "batch height width 3"]
Styles = Float[Array, "batch style"]
Domains = Int[Array, " batch"]
CODE = 16  # pixels of the generator's innermost maps, or fewer
LAST = 4  # of the last maps of the style encoder and the discriminator, or fewer


class Generator(nnx.Module):
    """Images in [-1, 1], about (nothing bounds them), of images in [-1, 1] and styles.

    `first` is the width at full size, 2^14 / size unless given; it doubles with every halving, up
    to `widest`. Raises InputError for a size that cannot be halved down to CODE pixels.
    """

    def __init__(
        self,
        size: int,
        *,
        style: int = 64,
        first: int | None = None,
        widest: int = 512,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        options: Any = {"dtype": dtype, "rngs": rngs}
        widths = _widths(size, CODE, first, widest)
        same = [(widths[-1], widths[-1])] * 2
        self.first = convolution(3, widths[0], **options)
        down = [
            Block(before, after, down=True, norm=True, **options)
            for before, after in pairwise(widths)
        ]
        level = [Block(before, after, down=False, norm=True, **options) for before, after in same]
        self.encoder = nnx.List([*down, *level])
        level_up = [StyledBlock(a, b, style, up=False, **options) for a, b in same]
        up = [StyledBlock(a, b, style, up=True, **options) for a, b in pairwise(widths[::-1])]
        self.decoder = nnx.List([*level_up, *up])
        self.norm = InstanceNorm(widths[0], affine=True, **options)
        self.last = linear(widths[0], 3, **options)
        draw(self, rngs)

    def __call__(self, images: Images, styles: Styles) -> Float[Array, "batch height width 3"]:
        """Return each image in its style, float32."""
        x = self.first(images)
        for block in self.encoder:
            x = block(x)
        for styled in self.decoder:
            x = styled(x, styles)
        return self.last(leaky(self.norm(x))).astype(jnp.float32)


class MappingNetwork(nnx.Module):
    """Styles of noise N(0, 1): four layers that all domains share, then four of each its own."""

    def __init__(
        self,
        domains: int,
        *,
        latent: int = 16,
        style: int = 64,
        hidden: int = 512,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        options: Any = {"dtype": dtype, "rngs": rngs}
        shared, own = (latent, *[hidden] * 4), (*[hidden] * 4, style)
        self.shared = nnx.List(linear(a, b, **options) for a, b in pairwise(shared))
        self.own = nnx.List(DomainLinear(a, b, domains, **options) for a, b in pairwise(own))
        draw(self, rngs)

    def __call__(
        self, noise: Float[Array, "batch latent"], domains: Domains
    ) -> Float[Array, "batch style"]:
        """Return the styles of the domains, float32."""
        x = noise
        for layer in self.shared:
            x = jax.nn.relu(layer(x))
        x = jnp.repeat(x[:, None], self.own[0].domains, 1)
        for own in self.own[:-1]:
            x = jax.nn.relu(own(x))
        return _taken(self.own[-1](x), domains)


class StyleEncoder(nnx.Module):
    """Styles of images in [-1, 1]; widths and errors as `Generator`, down to LAST pixels."""

    def __init__(
        self,
        size: int,
        domains: int,
        *,
        style: int = 64,
        first: int | None = None,
        widest: int = 512,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        self.trunk = Trunk(size, first, widest, dtype=dtype, rngs=rngs)
        self.heads = linear(self.trunk.features, domains * style, dtype=dtype, rngs=rngs)
        self.domains = domains
        draw(self, rngs)

    def __call__(self, images: Images, domains: Domains) -> Float[Array, "batch style"]:
        """Return what the images' styles are as images of the domains, float32."""
        heads = self.heads(self.trunk(images))
        return _taken(heads.reshape(len(images), self.domains, -1), domains)


class Discriminator(nnx.Module):
    """A logit of each image, in [-1, 1], being a real one of its domain; widths as `Generator`."""

    def __init__(
        self,
        size: int,
        domains: int,
        *,
        first: int | None = None,
        widest: int = 512,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        self.trunk = Trunk(size, first, widest, dtype=dtype, rngs=rngs)
        self.heads = linear(self.trunk.features, domains, dtype=dtype, rngs=rngs)
        draw(self, rngs)

    def __call__(self, images: Images, domains: Domains) -> Float[Array, " batch"]:
        """Return the logits of the domains, float32."""
        return _taken(self.heads(self.trunk(images))[..., None], domains)[:, 0]


class Trunk(nnx.Module):
    """Features of images: blocks down to LAST pixels, and a convolution as large as those."""

    def __init__(self, size: int, first: int | None, widest: int, *, dtype: Any, rngs: nnx.Rngs):
        options: Any = {"dtype": dtype, "rngs": rngs}
        widths = _widths(size, LAST, first, widest)
        self.features = widths[-1]
        self.first = convolution(3, widths[0], **options)
        self.blocks = nnx.List(
            Block(a, b, down=True, norm=False, **options) for a, b in pairwise(widths)
        )
        left = size >> len(self.blocks)  # 4 of a power of two, 3 of 48
        self.last = Conv(
            widths[-1], widths[-1], left, padding="VALID", kernel_init=ZEROS, **options
        )

    def __call__(self, images: Images) -> Float[Array, "batch features"]:
        """Return the features, activated."""
        x = self.first(images)
        for block in self.blocks:
            x = block(x)
        return leaky(self.last(leaky(x)))[:, 0, 0]


def _widths(size: int, least: int, first: int | None, widest: int) -> list[int]:
    """Return the width at full size and after each halving down to `least` pixels or fewer."""
    widths, left = [first or 2**14 // size], size
    while left > least and left % 2 == 0:
        widths, left = [*widths, min(2 * widths[-1], widest)], left // 2
    if left > least:
        raise InputError(
            f"StarGANv2 on images of {size} pixels: halved down to {least} pixels or fewer they "
            f"would be cut at {left}; give a multiple of a higher power of 2, such as 48 or 64"
        )
    return widths


def _taken(outputs: Float[Array, "batch domains features"], domains: Domains) -> Array:
    """Return of each example's outputs that of its domain, float32."""
    taken = jnp.take_along_axis(outputs, domains[:, None, None], axis=1)
    return taken[:, 0].astype(jnp.float32)
