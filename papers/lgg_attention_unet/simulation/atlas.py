"""The head every patient is made of: the MNI152 brain, wrapped in skull and scalp.

The template ends at the brain. Its skull and scalp lie at given distances from it; eyes and nasal
air are put where they lie about it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from scipy import ndimage

from common.anatomy.template import (
    MIDLINE,
    Mask,
    Volume,
    lateral_ventricles,
    read,
    sample,
    signed_distance,
    slices_first,
)

FLOOR = 22  # the template's lowest slice that is kept: below it is hardly any brain
WIDEST = 66  # the slice where the head is widest: below, it stays as wide
EYES = ((65.0, 196.0, 37.0), (131.0, 196.0, 37.0))  # centers, in template voxels
EYE_RADIUS = 12.5  # mm
HALF = 2  # mm between the points of the distances that vary slowly

HalfVolume = Float32[np.ndarray, "half_right half_anterior half_superior"]


@dataclass(frozen=True)
class Atlas:
    """The template from slice FLOOR upwards.

    `gray` and `white` are shares of a voxel of 1 mm, `sulci` is the Laplacian of the intensity,
    high in the valleys between two gyri. On a grid of 2 mm, distances in mm, negative inside:
    `ventricles` from the lateral ventricles, `cavity` from the inner side of the skull, `head`
    from the shape that the skull's outer side and the skin follow.
    """

    gray: Volume
    white: Volume
    sulci: Volume
    ventricles: HalfVolume
    cavity: HalfVolume
    head: HalfVolume

    def fine(self, volume: Volume, points: np.ndarray, outside: float = 0.0) -> np.ndarray:
        """Return a volume of 1 mm at `points` (3, ...) in template voxels."""
        return sample(volume, points, FLOOR, outside)

    def slow(self, volume: Volume, points: np.ndarray) -> np.ndarray:
        """Return a volume of 2 mm at `points` (3, ...) in template voxels."""
        return sample(volume, points / np.float32(HALF), FLOOR // HALF, outside=50.0)


@functools.cache
def atlas() -> Atlas:
    """Return the prepared template; the same object on every call (made in a few seconds)."""
    t1, gray, white = (read(name)[:, :, FLOOR:] for name in ("t1", "gm", "wm"))
    ventricles = lateral_ventricles(t1, FLOOR)
    cavity = closed((t1 > 0)[::HALF, ::HALF, ::HALF])
    gray, white = sharpened(gray / np.float32(255), white / np.float32(255), t1 > 0)
    return Atlas(
        gray=slices_first(gray),
        white=slices_first(white),
        sulci=slices_first(valleys(t1, white)),
        ventricles=slices_first(smooth_distance(ventricles[::HALF, ::HALF, ::HALF], 0.5)),
        cavity=slices_first(smooth_distance(cavity, 1.0)),
        head=slices_first(smooth_distance(outline(cavity), 3.0)),
    )


def sharpened(gray: Volume, white: Volume, inside: Mask) -> tuple[Volume, Volume]:
    """Return shares of gray and white matter as one person's, not the average of many, has them.

    Squares of the average's shares, made to sum to one again.
    """
    fluid = np.clip(1 - gray - white, 0, 1) * inside
    total = np.maximum(gray**2 + white**2 + fluid**2, np.float32(1e-6))
    return gray**2 / total * inside, white**2 / total * inside


def valleys(t1: Volume, white: Volume) -> Volume:
    """Return the Laplacian of `t1` where it is not deep in the white matter, elsewhere 0.

    An average of many people shows its sulci as gray valleys rather than black ones.
    """
    inside = t1 > 0
    filled = np.where(inside, t1, np.float32(150))
    return ndimage.gaussian_laplace(filled, 1.0) * (inside & (t1 < 180) & (white < 0.3))


def closed(brain: Mask, radius: float = 9.0) -> Mask:
    """Return the brain (grid of 2 mm) with every gap narrower than 2 `radius` mm filled."""
    reach = radius / HALF
    grown = ndimage.distance_transform_edt(~brain) < reach
    return brain | (ndimage.distance_transform_edt(grown) > reach)


def outline(cavity: Mask) -> Mask:
    """Return the shape that the outside of the head follows, on a grid of 2 mm.

    From the widest slice downwards it is a cylinder: there are the face and the neck, not a brain.
    """
    level = (WIDEST - FLOOR) // HALF
    shape = cavity.copy()
    shape[:, :, :level] |= cavity[:, :, level : level + 1]
    return shape


def smooth_distance(mask: Mask, sigma: float) -> Volume:
    """Return the signed distance in mm from `mask` (grid of 2 mm), blurred over `sigma` voxels."""
    return ndimage.gaussian_filter(signed_distance(mask) * np.float32(HALF), sigma)


def supratentorial(points: np.ndarray) -> np.ndarray:
    """Return which `points` (3, ...) in template voxels lie in the hemispheres, off the midline.

    Not there: cerebellum and brain stem.
    """
    x, y, z = points
    stem = (np.abs(x - MIDLINE) < 20) & (y < 135) & (z < 72)
    cerebellum = (y < 100) & (z < 66)
    return (np.abs(x - MIDLINE) > 11) & (z > 46) & ~stem & ~cerebellum
