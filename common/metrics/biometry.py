"""Measures of a segmented fetal head: its ellipse, its circumference in mm, and areas compared.

    area ratio = |P| / |T|, pixels predicted as a class to those that are of it               (1)

HC18 (van den Heuvel et al. 2018) scores the mean absolute difference of circumferences over its
images: `common.metrics.regression.regression_errors`.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Bool, Float
from skimage.measure import find_contours

from common.errors import InputError
from common.metrics.ellipse import Ellipse, fit
from common.metrics.overlap import Overlap

AnyArray = jax.Array | np.ndarray


def fit_ellipse(mask: Bool[AnyArray, "*space"], pixel_size: Sequence[float]) -> Ellipse | None:
    """Return the ellipse along a mask's longest outline, None where there is no such ellipse.

    `common.metrics.ellipse.fit` of the outline between the pixels, in mm: `pixel_size` is (height,
    width) of a pixel in mm, which an image squeezed to a square has two of. Holes and smaller
    parts count for nothing. Raises InputError for a mask that is not boolean or not 2-D, and sizes
    that are not above 0.
    """
    marked, size = np.asarray(mask), np.asarray(pixel_size, np.float64)
    if marked.dtype != bool or marked.ndim != 2:
        raise InputError(f"mask {marked.shape} of {marked.dtype}: expected one boolean mask, 2-D")
    if size.shape != (2,) or not (np.isfinite(size) & (size > 0)).all():
        raise InputError(f"pixel size {pixel_size}: expected height and width above 0, in mm")
    outlines = find_contours(np.pad(marked, 1).astype(np.float64), 0.5)
    if not outlines:
        return None
    return fit((max(outlines, key=len) - 1) * size)


def head_circumference(mask: Bool[AnyArray, "*space"], pixel_size: Sequence[float]) -> float:
    """Return the circumference of the ellipse fitted to a mask, in mm; NaN where none can be.

    Arguments and errors as `fit_ellipse`.
    """
    ellipse = fit_ellipse(mask, pixel_size)
    return float("nan") if ellipse is None else ellipse.circumference


def area_ratio(counts: Overlap) -> Float[np.ndarray, "*images classes"]:
    """Return equation (1) of `common.metrics.overlap.overlap`'s counts; in [0, inf).

    Above 1 where more is marked than there is; NaN where there is none of the class.
    """
    predicted, target = (np.asarray(n, np.float64) for n in (counts.predicted, counts.target))
    return np.divide(predicted, target, out=np.full_like(target, np.nan), where=target > 0)
