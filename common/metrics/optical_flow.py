"""How much of a known displacement an image shows, in whatever direction, by optical flow.

    shape change = mean of |found flow| / mean of |true flow|                                  (1)

over the pixels where the true flow is above 0.3 of its largest.

Optical flow takes every difference of brightness for a movement, so that both images are first
made alike in all but shape. Their luminance is turned into local contrast, (x - m) / √(v + 0.02²)
with m and v the mean and the variance under a Gaussian of a tenth of the width: light, tint, and
hair or a background of another color do not move anything. And the sharper one is blurred until
its local contrast has the other's gradient energy: blur by itself does not move anything either.
"""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Float, Float64
from scipy.ndimage import gaussian_filter
from skimage.registration import optical_flow_ilk

from common.errors import InputError
from common.metrics.checks import check_finite, check_same_shape
from common.metrics.luminance import luminance
from common.metrics.sharpness import plane_energy

AnyArray = jax.Array | np.ndarray
Images = Float[AnyArray, "n height width channels"]
Plane = Float64[np.ndarray, "height width"]
_REGION = 0.3  # of the largest displacement: where it is measured
_LOCAL = 0.1  # of the width: the Gaussian of local contrast, and the strongest blur
_FLAT = 0.02  # of the range: less contrast than this is not raised to full contrast
_HALVINGS = 8  # of the interval in which the blur is sought
_SMALLEST = 16  # pixels a side


def shape_change(
    before: Images, after: Float[AnyArray, ...], true_flow: Float[AnyArray, ...]
) -> Float64[np.ndarray, " n"]:
    """Return equation (1) of each pair of images [0, 1]; in [0, inf), about 1 for the true after.

    `true_flow` [n, height, width, 2] is the operation's, as `found_flow` defines it. Noise and
    what is left of a change of light count as a little movement, so that 0 is reached by a copy
    alone. NaN where nothing is displaced. Raises InputError as `found_flow` does, and for a flow
    of another shape or with NaN.
    """
    if true_flow.shape != (*before.shape[:3], 2):
        raise InputError(
            f"true flow {true_flow.shape} of images {before.shape}: expected "
            f"{(*before.shape[:3], 2)}"
        )
    check_finite(true_flow, "true flow")
    true = np.linalg.norm(np.asarray(true_flow, np.float64), axis=3)
    found = np.linalg.norm(found_flow(before, after), axis=3)
    region = true > _REGION * true.max((1, 2), keepdims=True)
    moved, expected = ((length * region).sum((1, 2)) for length in (found, true))
    return np.divide(moved, expected, out=np.full_like(moved, np.nan), where=expected > 0)


def found_flow(
    before: Images, after: Float[AnyArray, ...]
) -> Float64[np.ndarray, "n height width 2"]:
    """Return the optical flow (x, y) in pixels from each image [0, 1] to the one after it.

    Where the point seen at each pixel of `before` lies in `after`, minus where it is: of an image
    moved to the right x is above 0, of one moved down y. By scikit-image's iterative Lucas-Kanade
    with windows of a radius of a twentieth of the width, at least 3 pixels. Raises InputError for
    values outside [0, 1], NaN, shapes that differ, numbers of channels but 1 and 3, and sides
    below 16.
    """
    check_same_shape(before, after, ("images before", "images after"))
    first, second = luminance(before, "images before"), luminance(after, "images after")
    height, width = first.shape[1:]
    if min(height, width) < _SMALLEST:
        raise InputError(f"images {height}x{width}: expected at least {_SMALLEST}x{_SMALLEST}")
    radius = max(3, width // 20)
    flows = [
        optical_flow_ilk(*_alike(x, y), radius=radius, dtype=np.float64)
        for x, y in zip(first, second, strict=True)
    ]
    return np.moveaxis(np.stack(flows)[:, ::-1], 1, -1)  # scikit-image's are (row, column)


def _alike(x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """Return both in local contrast and of one sharpness, that of the less sharp."""
    flat, other = _local_contrast(x), _local_contrast(y)
    if plane_energy(flat) > plane_energy(other):
        return _blurred(x, float(plane_energy(other))), other
    return flat, _blurred(y, float(plane_energy(flat)))


def _blurred(x: Plane, energy: float) -> Plane:
    """Return the local contrast of `x` so blurred that it has this gradient energy."""
    low, high = 0.0, _LOCAL * x.shape[1]
    for _ in range(_HALVINGS):
        sigma = (low + high) / 2
        if plane_energy(_local_contrast(gaussian_filter(x, sigma))) > energy:
            low = sigma
        else:
            high = sigma
    return _local_contrast(gaussian_filter(x, (low + high) / 2))


def _local_contrast(x: Plane) -> Plane:
    sigma = _LOCAL * x.shape[1]
    away = x - gaussian_filter(x, sigma)
    return away / np.sqrt(gaussian_filter(away**2, sigma) + _FLAT**2)
