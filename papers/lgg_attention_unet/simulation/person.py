"""One patient's head before any tumor: where each point of it lies in the template."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from common.anatomy.grid import Grid, centered, rotation, smooth_field
from common.anatomy.template import CENTER

# The coarse grid that all slowly varying things are drawn on: SPACING mm between its points,
# its middle BELOW mm under the template's center.
SPACING, SHAPE, BELOW = 3.2, (32, 70, 70), 12.0
REACH = (60.0, 112.0, 112.0)  # mm from the middle that random fields cover
# Control point spacing and standard deviation of the control points of the random deformation, mm.
# The field between them varies by about a third of that.
DEFORMATION = ((40.0, 6.0), (18.0, 2.5))
SIZE = 0.92  # of a head, in the template's, whose intracranial volume of 1.89 l is a large one
NOISE = (16.0, 5.0)  # mm between the control points of the two fields of `Person.noise`

Points = Float32[np.ndarray, "3 slices rows columns"]


@dataclass(frozen=True)
class Person:
    """One patient; rows of the grid run to the back, columns to the patient's left.

    `points` are the template voxels of the coarse grid's points, which give skull and skin;
    `pushed` are those that give the brain's tissue, which a tumor pushes aside. `to_template`
    turns mm of the head (right, front, up) into template voxels. `noise` are two random fields, of
    centimeters and of millimeters. `skull` and `scalp` are their thickness in mm, `sulci` the
    level of the atlas's valleys above which there is fluid, `caps` how far in mm the bright caps
    of the ventricles reach, `spots` the level of the finer noise above which white matter is
    bright in FLAIR.
    """

    coarse: Grid
    points: Points
    pushed: Points
    to_template: Float32[np.ndarray, "3 3"]
    noise: Float32[np.ndarray, "2 slices rows columns"]
    skull: float
    scalp: float
    sulci: float
    caps: float
    spots: float


def person(rng: np.random.Generator) -> Person:
    """Draw a patient: pose, size, proportions, deformation, bone, skin, aging of white matter."""
    up, back, left = (centered(n, SPACING) for n in SHAPE)
    coarse = Grid(up - np.float32(BELOW), back, left)
    angles = np.radians(np.clip(rng.normal(0, (4.0, 2.0, 3.0)), -8, 8))
    shift = rng.normal(0, (2.0, 3.0, 2.0)).astype(np.float32)
    size = SIZE + 0.03 * np.clip(rng.normal(), -2, 2)
    wide, tall = np.clip(rng.normal(0, (0.03, 0.02)), -0.06, 0.06)
    proportions = size * np.exp([wide, -wide - tall, tall])
    to_template = (rotation(angles).T / proportions[:, None]).astype(np.float32)
    moved = sum(sd * smooth_field(rng, coarse, mm, 3, REACH) for mm, sd in DEFORMATION)
    z, y, x = np.meshgrid(*coarse.axes(), indexing="ij")
    points = np.stack([-x, -y, z]) + moved - shift[:, None, None, None]
    points = np.einsum("ij,jabc->iabc", to_template, points)
    points += np.array(CENTER, np.float32)[:, None, None, None]
    return Person(
        coarse=coarse,
        points=points,
        pushed=points,
        to_template=to_template,
        noise=np.concatenate([smooth_field(rng, coarse, mm, 1, REACH) for mm in NOISE]),
        skull=float(rng.uniform(5.0, 8.0)),
        scalp=float(rng.uniform(4.5, 8.0)),
        sulci=float(rng.uniform(6.0, 16.0)),
        caps=float(rng.uniform(-1.0, 4.0)),
        spots=float(rng.uniform(0.65, 1.2)),
    )
