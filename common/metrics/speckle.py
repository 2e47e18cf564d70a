"""How much speckle an image has, and whether its edges stay when it is taken off.

With mean m and standard deviation s of a window or a region that should be of one brightness:

    speckle index   = mean over windows of s / m       (Crimmins 1985; Dewaele et al. 1990)   (1)
    envelope SNR    = m / s                            (Burckhardt 1978)                      (2)
    looks (ENL)     = (m / s)²                                                                (3)

Fully developed speckle has an envelope of Rayleigh's distribution: s / m = √(4/π - 1) = 0.523,
SNR 1.913, ENL 3.66; of the intensity, its square, all three are 1. Logarithmic compression, as in
images on a screen, changes them. With L the Laplacian minus its mean over the image:

    edge preservation = Σ L(x) L(y) / √(Σ L(x)² Σ L(y)²)              (Sattar et al. 1997)    (4)

All are pure functions.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from common.errors import InputError
from common.metrics.checks import check_images, check_same_shape
from common.metrics.roots import root

AnyArray = jax.Array | np.ndarray
Images = Float[AnyArray, "batch height width 1"]
Regions = Bool[AnyArray, "images rows columns"]
Plane = Float[AnyArray, "batch height width"]
_BLACK = 1 / 255  # the mean up to which a window is no echo but the black around the sector


def speckle_index(
    images: Images, regions: Regions | None = None, *, window: int = 7
) -> Float[Array, " batch"]:
    """Return equation (1) of each image [0, 1]; in [0, inf), low where there is little speckle.

    Over all windows wholly inside the image, or inside its region, but those of a mean up to 1/255:
    NaN where none is left. Edges raise it too: between filters, hold it beside equation (4).
    Raises InputError for values outside [0, 1], NaN, a window of less than 2 or that does not fit,
    and regions of another shape.
    """
    _check_window(images, window)
    return _index(images[..., 0], _regions(images, regions), window)


def envelope_snr(images: Images, regions: Regions | None = None) -> Float[Array, " batch"]:
    """Return equation (2) of each image's region, the whole image by default; in [0, inf].

    `regions` marks what should be of one brightness; NaN where it is empty or black. Raises
    InputError for values outside [0, 1], NaN, and regions of another shape.
    """
    check_images(images, "images")
    return _snr(images[..., 0], _regions(images, regions))


def effective_number_of_looks(
    images: Images, regions: Regions | None = None
) -> Float[Array, " batch"]:
    """Return equation (3), the effective number of looks; arguments and errors as (2)'s."""
    return jnp.square(envelope_snr(images, regions))


def homogeneous_regions(images: Images, window: int) -> Bool[np.ndarray, "batch height width"]:
    """Return each image's square window of the lowest s / m, as a region for (2) and (3).

    Windows of a mean up to 1/255 do not count; an image of nothing else has an empty region. Choose
    it on the raw image, and measure the same region of what filters make of it. Raises InputError
    as `speckle_index` does.
    """
    _check_window(images, window)
    ratio = np.asarray(_ratios(images[..., 0], np.ones(images.shape[:3], bool), window)[0])
    regions = np.zeros(images.shape[:3], bool)
    for region, found in zip(regions, ratio, strict=True):
        if np.isfinite(found).any():
            row, column = np.unravel_index(np.nanargmin(found), found.shape)
            region[row : row + window, column : column + window] = True
    return regions


def edge_preservation(
    reference: Images, filtered: Float[AnyArray, ...], regions: Regions | None = None
) -> Float[Array, " batch"]:
    """Return equation (4) of each pair of images [0, 1]; in [-1, 1], 1 for equal ones.

    `reference` is the clean image where there is one. Against the raw image speckle counts as
    edges, so that the best filter has not the highest value: give `regions` along outlines that
    are known, and read it beside (1). The Laplacian is that of four neighbors, the image's last
    row and column left out. NaN where either has no edge at all. Raises InputError for values
    outside [0, 1], NaN, and shapes that differ.
    """
    check_images(reference, "reference images")
    check_images(filtered, "filtered images")
    check_same_shape(reference, filtered, ("reference images", "filtered images"))
    return _correlation(reference[..., 0], filtered[..., 0], _regions(reference, regions))


@partial(jax.jit, static_argnames="window")
def _index(x: Plane, inside: AnyArray, window: int) -> Array:
    """Return equation (1)."""
    ratio, counted = _ratios(x, inside, window)
    return jnp.where(counted, ratio, 0).sum((1, 2)) / counted.sum((1, 2))


@partial(jax.jit, static_argnames="window")
def _ratios(x: Plane, inside: AnyArray, window: int) -> tuple[Array, Array]:
    """Return s / m of every window, NaN where it does not count, and whether it does."""
    center = x.mean((1, 2), keepdims=True)  # squares about it keep float32's digits
    shift = _windows(x - center, window)
    variance = jnp.maximum(_windows(jnp.square(x - center), window) - jnp.square(shift), 0)
    mean = center + shift
    share = _windows(inside.astype(x.dtype), window)
    counted = (share > 1 - 0.5 / window**2) & (mean > _BLACK)
    return jnp.where(counted, root(variance) / jnp.where(counted, mean, 1), jnp.nan), counted


@jax.jit
def _snr(x: Plane, inside: AnyArray) -> Array:
    """Return equation (2)."""
    away = _centered(x, inside)
    mean = _mean(x, inside)[:, 0, 0]
    return mean / root(jnp.square(away).sum((1, 2)) / inside.sum((1, 2)))


@jax.jit
def _correlation(x: Plane, y: Plane, inside: AnyArray) -> Array:
    """Return equation (4)."""
    inside = inside[:, 1:-1, 1:-1]
    x, y = (_centered(_laplacian(z), inside) for z in (x, y))
    energy = root(jnp.square(x).sum((1, 2))) * root(jnp.square(y).sum((1, 2)))
    return (x * y).sum((1, 2)) / energy


def _check_window(images: Images, window: int) -> None:
    check_images(images, "images")
    if not 2 <= window <= min(images.shape[1:3]):
        raise InputError(
            f"window of {window} pixels: expected 2 up to the side of {images.shape[1:3]} images"
        )


def _regions(images: Images, regions: Regions | None) -> AnyArray:
    """Return where to measure, everywhere by default."""
    if regions is None:
        return np.ones(images.shape[:3], bool)
    if regions.shape != images.shape[:3]:
        raise InputError(
            f"regions {regions.shape} of images {images.shape[:3]}: expected one shape"
        )
    return regions


def _windows(x: AnyArray, window: int) -> Array:
    """Return the mean of every window that lies wholly inside."""
    shape = (1, window, window)
    return lax.reduce_window(x, 0.0, lax.add, shape, (1, 1, 1), "VALID") / window**2


def _laplacian(x: AnyArray) -> AnyArray:
    around = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
    return around - 4 * x[:, 1:-1, 1:-1]


def _mean(x: AnyArray, inside: AnyArray) -> Array:
    """Return the mean inside, [batch 1 1]."""
    total = jnp.where(inside, x, 0).sum((1, 2), keepdims=True)
    return total / inside.sum((1, 2), keepdims=True)


def _centered(x: AnyArray, inside: AnyArray) -> Array:
    """Return `x` minus its mean inside, 0 outside."""
    return jnp.where(inside, x - _mean(x, inside), 0)
