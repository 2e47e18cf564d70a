"""The anatomy every simulated head is made of: the MNI152 template.

Two things are added that aging needs: how far each voxel lies from the nearest sulcus, and a
flow that makes the lateral ventricles larger or smaller while it only moves the tissue around
them.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from scipy import ndimage
from scipy.special import expit

from common.anatomy.template import (
    CENTER,
    Mask,
    Volume,
    lateral_ventricles,
    read,
    sample,
    signed_distance,
    slices_first,
)

# In template voxels of 1 mm, (right, anterior, superior). Heads are cut about CENTER, shape // 2.
FLOOR, CEILING = 48, 142  # only this part of the template's height is ever seen
FLOW_START = np.array([44, 50, 50])  # corner of the box in which the ventricles move
FLOW_SHAPE = (54, 65, 37)  # of 2 mm voxels
FLOW_SPACING = 2.0


@dataclass(frozen=True)
class Atlas:
    """The template between FLOOR and CEILING, and what aging needs to know of it.

    `t1` and `gray` are the template's intensity (0 to 255) and gray matter probability,
    `ventricles` the share of a voxel that is lateral ventricle, `sulcal_distance` the distance in
    mm from the nearest sulcus or the brain's outer surface (negative inside the fluid).
    `intracranial_ml` is the whole template's volume. `flow[k]` holds the displacement in mm from a
    point of the grown brain to the template for the ventricular volume `flow_ml[k]` (rising).
    Between the slices usually seen, `own_sulcal_fraction` of the template is fluid outside the
    ventricles, and a sulcal widening of `widths[k]` mm makes it `sulcal_fractions[k]`.
    """

    t1: Volume
    gray: Volume
    ventricles: Volume
    sulcal_distance: Volume
    intracranial_ml: float
    flow: Float32[np.ndarray, "level 3 x y z"]
    flow_ml: Float32[np.ndarray, " level"]
    own_sulcal_fraction: float
    widths: Float32[np.ndarray, " width"]
    sulcal_fractions: Float32[np.ndarray, " width"]

    def sample(self, volume: Volume, points: np.ndarray, outside: float = 0.0) -> np.ndarray:
        """Return `volume` at `points` (3, ...) in template voxels, linearly interpolated."""
        return sample(volume, points, FLOOR, outside)

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Return the distance in mm from the sulci at `points` (3, ...) in template voxels."""
        return self.sample(self.sulcal_distance, points, outside=-50.0)


@functools.cache
def atlas() -> Atlas:
    """Return the prepared template; the same object on every call (made in a few seconds)."""
    whole = read("t1")
    t1 = np.ascontiguousarray(whole[:, :, FLOOR:CEILING])
    gray = read("gm")[:, :, FLOOR:CEILING] / np.float32(255)
    lateral = lateral_ventricles(t1, FLOOR)
    ventricles = ndimage.gaussian_filter(lateral.astype(np.float32), 0.6)
    distance = sulcal_distance(t1, lateral)
    flow, flow_ml = ventricular_flow(ventricles)
    white = read("wm")[:, :, FLOOR:CEILING] / np.float32(255)
    seen = np.zeros(t1.shape, bool)
    seen[:, :, CENTER[2] - 22 - FLOOR : CENTER[2] + 22 - FLOOR] = True
    seen &= t1 > 0
    fluid = np.clip(1 - gray - white - ventricles, 0, 1)[seen]
    widths = np.linspace(-2.5, 2.5, 26, dtype=np.float32)
    some = distance[seen][::7]
    fractions = np.array([sulcal_fluid(some, float(w)).mean() for w in widths], np.float32)
    return Atlas(
        t1=slices_first(t1),
        gray=slices_first(gray),
        ventricles=slices_first(ventricles),
        sulcal_distance=slices_first(distance),
        intracranial_ml=float((whole > 0).sum()) / 1000,
        flow=flow,
        flow_ml=flow_ml,
        own_sulcal_fraction=float(fluid.mean()),
        widths=widths,
        sulcal_fractions=fractions,
    )


def sulcal_distance(t1: Volume, ventricles: Mask) -> Volume:
    """Return each voxel's signed distance in mm from fluid outside the ventricles.

    An average of many people shows its sulci as gray valleys rather than black ones: they are
    found by their curvature (largest eigenvalue of the Hessian), not by their darkness.
    """
    inside = t1 > 0
    cortical = inside & (t1 < 172) & ~ndimage.binary_dilation(ventricles, iterations=3)
    filled = np.where(inside, t1, np.float32(150))
    hessian = np.empty((int(cortical.sum()), 3, 3), np.float32)
    for i in range(3):
        for j in range(i, 3):
            order = np.bincount([i, j], minlength=3)
            second = ndimage.gaussian_filter(filled, 1.0, order=order)
            hessian[:, i, j] = hessian[:, j, i] = second[cortical]
    fluid = ~inside
    fluid[cortical] = np.linalg.eigvalsh(hessian)[:, 2] > 10.0
    fluid |= cortical & (t1 < 110)
    return ndimage.gaussian_filter(signed_distance(fluid), 0.6)


def sulcal_fluid(distance: np.ndarray, width: np.ndarray | float) -> np.ndarray:
    """Return the share of fluid at `distance` mm from a sulcus widened by `width` mm a side.

    The edge is as soft as a voxel of 1 mm makes it.
    """
    return expit((width - distance) / np.float32(0.4))


def ventricular_flow(
    ventricles: Volume, step: float = 1.0, smaller: int = 8, larger: int = 30
) -> tuple[Float32[np.ndarray, "level 3 x y z"], Float32[np.ndarray, " level"]]:
    """Return displacements that shrink or grow the ventricles, and the volume each gives in ml.

    Points follow the gradient of the blurred ventricles in small steps. A flow cannot fold, and
    the blur spreads what the tissue gives way over centimeters.
    """
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in FLOW_SHAPE), indexing="ij"))
    grid = (grid * FLOW_SPACING + FLOW_START[:, None, None, None]).astype(np.float32)
    slab = np.array([0, 0, FLOOR], np.float32)[:, None, None, None]
    shares = ndimage.map_coordinates(ventricles, grid - slab, order=1)
    blurred = ndimage.gaussian_filter(shares, 3.0) + ndimage.gaussian_filter(shares, 1.5)
    velocity = np.stack(np.gradient(blurred)) / (blurred + np.float32(0.15)) * np.float32(step)

    def moved(points: np.ndarray, direction: int) -> np.ndarray:
        for _ in range(2):
            here = (points - grid[:, :1, :1, :1]) / np.float32(FLOW_SPACING)
            push = [ndimage.map_coordinates(v, here, order=1, mode="nearest") for v in velocity]
            points = points + np.float32(direction / 2) * np.stack(push)
        return points

    levels = [grid]
    for _ in range(smaller):
        levels.insert(0, moved(levels[0], -1))
    for _ in range(larger):
        levels.append(moved(levels[-1], +1))
    volumes = [ndimage.map_coordinates(ventricles, x - slab, order=1).sum() for x in levels]
    flow = np.stack([x - grid for x in levels])
    return flow, np.array(volumes, np.float32) * np.float32(FLOW_SPACING**3 / 1000)
