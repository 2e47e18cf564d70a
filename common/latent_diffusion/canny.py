"""Canny's edges (1986, doi:10.1109/TPAMI.1986.4767851) as OpenCV draws them: ControlNet's hint.

Equal to `cv2.Canny` of OpenCV 5.0.0 (3x3 Sobel, L1 norm) to the pixel. Nothing is blurred first.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from jaxtyping import Float, Int16, Shaped, UInt8
from scipy import ndimage

from common.errors import InputError

_FRACTION = 15  # bits of the tangent below
_TAN_22 = round(math.tan(math.pi / 8) * 2**_FRACTION)  # tan 22.5°; that of 67.5° is 2 more
_FEW = 0.001  # share of edge pixels below which a map guides nothing


def canny(
    image: Shaped[np.ndarray, "*shape"], low: int | float = 100, high: int | float = 200
) -> UInt8[np.ndarray, "height width"]:
    """Return 255 where a uint8 image has an edge, else 0.

    `image` is [height, width] or [height, width, channels]; of channels the steepest one counts.
    An edge pixel's gradient |dx| + |dy|, at most 2040, is the greatest across the edge and above
    `low`, and edge pixels connect it to one above `high`. Thresholds may be given in either order.

    Raises:
        InputError: another dtype or shape, or a threshold that is not finite.
    """
    _check(image, low, high)
    low, high = sorted(map(math.floor, (low, high)))
    dx, dy = _gradient(image)
    norm = np.pad(abs(dx) + abs(dy), 1)  # nothing outside competes with an edge
    row, column = np.nonzero(norm[1:-1, 1:-1] > low)
    step, diagonal = _across(dx[row, column], dy[row, column], norm.shape[1])
    flat, at = norm.ravel(), (row + 1) * norm.shape[1] + column + 1
    # of two equal neighbors the first is the edge; on diagonals neither is
    thinnest = (flat[at] > flat[at - step]) & (flat[at] >= flat[at + step] + diagonal)
    row, column, at = row[thinnest], column[thinnest], at[thinnest]
    weak = np.zeros(dx.shape, bool)
    weak[row, column] = True
    labels, count = ndimage.label(weak, np.ones((3, 3)))
    strong = np.zeros(count + 1, np.uint8)
    strong[labels[row, column][flat[at] > high]] = 255
    return strong[labels]


def edge_map(
    image: Shaped[np.ndarray, "*shape"], low: int | float = 100, high: int | float = 200
) -> Float[np.ndarray, "height width 3"]:
    """Return Canny's edges as a ControlNet reads them: float32, 1 on an edge, else 0.

    Warns of a map with next to no edges: images that were enlarged or are smooth, as radiographs
    are, need lower thresholds than OpenCV's examples use.
    """
    edges = canny(image, low, high) > 0
    if edges.mean() < _FEW:
        warnings.warn(
            f"edge map: {edges.mean():.2%} of the pixels are edges at thresholds {low:g} and "
            f"{high:g}, which guides nothing; choose lower thresholds, or draw at another size",
            stacklevel=2,
        )
    return np.repeat(edges[..., None], 3, axis=2).astype(np.float32)


def _check(image: np.ndarray, low: int | float, high: int | float) -> None:
    if image.dtype != np.uint8:
        hint = "; times 255 and round?" if np.issubdtype(image.dtype, np.floating) else ""
        raise InputError(f"image: type {image.dtype}, expected uint8{hint}")
    if image.ndim not in (2, 3) or not image.size:
        raise InputError(
            f"image: shape {image.shape}, expected [height, width] or [height, width, channels], "
            "each at least 1"
        )
    for name, threshold in (("low", low), ("high", high)):
        if not math.isfinite(threshold):
            raise InputError(f"{name}: {threshold}, expected a finite threshold from 0 to 2040")


def _gradient(
    image: UInt8[np.ndarray, "*shape"],
) -> tuple[Int16[np.ndarray, "height width"], Int16[np.ndarray, "height width"]]:
    """Return Sobel's dx and dy, edge pixels replicated, of the channel where they are greatest."""
    channels = np.moveaxis(image[..., None] if image.ndim == 2 else image, 2, 0)
    padded = np.pad(channels.astype(np.int16), ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    columns = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    dx, dy = rows[..., 2:] - rows[..., :-2], columns[:, 2:] - columns[:, :-2]
    if len(channels) == 1:
        return dx[0], dy[0]
    steepest = (abs(dx) + abs(dy)).argmax(0)[None]
    return np.take_along_axis(dx, steepest, 0)[0], np.take_along_axis(dy, steepest, 0)[0]


def _across(
    dx: Int16[np.ndarray, " n"], dy: Int16[np.ndarray, " n"], width: int
) -> tuple[Shaped[np.ndarray, " n"], Shaped[np.ndarray, " n"]]:
    """Return the step across each edge, in flat pixels of rows of `width`, and if it is diagonal.

    In whole numbers, of which none reaches 2^31: |dy| / |dx| against tan 22.5° and tan 67.5°.
    """
    x, y = abs(dx).astype(np.int32), abs(dy).astype(np.int32) << _FRACTION
    flat, steep = y < _TAN_22 * x, y > (_TAN_22 + (2 << _FRACTION)) * x
    slanted = np.where((dx ^ dy) < 0, width - 1, width + 1)
    return np.where(flat, 1, np.where(steep, width, slanted)), ~(flat | steep)
