"""How much of a known operation an image shows, read off a ladder of images that show it.

A ladder has one image for each share s of the operation: s = 0 is the image before, 1 the true one
after, and there are shares between and beyond. With c(s, σ) the normalized cross-correlation of
the image's luminance with a rung's, blurred by a Gaussian of σ, inside the operated region:

    share = the place of the largest c, by the parabola through the three rungs around it      (1)
    peak  = the largest c(s, 0)                                                                (2)

The share says what the image shows. Brightness and contrast do not move it, since c does not see
them, nor does blur up to 3 pixels in 64, since the ladder is blurred until it fits best. The peak
says how clearly the image shows it: blur, noise and whatever else is no rung of the ladder lower
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float, Float64
from scipy.ndimage import gaussian_filter

from common.errors import InputError
from common.metrics.checks import check_finite
from common.metrics.luminance import luminance

AnyArray = jax.Array | np.ndarray
_BLURS = np.arange(0, 3.5, 0.5) / 64  # σ that the ladder is tried at, in widths of the image
_CHANGED = 0.25  # of the largest displacement: from here on a pixel is of the operated region
_CONSTANT = 1e-12  # the variance up to which there is nothing to correlate


@dataclass(frozen=True)
class ShareOfLadder:
    """Equations (1) and (2) of each image: `share` in units of the shares, `peak` in [-1, 1]."""

    share: Float64[np.ndarray, " n"]
    peak: Float64[np.ndarray, " n"]


def share_of_ladder(
    images: Float[AnyArray, "n height width channels"],
    ladders: Float[AnyArray, ...],
    shares: Sequence[float | int] | Float[AnyArray, " rungs"],
    weights: Float[AnyArray, ...],
) -> ShareOfLadder:
    """Return what share of its ladder's operation each image [0, 1] shows, and how clearly.

    `ladders` [n, rungs, height, width, channels] hold a rung for each of `shares`, three or more
    that increase evenly; `weights` [n, height, width] say where to look, as of `changed_region`. A
    share is at most half a step beyond the ladder's ends. Both are NaN where the image, or a rung,
    is constant inside the weights. Raises InputError for values outside [0, 1], NaN, shapes that do
    not fit, weights below 0, and other shares.
    """
    steps = _check(images, ladders, shares, weights)
    planes = luminance(images)[:, None]
    rungs = luminance(np.asarray(ladders).reshape(-1, *images.shape[1:]), "ladders")
    rungs = rungs.reshape(ladders.shape[:4])
    looked = np.asarray(weights, np.float64)[:, None]
    sigmas = _BLURS * images.shape[2]
    found = np.stack(
        [_correlation(planes, gaussian_filter(rungs, (0, 0, s, s)), looked) for s in sigmas]
    )
    best = found[found.max(2).argmax(0), np.arange(len(images))]
    peak = found[0].max(1)
    share = steps[0] + (steps[1] - steps[0]) * _summit(best)
    return ShareOfLadder(np.where(np.isnan(peak), np.nan, share), peak)


def changed_region(
    flow: Float[AnyArray, "n height width 2"],
) -> Float64[np.ndarray, "n height width"]:
    """Return weights [0, 1]: where a displacement is above a quarter of the image's largest.

    Their edge is smooth, a Gaussian of 1 pixel; all are 0 where nothing is displaced. Raises
    InputError for NaN.
    """
    check_finite(flow, "flow")
    length = np.linalg.norm(np.asarray(flow, np.float64), axis=3)
    inside = length > _CHANGED * length.max((1, 2), keepdims=True)
    return gaussian_filter(inside.astype(np.float64), (0, 1, 1))


def _check(
    images: AnyArray,
    ladders: AnyArray,
    shares: Sequence[float | int] | AnyArray,
    weights: AnyArray,
) -> Float64[np.ndarray, " rungs"]:
    """Return the shares, after every check but those of luminance."""
    steps = np.asarray(shares, np.float64)
    gaps = np.diff(steps)
    if len(steps) < 3 or not (gaps > 0).all() or not np.allclose(gaps, gaps.mean()):
        raise InputError(f"shares {shares}: expected 3 or more that increase by equal steps")
    expected = (len(images), len(steps), *images.shape[1:])
    if ladders.shape != expected:
        raise InputError(
            f"ladders {ladders.shape} of images {images.shape} and {len(steps)} shares: "
            f"expected {expected}"
        )
    if weights.shape != images.shape[:3]:
        raise InputError(f"weights {weights.shape} of images {images.shape}: expected one a pixel")
    check_finite(weights, "weights")
    if (weights < 0).any():
        raise InputError(f"weights down to {float(weights.min()):g}: expected 0 or more")
    return steps


def _correlation(
    x: Float64[np.ndarray, "n 1 height width"],
    y: Float64[np.ndarray, "n rungs height width"],
    weights: Float64[np.ndarray, "n 1 height width"],
) -> Float64[np.ndarray, "n rungs"]:
    """Return c of each rung, NaN where a side is constant."""
    total = weights.sum((2, 3), keepdims=True)
    share = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    x, y = (z - (share * z).sum((2, 3), keepdims=True) for z in (x, y))
    spread = [(share * z * z).sum((2, 3)) for z in (x, y)]
    varies = (spread[0] > _CONSTANT) & (spread[1] > _CONSTANT)
    scale = np.where(varies, np.sqrt(spread[0] * spread[1]), np.nan)
    return (share * x * y).sum((2, 3)) / scale


def _summit(values: Float64[np.ndarray, "n rungs"]) -> Float64[np.ndarray, " n"]:
    """Return the place of the largest value, in rungs, at most half a rung beyond the ends."""
    last = values.shape[1] - 1
    highest = values.argmax(1)
    middle = highest.clip(1, last - 1)
    below, at, above = (values[np.arange(len(values)), middle + i] for i in (-1, 0, 1))
    bend = below - 2 * at + above
    away = np.divide(below - above, 2 * bend, out=np.zeros_like(bend), where=bend < 0)
    place = np.where(bend < 0, middle + away, highest)
    return place.clip(-0.5, last + 0.5)
