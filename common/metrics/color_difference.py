"""Whether a region of an image has changed color.

    ΔE = |c(a) - c(b)|,   c = the median of L*, of a* and of b* over the region                (1)

in CIELAB (sRGB, D65, 2° observer) by the formula of 1976, the one to which the just noticeable
difference below belongs. The region is compared as a whole and not pixel by pixel, or an edge
that moves would count as a change of color; and by the median, since in a region as thin as the
lips the pixels that such an edge passes are many enough to pull a mean along.
"""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Bool, Float, Float64
from skimage.color import deltaE_cie76, rgb2lab

from common.errors import InputError
from common.metrics.checks import check_images, check_same_shape

AnyArray = jax.Array | np.ndarray

# Mahy, Van Eycken and Oosterlinck 1994, "Evaluation of uniform color spaces developed after the
# adoption of CIELAB and CIELUV": the ΔE of 1976 that an observer just notices
JUST_NOTICEABLE = 2.3


def color_difference(
    a: Float[AnyArray, "n height width channels"],
    b: Float[AnyArray, ...],
    mask: Bool[AnyArray, ...],
) -> Float64[np.ndarray, " n"]:
    """Return equation (1) of each pair of RGB images [0, 1] inside its mask [n, height, width].

    In [0, inf), 0 for equal colors, 100 from black to white; NaN where the mask is empty. A change
    in less than half of the region is not seen. Raises InputError for values outside [0, 1], NaN,
    shapes that differ, images that are not RGB, and masks that are not boolean.
    """
    for name, images in (("first images", a), ("second images", b)):
        check_images(images, name)
        if images.shape[3] != 3:
            raise InputError(f"{name}: {images.shape[3]} channels, expected 3: red, green, blue")
    check_same_shape(a, b, ("first images", "second images"))
    if mask.dtype != bool or mask.shape != a.shape[:3]:
        raise InputError(
            f"mask {mask.shape} of {mask.dtype}: expected booleans {a.shape[:3]}, as the images"
        )
    return deltaE_cie76(_colors(a, mask), _colors(b, mask))


def _colors(images: AnyArray, mask: AnyArray) -> Float64[np.ndarray, "n 3"]:
    """Return c of every image, NaN where its mask is empty."""
    lab = rgb2lab(np.asarray(images, np.float64))
    inside = [pixels[marked] for pixels, marked in zip(lab, np.asarray(mask), strict=True)]
    return np.stack([np.median(x, 0) if len(x) else np.full(3, np.nan) for x in inside])
