"""Where in the template each point of a person's head comes from."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from scipy import ndimage

from common.anatomy.grid import Grid, rotation, smooth_field
from common.anatomy.template import CENTER, MIDLINE
from papers.camcan_cfg.simulation.aging import Person
from papers.camcan_cfg.simulation.anatomy import FLOW_SPACING, FLOW_START, Atlas

# Control point spacing and standard deviation of the control points of the random deformation, mm.
# The field between them varies by about a third of that. Far from folding: a test holds it so.
DEFORMATION = ((36.0, 6.0), (15.0, 3.0))
REACH = (24.0, 84.0, 110.0)  # mm from the middle that a random field covers, whatever the grid

Points = Float32[np.ndarray, "3 slices rows columns"]


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

    fields = [sd * smooth_field(rng, grid, spacing, 3, REACH) for spacing, sd in DEFORMATION]
    moved = np.sum(fields, axis=0)
    moved[2] *= np.float32(0.6)  # upwards less, or a slice number would say little
    length = float(np.sqrt((moved**2).sum(0)).mean())
    z, x, y = np.meshgrid(*grid.axes(), indexing="ij")
    points = np.stack([x, y, z]) + moved - shift.astype(np.float32)[:, None, None, None]
    points = np.einsum("ij,jabc->iabc", to_template, points)
    points += np.array(CENTER, np.float32)[:, None, None, None]
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
