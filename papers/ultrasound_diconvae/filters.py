"""The classical filters that Di-Conv-AE-Net is compared with, each on images [0, 1].

Lee, Kuan and Frost estimate the clean value R of a pixel z from its window: with the window's mean
m, its coefficient of variation C = s / m, and that of the speckle, c,

    Lee      R = m + w (z - m),   w = 1 - c² / C²                                             (1)
    Kuan     the same with        w = (1 - c² / C²) / (1 + c²)                                (2)
    Frost    R = mean of the window weighted by exp(-k C² t),  t pixels from z                (3)

and w = 0 where C is below c (Lee 1980, Kuan et al. 1985 and Frost et al. 1982 in the form that
Lopes, Touzi & Nezry 1990 gave them). Windows end at the image's edge; of an even size they reach
one pixel less far behind than before. The others are SciPy's and scikit-image's.
"""

from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float
from scipy import ndimage
from skimage import restoration

from common.errors import InputError

AnyArray = Array | np.ndarray
Images = Float[AnyArray, "batch height width 1"]
Filter = Callable[[Images], Images]

WINDOW = 7  # pixels
SPECKLE = 0.25  # the speckle's coefficient of variation: findpeaks's default
DAMPING = 2.0  # k of equation (3): findpeaks's default


@partial(jax.jit, static_argnames=("window", "speckle"))
def lee(images: Images, window: int = WINDOW, speckle: float = SPECKLE) -> Images:
    """Return equation (1). Matches findpeaks 2.7.5's `lee_filter` minus its rounding.

    findpeaks's windows of an odd size w are ours of w - 1.
    """
    mean, variation = _moments(images, window)
    return mean + _above(variation, speckle) * (images - mean)


@partial(jax.jit, static_argnames=("window", "speckle"))
def kuan(images: Images, window: int = WINDOW, speckle: float = SPECKLE) -> Images:
    """Return equation (2). Matches findpeaks 2.7.5's `kuan_filter` as `lee` does its."""
    mean, variation = _moments(images, window)
    return mean + _above(variation, speckle) / (1 + speckle**2) * (images - mean)


@partial(jax.jit, static_argnames=("window", "damping", "form"))
def frost(
    images: Images,
    window: int = WINDOW,
    damping: float = DAMPING,
    form: Literal["frost", "findpeaks"] = "frost",
) -> Images:
    """Return equation (3), or what findpeaks 2.7.5's `frost_filter` has in its place.

    That weights by exp(-k C / m |p - z|), by how different a pixel's value p is, not by how far
    it lies. The two agree but for half a window along the edges, where findpeaks takes another
    pixel for z, or windows that lack one row or column more.
    """
    mean, variation = _moments(images, window)
    steepness = damping * (variation**2 if form == "frost" else variation / _positive(mean))
    before, after = window // 2, (window - 1) // 2
    edges = ((0, 0), (before, after), (before, after), (0, 0))
    padded, inside = (jnp.pad(x, edges) for x in (images, jnp.ones_like(images)))
    total, weight = jnp.zeros_like(images), jnp.zeros_like(images)
    for row, column in np.ndindex(window, window):
        start = (0, row, column, 0)
        values, there = (lax.dynamic_slice(x, start, images.shape) for x in (padded, inside))
        apart = np.hypot(row - before, column - before)
        if form == "findpeaks":
            apart = jnp.abs(values - images)
        share = there * jnp.exp(-steepness * apart)
        total, weight = total + share * values, weight + share
    return total / weight


def mean_filter(images: Images, window: int = WINDOW) -> Images:
    """Return the mean of every window, with the image mirrored at its edges (SciPy)."""
    return ndimage.uniform_filter(np.asarray(images), (1, window, window, 1))


def median_filter(images: Images, window: int = WINDOW) -> Images:
    """Return the median of every window, with the image mirrored at its edges (SciPy)."""
    return ndimage.median_filter(np.asarray(images), (1, window, window, 1))


def bilateral(images: Images, sigma_spatial: float = 2.0) -> Images:
    """Return scikit-image's bilateral filter (Tomasi & Manduchi 1998).

    Its tolerance of values is the image's standard deviation.
    """
    run = partial(restoration.denoise_bilateral, sigma_spatial=sigma_spatial, mode="symmetric")
    return _each(run, images)


