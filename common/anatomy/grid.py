"""Points of a head in mm, random fields on them, and from few points to many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

COARSE = 3.2  # mm between the points where slowly varying fields are worked out


@dataclass(frozen=True)
class Grid:
    """Points of the head in mm from its middle, slices upwards; each study says where its rows
    and columns run.
    """

    slices: Float32[np.ndarray, " slices"]
    rows: Float32[np.ndarray, " rows"]
    columns: Float32[np.ndarray, " columns"]

    def coarse(self) -> Grid:
        """Return the same box with points about `COARSE` mm apart."""
        return Grid(*(coarse_axis(a) for a in self.axes()))

    def cell_ml(self) -> float:
        """Return the volume in ml that one point of the grid stands for."""
        spacings = [float(a[1] - a[0]) if len(a) > 1 else 1.0 for a in self.axes()]
        return float(np.prod(spacings)) / 1000

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return slices, rows and columns."""
        return self.slices, self.rows, self.columns


def centered(count: int, spacing: float) -> Float32[np.ndarray, " n"]:
    """Return `count` positions `spacing` mm apart about zero."""
    return ((np.arange(count) - (count - 1) / 2) * spacing).astype(np.float32)


def coarse_axis(axis: Float32[np.ndarray, " fine"]) -> Float32[np.ndarray, " coarse"]:
    """Return about every `COARSE` mm of `axis`, both ends included, or `axis` where it has fewer
    points already.
    """
    if len(axis) == 1:
        return axis
    count = max(2, round(abs(float(axis[-1] - axis[0])) / COARSE) + 1)
    if count >= len(axis):
        return axis
    return np.linspace(axis[0], axis[-1], count, dtype=np.float32)


def refine(values: np.ndarray, coarse: Grid, fine: Grid) -> np.ndarray:
    """Return `values` (..., slices, rows, columns) linearly interpolated to the finer grid."""
    for axis, (few, many) in enumerate(zip(coarse.axes(), fine.axes(), strict=True), start=-3):
        position = np.interp(many, few, np.arange(len(few)))
        low = np.minimum(position.astype(int), max(0, len(few) - 2))
        rest = (position - low).astype(np.float32).reshape(-1, *[1] * (-1 - axis))
        below = np.take(values, low, axis)
        above = np.take(values, np.minimum(low + 1, len(few) - 1), axis)
        values = below + (above - below) * rest
    return values


def smooth_field(
    rng: np.random.Generator,
    grid: Grid,
    spacing: float,
    components: int,
    reach: tuple[float, float, float],
) -> Float32[np.ndarray, "components slices rows columns"]:
    """Return random smooth fields: cubic B-splines over control points `spacing` mm apart.

    The coefficients are normal, cut at two standard deviations. The same draw gives the same
    field on any grid; it covers `reach` mm from the middle and is zero far outside.
    """
    counts = [int(np.ceil(length / spacing)) + 1 for length in reach]
    shape = (components, *(2 * count + 1 for count in counts))
    field = np.clip(rng.standard_normal(shape, np.float32), -2, 2)
    for axis, count in zip(grid.axes(), counts, strict=True):
        knots = np.arange(-count, count + 1) * spacing
        distance = np.abs(axis[:, None] - knots[None, :]) / spacing
        near = 2 / 3 - distance**2 + distance**3 / 2
        far = np.maximum(0, 2 - distance) ** 3 / 6
        weights = np.where(distance < 1, near, far).astype(np.float32)
        field = np.einsum("pk,nkab->nabp", weights, field)  # the next axis comes first
    return field


def rotation(angles: np.ndarray) -> np.ndarray:
    """Return the rotation by `angles` (pitch, roll, yaw in radians) about the three axes."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[[i, j], [i, j]] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix
