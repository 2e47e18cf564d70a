"""The projected anatomy at the resolution of a film, and where in it findings can lie.

Places are in mm from the middle of the film: down, and to the patient's left. The anatomy is
sampled anywhere, between its pixels linearly and beyond its edges as at them, so that a film may be
moved, stretched and bent without a seam.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Float32, Float64
from scipy import interpolate, ndimage

from papers.rare_disease_controlnet.simulation import projection
from papers.rare_disease_controlnet.simulation.projection import CUT, NAMES, SIDES, Map

FIELD = 296.0  # mm, height and width of what a film shows
LOWER = 8.0  # mm that its middle lies below the lungs': their lowest parts are behind the belly
ROWS = 20  # that are added above the CT's
ABOVE = 2.5  # mm by which each of them is blurred more than the one below
FINEST = 0.6  # mm between the map's pixels, at least
BLUR = 0.4  # of a film's pixel: standard deviation of what a detector element takes the mean of
LUNG = 8.0  # mm of lung along a ray from which the ray counts as in the lung
OPEN = 0.2  # of heart, belly and spine together, below which a nodule is not hidden by them
THICK, DEEP = 50.0, 14.0  # mm of lung before and behind a nodule, and around it on the film
BONE = 0.02  # of a rib's integral, from which it counts as there

Pixels = Float32[np.ndarray, "rows columns"]
Points = Float[np.ndarray, "_ 2"]  # (down, left)


@dataclass(frozen=True)
class Box:
    """What a lung takes up on the film, mm: `medial` and `lateral` are places to the left."""

    top: float
    bottom: float
    medial: float
    lateral: float


@dataclass(frozen=True)
class Anatomy:
    """Maps whose pixels are `pitch` mm wide, and what findings need to know about them."""

    maps: Mapping[str, Map]
    pitch: float
    middle: tuple[float, float]  # row and column of the film's middle
    depths: Mapping[str, float]  # mm in front of the body's middle, by group
    boxes: Mapping[str, Box]  # of the lungs, by side
    open: Mapping[str, Points]  # places in a lung where a nodule can be seen, by side
    ribs: Mapping[str, Points]  # middle lines of ribs from the spine outwards, by name

    def sample(self, name: str, down: Pixels, left: Pixels) -> Pixels:
        """Return a map at places."""
        where = np.stack([down, left]) / np.float32(self.pitch)
        where += np.array(self.middle, np.float32)[:, None, None]
        return ndimage.map_coordinates(self.maps[name], where, order=1, mode="nearest")


@cache
def anatomy(size: int) -> Anatomy:
    """Return the CT's anatomy for films of `size` pixels; raises InputError without it."""
    return resampled(projection.maps(), FIELD / size)


def resampled(maps: Mapping[str, np.ndarray], pixel: float) -> Anatomy:
    """Return the anatomy of projected maps, smoothed for films whose pixels are `pixel` mm wide.

    The middle of the film lies on the spine, and `LOWER` than that of the lungs.
    """
    height, width = (float(mm) for mm in maps["pixel"])
    chord = maps["thickness_left"] + maps["thickness_right"]
    rows = np.flatnonzero((chord > LUNG).any(1))
    middle = float(np.average(np.arange(chord.shape[1]), weights=maps["spine"].sum(0)))
    down = (np.arange(-ROWS, len(chord)) - (rows[0] + rows[-1]) / 2) * height - LOWER
    left = (np.arange(chord.shape[1]) - middle) * width
    flat = _extended({k: m for k, m in maps.items() if m.ndim == 2}, ROWS, width)
    for side in SIDES:
        inside = flat[f"thickness_{side}"] > LUNG
        distance = ndimage.distance_transform_edt(inside, sampling=(height, width))
        flat[f"inside_{side}"] = distance.astype(np.float32)
    pitch = max(pixel / 2, FINEST)
    places = [np.arange(old[0], old[-1], pitch) for old in (down, left)]
    ways = [_weights(old, new, BLUR * pixel) for old, new in zip((down, left), places, strict=True)]
    return Anatomy(
        maps={  # splines swing below 0 beside edges
            name: np.maximum(ways[0] @ one @ ways[1].T, 0) for name, one in flat.items()
        },
        pitch=pitch,
        middle=(-float(down[0]) / pitch, -float(left[0]) / pitch),
        depths={name: float(mm) for name, mm in zip(NAMES, maps["depths"], strict=True)},
        boxes={side: _box(flat[f"thickness_{side}"], down, left) for side in SIDES},
        open={side: _open(flat, side, down, left) for side in SIDES},
        ribs={
            name: _line(flat[name], down, left)
            for name in (projection.rib(side, number) for side in SIDES for number in CUT)
        },
    )


def centers(size: int) -> Float64[np.ndarray, " pixels"]:
    """Return where the centers of a film's rows, or columns, lie: mm from its middle."""
    return ((np.arange(size) + 0.5) / size - 0.5) * FIELD


def _extended(maps: Mapping[str, Map], rows: int, across: float) -> dict[str, np.ndarray]:
    """Return maps with rows added above: the CT ends close over the lungs, films go on.

    The topmost row goes on, the more blurred the higher, so that no stripe is left of it; `across`
    is the width of a pixel in mm.
    """
    extended = {}
    for name, one in maps.items():
        above = [ndimage.gaussian_filter1d(one[0], ABOVE * k / across) for k in range(rows, 0, -1)]
        extended[name] = np.concatenate([np.stack(above), one])
    return extended


def _weights(
    old: Float64[np.ndarray, " old"], new: Float64[np.ndarray, " new"], blur: float
) -> Float32[np.ndarray, "new old"]:
    """Return what values at `old` weigh in smoothed ones at `new`: Gaussian, then cubic splines."""
    blurred = ndimage.gaussian_filter1d(
        np.eye(len(old)), blur / (old[1] - old[0]), axis=0, mode="nearest"
    )
    return interpolate.make_interp_spline(old, blurred, axis=0)(new).astype(np.float32)


def _box(thickness: Map, down: np.ndarray, left: np.ndarray) -> Box:
    inside = thickness > LUNG
    rows, columns = down[inside.any(1)], left[inside.any(0)]
    medial, lateral = sorted((float(columns[0]), float(columns[-1])), key=abs)
    return Box(float(rows[0]), float(rows[-1]), medial, lateral)


def _open(maps: Mapping[str, Map], side: str, down: np.ndarray, left: np.ndarray) -> Points:
    hidden = maps["heart"] + maps["belly"] + maps["spine"]
    fit = (maps[f"thickness_{side}"] > THICK) & (maps[f"inside_{side}"] > DEEP)
    fit &= hidden < OPEN
    rows, columns = np.nonzero(fit)
    return np.stack([down[rows], left[columns]], 1)


def _line(bone: Map, down: np.ndarray, left: np.ndarray) -> Points:
    """Return the middle line of a rib from the spine outwards, empty where there is no rib."""
    columns = np.flatnonzero(bone.max(0) > BONE)
    weights = bone[:, columns]
    middles = (weights * down[:, None]).sum(0) / weights.sum(0)
    line = np.stack([middles, left[columns]], 1)
    return line[np.argsort(np.abs(line[:, 1]))]