def total_variation(images: Images, weight: float = 0.15) -> Images:
    """Return scikit-image's `denoise_tv_chambolle` (Chambolle 2004); `weight` of smoothness."""
    return _each(partial(restoration.denoise_tv_chambolle, weight=weight), images)


def non_local_means(images: Images, strength: float = 0.8) -> Images:
    """Return scikit-image's fast `denoise_nl_means` (Buades et al. 2005), 5x5 patches within 13x13.

    `strength` times the noise's standard deviation, as `noise_level` has it, is the tolerance of
    differences.
    """

    def run(image: np.ndarray) -> np.ndarray:
        sigma = noise_level(image)
        return restoration.denoise_nl_means(
            image, patch_size=5, patch_distance=6, h=strength * sigma, sigma=sigma
        )

    return _each(run, images)


def bm3d(images: Images) -> Images:
    """Return BM3D (Dabov et al. 2007), by the package `bm3d` that a user may have installed.

    It is for non-commercial use only, hence no requirement of this project and imported nowhere
    but here. The noise's level is estimated as for `non_local_means`. Raises InputError without
    it.
    """
    if reason := skipped().get("bm3d"):
        raise InputError(f"bm3d: {reason}")
    package = import_module("bm3d")
    return _each(lambda image: package.bm3d(image, noise_level(image)), images)


BASELINES: dict[str, Filter] = {
    "lee": lee,
    "kuan": kuan,
    "frost": frost,
    "mean": mean_filter,
    "median": median_filter,
    "bilateral": bilateral,
    "total_variation": total_variation,
    "non_local_means": non_local_means,
    "bm3d": bm3d,
}


def skipped() -> dict[str, str]:
    """Return which baselines cannot run here, and why."""
    if find_spec("bm3d"):
        return {}
    return {"bm3d": "not installed, being for non-commercial use only: uv sync --extra bm3d"}


def available() -> dict[str, Filter]:
    """Return the baselines that can run here, by name."""
    return {name: run for name, run in BASELINES.items() if name not in skipped()}


def check_available(names: Iterable[str]) -> None:
    """Raise InputError where a baseline of these names cannot run here."""
    for name in names:
        if reason := skipped().get(name):
            raise InputError(f"train.filters: {name}: {reason}")


def noise_level(image: Float[np.ndarray, "height width"]) -> float:
    """Return the standard deviation of noise as if it were one over the image (Immerkær 1996).

    From what is left when every 3x3 window's trend is taken off. The speckle of an image with much
    black around the sector is louder than that.
    """
    left = ndimage.convolve(image, np.outer([1, -2, 1], [1, -2, 1]))[1:-1, 1:-1]
    return float(np.sqrt(np.pi / 2) * np.abs(left).mean() / 6)


def _moments(images: Images, window: int) -> tuple[Array, Array]:
    """Return mean and coefficient of variation of each pixel's window; of a black window C is 0."""
    if window < 2:
        raise InputError(f"window of {window} pixels: expected at least 2")
    pads = ((0, 0), *[(window // 2, (window - 1) // 2)] * 2, (0, 0))

    def sums(x: AnyArray) -> Array:
        return lax.reduce_window(x, 0.0, lax.add, (1, window, window, 1), (1, 1, 1, 1), pads)

    center = images.mean((1, 2, 3), keepdims=True)  # squares about it keep float32's digits
    count = sums(jnp.ones_like(images[:1]))
    shift = sums(images - center) / count
    variance = jnp.maximum(sums(jnp.square(images - center)) / count - shift**2, 0)
    mean = center + shift
    return mean, jnp.sqrt(variance) / _positive(mean)


def _above(variation: Array, speckle: float) -> Array:
    """Return 1 - c² / C², 0 where that is negative."""
    return jnp.where(variation > speckle, 1 - (speckle / _positive(variation)) ** 2, 0)


def _positive(x: Array) -> Array:
    """Return `x`, 1 in place of what is not above 0."""
    return jnp.where(x > 0, x, 1)


def _each(run: Callable[[np.ndarray], np.ndarray], images: Images) -> np.ndarray:
    """Return `run` of every image [height width], float32 in [0, 1]."""
    found = [run(np.asarray(image[..., 0], np.float64)) for image in images]
    return np.clip(np.stack(found), 0, 1).astype(np.float32)[..., None]
