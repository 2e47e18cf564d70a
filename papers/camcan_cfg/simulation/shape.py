"""Where in the template each point of a person's head comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from scipy import ndimage

from papers.camcan_cfg.simulation.ageing import Person
from papers.camcan_cfg.simulation.anatomy import (
    CENTRE,
    FLOW_SPACING,
    FLOW_START,
    MIDLINE,
    Atlas,
)

# Control point spacing and standard deviation of the control points of the random deformation, mm.
# The field between them varies by about a third of that. Far from folding: a test holds it so.
DEFORMATION = ((36.0, 6.0), (15.0, 3.0))
REACH = (24.0, 84.0, 110.0)  # mm from the middle that a random field covers, whatever the grid
COARSE = 3.2  # mm between the points where the deformation is worked out

Points = Float32[np.ndarray, "3 slices rows columns"]


@dataclass(frozen=True)
class Grid:
    """Points of the head in mm from its middle: slices upwards, rows to the right, columns to
    the front.
    """

    slices: Float32[np.ndarray, " slices"]
    rows: Float32[np.ndarray, " rows"]
    columns: Float32[np.ndarray, " columns"]

    def coarse(self) -> Grid:
        """Return the same box with points about `COARSE` mm apart."""
        return Grid(*(coarse_axis(a) for a in (self.slices, self.rows, self.columns)))

    def cell_ml(self) -> float:
        """Return the volume in ml that one point of the grid stands for."""
        spacings = [float(a[1] - a[0]) if len(a) > 1 else 1.0 for a in self.axes()]
        return float(np.prod(spacings)) / 1000

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return slices, rows and columns."""
        return self.slices, self.rows, self.columns


def coarse_axis(axis: Float32[np.ndarray, " fine"]) -> Float32[np.ndarray, " coarse"]:
    """Return about every `COARSE` mm of `axis`, both ends included."""
    if len(axis) == 1:
        return axis
    count = max(2, round(float(axis[-1] - axis[0]) / COARSE) + 1)
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
    rng: np.random.Generator, grid: Grid, spacing: float, components: int
) -> Float32[np.ndarray, "components slices rows columns"]:
    """Return random smooth fields: cubic B-splines over control points `spacing` mm apart.

    The coefficients are normal, cut at two standard deviations. The same draw gives the same
    field on any grid; it is zero far outside `REACH`.
    """
    counts = [int(np.ceil(reach / spacing)) + 1 for reach in REACH]
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


def template_points(
    grid: Grid, person: Person, rng: np.random.Generator, template: Atlas
) -> tuple[Points, float]:
    """Return the template voxel of every grid point, and the deformation's mean length in mm.

    Pose, head size and proportions, a random deformation of the head and its gyri, and the
    person's ventricles, in this order.
    """
    angles = np.radians(rng.normal(0, (2.5, 1.5, 1.5)))
    shift = rng.normal(0, (1.0, 1.5, 1.5))
    wide, tall = np.clip(rng.normal(0, (0.025, 0.02)), -0.05, 0.05)
    proportions = np.exp([wide, -wide - tall, tall])
    size = (person.intracranial_ml / template.intracranial_ml) ** (1 / 3)
    to_template = (rotation(angles).T / (size * proportions)[:, None]).astype(np.float32)

    fields = [sd * smooth_field(rng, grid, spacing, 3) for spacing, sd in DEFORMATION]
    moved = np.sum(fields, axis=0)
    moved[2] *= np.float32(0.6)  # upwards less, or a slice number would say little
    length = float(np.sqrt((moved**2).sum(0)).mean())
    z, x, y = np.meshgrid(*grid.axes(), indexing="ij")
    points = np.stack([x, y, z]) + moved - shift.astype(np.float32)[:, None, None, None]
    points = np.einsum("ij,jabc->iabc", to_template, points)
    points += np.array(CENTRE, np.float32)[:, None, None, None]
    return points + ventricular_displacement(points, person, rng, template), length


def ventricular_displacement(
    points: Points, person: Person, rng: np.random.Generator, template: Atlas
) -> Points:
    """Return the move in mm that gives the person's ventricles; left and right differ a little."""
    scale = person.intracranial_ml / template.intracranial_ml
    levels = np.arange(len(template.flow_ml))
    level = np.interp(person.ventricle_ml / scale, template.flow_ml, levels)
    low = min(int(level), len(levels) - 2)
    rest = np.float32(level - low)
    flow = template.flow[low] * (1 - rest) + template.flow[low + 1] * rest
    here = (points - FLOW_START[:, None, None, None].astype(np.float32)) / np.float32(FLOW_SPACING)
    move = np.stack([ndimage.map_coordinates(f, here, order=1) for f in flow])
    tilt = np.clip(rng.normal(0, 0.08), -0.2, 0.2)
    return move * (1 + np.float32(tilt) * np.tanh((points[:1] - np.float32(MIDLINE)) / 10))
