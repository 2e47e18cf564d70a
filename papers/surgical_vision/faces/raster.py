"""From triangles to samples of an image: coverage, interpolation, and what lies in front.

The image is sampled at the centers of its pixels; x runs right, y down, depth away from the eye.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int

EDGE = 1e-5  # of a triangle: samples on a shared edge belong to both

Points = Float32[np.ndarray, "points 3"]
Triangles = Int[np.ndarray, "triangles 3"]


@dataclass(frozen=True)
class Fragments:
    """Samples of an image that triangles cover, several a pixel where triangles overlap.

    `pixel` counts along rows; `corners` are the indices of the three points of the triangle and
    `weights` what each contributes, with the sum 1.
    """

    pixel: Int[np.ndarray, " fragments"]
    corners: Int[np.ndarray, "fragments 3"]
    weights: Float32[np.ndarray, "fragments 3"]
    depth: Float32[np.ndarray, " fragments"]

    def __len__(self) -> int:
        return len(self.pixel)

    def blend(
        self, values: Float32[np.ndarray, "points ..."]
    ) -> Float32[np.ndarray, "fragments ..."]:
        """Return values given at points, interpolated at the fragments."""
        shape = (-1,) + (1,) * (values.ndim - 1)
        return sum(  # type: ignore[return-value]
            values[self.corners[:, corner]] * self.weights[:, corner].reshape(shape)
            for corner in range(3)
        )

    def where(self, keep: Bool[np.ndarray, " fragments"]) -> Fragments:
        """Return the fragments that are kept."""
        return Fragments(self.pixel[keep], self.corners[keep], self.weights[keep], self.depth[keep])

    def nearest(self) -> Bool[np.ndarray, " fragments"]:
        """Return which fragments are in front of all others of their pixel, one a pixel."""
        order = np.argsort(-self.depth, kind="stable")
        front = np.zeros(int(self.pixel.max(initial=0)) + 1, np.int64)
        front[self.pixel[order]] = order  # the last one assigned stays: the nearest
        keep = np.zeros(len(self), bool)
        keep[front[self.pixel]] = True
        return keep


def fragments(
    points: Points, triangles: Triangles, size: int, *, both_sides: bool = False
) -> Fragments:
    """Return the samples of a square image of `size` pixels that triangles cover.

    Only triangles that face the eye (their corners run counterclockwise in the image) count,
    unless `both_sides`.
    """
    first, second, third = (points[triangles[:, corner]] for corner in range(3))
    area = _cross(second - first, third - first)
    facing = np.abs(area) > 1e-9 if both_sides else area < -1e-9
    triangles, area = triangles[facing], area[facing]
    first, second, third = first[facing], second[facing], third[facing]
    low = np.minimum(np.minimum(first, second), third)[:, :2]
    high = np.maximum(np.maximum(first, second), third)[:, :2]
    start = np.clip(np.ceil(low - 0.5), 0, size).astype(np.int64)  # samples lie at .5
    stop = np.clip(np.floor(high - 0.5) + 1, 0, size).astype(np.int64)
    width, height = np.maximum(stop - start, 0).T
    count = width * height
    owner = np.repeat(np.arange(len(triangles)), count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    column = start[owner, 0] + place % np.maximum(width[owner], 1)
    row = start[owner, 1] + place // np.maximum(width[owner], 1)
    sample = np.stack([column, row], 1).astype(np.float32) + np.float32(0.5)
    a, b, c = (corner[owner, :2] - sample for corner in (first, second, third))
    whole = area[owner]
    weights = np.stack([_cross(b, c) / whole, _cross(c, a) / whole], 1)
    weights = np.concatenate([weights, 1 - weights.sum(1, keepdims=True)], 1)
    inside = (weights >= -EDGE).all(1)
    owner, weights = owner[inside], weights[inside]
    depth = sum(corner[owner, 2] * weights[:, i] for i, corner in enumerate((first, second, third)))
    return Fragments(
        pixel=(row * size + column)[inside],
        corners=triangles[owner],
        weights=weights,
        depth=depth,  # type: ignore[arg-type]
    )


def _cross(
    left: Float32[np.ndarray, "n dims"], right: Float32[np.ndarray, "n dims"]
) -> Float32[np.ndarray, " n"]:
    return left[:, 0] * right[:, 1] - left[:, 1] * right[:, 0]
