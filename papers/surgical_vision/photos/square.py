"""Squares of a photo, upright or turned, and what they show."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt8
from scipy.ndimage import map_coordinates

Points = Float[np.ndarray, "n 2"]


@dataclass(frozen=True)
class Square:
    """A square of a photo: center and side in the photo's pixels, and how far it is turned.

    `angle` is in radians from the photo's x axis to the square's, clockwise as it is looked at.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0

    def outward(self, points: Points, size: int) -> Points:
        """Return where points of the square, shown in `size` pixels, lie in the photo."""
        centered = (points / size - 0.5) * self.side
        return centered @ self._axes() + np.array([self.x, self.y])

    def inward(self, points: Points, size: int) -> Points:
        """Return where points of the photo lie in the square shown in `size` pixels."""
        centered = (points - np.array([self.x, self.y])) @ self._axes().T
        return (centered / self.side + 0.5) * size

    def _axes(self) -> Float[np.ndarray, "2 2"]:
        """Return the square's x and y axis in the photo, a row each."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        return np.array([[c, s], [-s, c]])


def around(points: Points, angle: float, margin: float) -> Square:
    """Return the square turned by `angle` whose side is `margin` times the extent of the points."""
    turned = Square(0.0, 0.0, 1.0, angle)
    inside = turned.inward(points, 1)
    low, high = inside.min(0), inside.max(0)
    x, y = turned.outward((low + high)[None] / 2, 1)[0]
    return Square(float(x), float(y), margin * float((high - low).max()), angle)


def shown(
    photo: UInt8[np.ndarray, "height width 3"], square: Square, size: int, *, extend: bool
) -> Float32[np.ndarray, "{size} {size} 3"]:
    """Return a square of a photo in `size` pixels, 0 to 255, by linear interpolation.

    Of a larger square whole blocks of pixels are averaged first, and then four samples a pixel.
    Beyond the photo it is black, or as the photo's edge to `extend` it.
    """
    samples = 2 if square.side > size else 1
    place = (np.arange(size * samples) + 0.5) / samples
    grid = np.stack(np.meshgrid(place, place), -1).reshape(-1, 2)
    block = max(1, int(square.side / size))
    means, corner = _means(photo, square, block)
    x, y = ((square.outward(grid, size) - corner) / block - 0.5).T
    mode = "nearest" if extend else "constant"
    channels = [
        map_coordinates(means[..., c], (y, x), np.float32, order=1, mode=mode) for c in range(3)
    ]
    return np.stack(channels, -1).reshape(size, samples, size, samples, 3).mean((1, 3))


def _means(
    photo: UInt8[np.ndarray, "height width 3"], square: Square, block: int
) -> tuple[Float32[np.ndarray, "rows columns 3"], tuple[int, int]]:
    """Return the means of a photo's blocks that a square touches, and their corner in the photo."""
    reach = square.side / math.sqrt(2) + 2 * block
    ranges = []
    for center, size in ((square.y, photo.shape[0]), (square.x, photo.shape[1])):
        start, stop = (int(np.clip(center + way * reach, 0, size)) for way in (-1, 1))
        start = min(start, size - 1) // block * block
        ranges.append(slice(start, max(stop, start + 1)))
    part = photo[ranges[0], ranges[1]]
    pads = [(0, -length % block) for length in part.shape[:2]]
    whole = np.pad(part, [*pads, (0, 0)], mode="edge")
    rows, columns = (length // block for length in whole.shape[:2])
    blocks = whole.reshape(rows, block, columns, block, 3)
    return blocks.mean((1, 3), dtype=np.float32), (ranges[1].start, ranges[0].start)
