"""The curved array, what of its sector an image shows, and the way from one to the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32
from scipy import ndimage

SOUND = 1.54  # mm per microsecond, in soft tissue
DEPTHS, BEAMS = 416, 208  # points along a beam, and beams
BEYOND = 1.06  # of the sector: beams go on outside, so that no edge wraps around into it

Points = Float32[np.ndarray, "depths beams"]
Pixels = Float32[np.ndarray, "rows columns"]


@dataclass(frozen=True)
class View:
    """A curved array looking down, and the window that is shown; lengths in mm, angles in radians.

    The array's face is a part of a circle of `radius`; depth is the distance from the face. The
    window is `height` x `width`, its upper edge `top` below the middle of the face (above it where
    negative, then the face is seen) and its middle `aside` of it. The sector ends `half_angle` to
    either side and at the depth `end`.
    """

    radius: float
    frequency: float  # MHz
    focus: float  # depth where the beam is narrowest
    top: float
    aside: float
    height: float
    width: float
    half_angle: float
    end: float

    @cached_property
    def depths(self) -> Float32[np.ndarray, " depths"]:
        """Depth of every point of a beam."""
        return np.linspace(max(0.0, self.top), self.end, DEPTHS, dtype=np.float32)

    @cached_property
    def angles(self) -> Float32[np.ndarray, " beams"]:
        """Angle of every beam, from straight down towards the right."""
        half = self.half_angle * BEYOND
        return np.linspace(-half, half, BEAMS, dtype=np.float32)

    @property
    def wavelength(self) -> float:
        """Of the sound in tissue, mm."""
        return SOUND / self.frequency

    @property
    def step(self) -> float:
        """Between two points of a beam, mm."""
        return float(self.depths[1] - self.depths[0])

    def places(self) -> tuple[Points, Points]:
        """Return how far down and how far right of the window's corner the points lie, in mm."""
        reach = (self.radius + self.depths)[:, None]
        down = reach * np.cos(self.angles) - np.float32(self.radius + self.top)
        right = reach * np.sin(self.angles) + np.float32(self.width / 2 - self.aside)
        return down, right

    def pixels(self, rows: int, columns: int) -> tuple[Pixels, Pixels]:
        """Return how far down and how far right of the window's corner pixels' centers lie."""
        down = (np.arange(rows, dtype=np.float32) + 0.5) * np.float32(self.height / rows)
        right = (np.arange(columns, dtype=np.float32) + 0.5) * np.float32(self.width / columns)
        y, x = np.meshgrid(down, right, indexing="ij")
        return y, x

    def shown(self, *maps: Points, rows: int, columns: int) -> list[Pixels]:
        """Return maps of the points as they appear in the window, 0 outside the sector.

        A pixel is interpolated between the four points around its center.
        """
        down, right = self.pixels(rows, columns)
        y = down + np.float32(self.radius + self.top)
        x = right + np.float32(self.aside - self.width / 2)
        depth, angle = np.hypot(y, x) - self.radius, np.arctan2(x, y)
        seen = (np.abs(angle) <= self.half_angle) & (depth >= 0) & (depth <= self.end)
        where = np.stack(
            [
                (depth - self.depths[0]) / self.step,
                (angle - self.angles[0]) / (self.angles[1] - self.angles[0]),
            ]
        ).astype(np.float32)
        cast = (ndimage.map_coordinates(one, where, order=1, mode="nearest") for one in maps)
        return [np.where(seen, one, 0).astype(np.float32) for one in cast]
