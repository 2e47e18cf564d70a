"""One patient's head: where each point of it lies in the template, and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from scipy.special import expit

from common.anatomy.grid import Grid, centred, refine, rotation, smooth_field
from common.anatomy.template import CENTRE, MIDLINE
from papers.lgg_attention_unet.simulation.atlas import EYE_RADIUS, EYES, Atlas

EXTENT = (104.0, 112.0, 112.0)  # mm of the coarse grid: its height, and half its rows and columns
REACH = (60.0, 112.0, 112.0)  # mm from the middle that random fields cover
SPACING = 3.2  # mm between the points of the coarse grid
# Control point spacing and standard deviation of the control points of the random deformation, mm.
DEFORMATION = ((40.0, 6.0), (18.0, 2.5))
TISSUES = (
    "white",
    "grey",
    "fluid",
    "bone",
    "marrow",
    "fat",
    "skin",
    "muscle",
    "eye",
    "air",
    "vessel",
    "dura",
    "spot",
    "tumour",
    "core",
    "rim",
)

Points = Float32[np.ndarray, "3 slices rows columns"]
Field = Float32[np.ndarray, "slices rows columns"]
Shares = Float32[np.ndarray, "tissue slices rows columns"]


@dataclass(frozen=True)
class Person:
    """One patient's healthy anatomy.

    `points` are template voxels on the coarse grid, and `tissue` those after the tumour has
    pushed the tissue aside. `noise` are two random fields, of centimetres and of millimetres.
    Lengths in mm: `skull` and `scalp` thick; `caps`, how far the bright caps of the ventricles
    reach; `spots`, the level of the fine noise above which white matter has a bright spot.
    """

    coarse: Grid
    points: Points
    tissue: Points
    noise: Float32[np.ndarray, "2 slices rows columns"]
    skull: float
    scalp: float
    sulci: float
    caps: float
    spots: float
    to_template: Float32[np.ndarray, "3 3"]


def person(rng: np.random.Generator) -> Person:
    """Draw a patient: pose, size, proportions, deformation, bone, skin, ageing of white matter."""
    coarse = Grid(
        slices=centred(round(EXTENT[0] / SPACING), SPACING) - np.float32(12),
        rows=centred(round(2 * EXTENT[1] / SPACING), SPACING),
        columns=centred(round(2 * EXTENT[2] / SPACING), SPACING),
    )
    angles = np.radians(np.clip(rng.normal(0, (4.0, 2.0, 3.0)), -8, 8))
    shift = rng.normal(0, (2.0, 3.0, 2.0)).astype(np.float32)
    size = 0.92 + 0.03 * np.clip(rng.normal(), -2, 2)
    wide, tall = np.clip(rng.normal(0, (0.03, 0.02)), -0.06, 0.06)
    proportions = size * np.exp([wide, -wide - tall, tall])
    to_template = (rotation(angles).T / proportions[:, None]).astype(np.float32)
    z, back, left = np.meshgrid(*coarse.axes(), indexing="ij")
    moved = np.sum(
        [sd * smooth_field(rng, coarse, spacing, 3, REACH) for spacing, sd in DEFORMATION], axis=0
    )
    points = np.stack([-left, -back, z]) + moved - shift[:, None, None, None]
    points = np.einsum("ij,jabc->iabc", to_template, points)
    points += np.array(CENTRE, np.float32)[:, None, None, None]
    noise = [smooth_field(rng, coarse, spacing, 1, REACH)[0] for spacing in (16.0, 5.0)]
    return Person(
        coarse=coarse,
        points=points,
        tissue=points,
        noise=np.stack(noise),
        skull=float(rng.uniform(5.0, 8.0)),
        scalp=float(rng.uniform(4.5, 8.0)),
        sulci=float(rng.uniform(6.0, 16.0)),
        caps=float(rng.uniform(-1.0, 4.0)),
        spots=float(rng.uniform(0.65, 1.2)),
        to_template=to_template,
    )


def tissues(one: Person, grid: Grid, template: Atlas) -> Shares:
    """Return the shares of every one of TISSUES, without the tumour's, at the points of `grid`."""
    fields = refine(np.concatenate([one.points, one.tissue, one.noise]), one.coarse, grid)
    head = template.slow(template.head, fields[:3])
    near = head < one.skull + one.scalp + 3
    points, tissue, (slow, quick) = fields[:3, near], fields[3:6, near], fields[6:, near]
    shares = np.zeros((len(TISSUES), *head.shape), np.float32)
    shares[TISSUES.index("air")] = 1
    shares[:, near] = stack(brain(one, tissue, quick, slow, template), one, points, quick, template)
    return shares


def brain(
    one: Person, points: np.ndarray, quick: np.ndarray, slow: np.ndarray, template: Atlas
) -> dict[str, np.ndarray]:
    """Return shares of what lies inside the skull at `points` (3, n) in template voxels."""
    white = template.fine(template.white, points)
    grey = template.fine(template.grey, points)
    open_sulci = expit((template.fine(template.sulci, points) - one.sulci) / 2)
    white, grey = white * (1 - open_sulci), grey * (1 - open_sulci)
    fluid = 1 - white - grey
    distance = template.slow(template.ventricles, points)
    caps = expit((one.caps * (1 + 2 * slow) - distance) / 0.7)
    spot = white * np.maximum(caps, expit((quick - one.spots) / 0.05))
    vessel = fluid * expit((quick - 0.35) / 0.06)
    return {
        "white": white - spot,
        "grey": grey,
        "fluid": fluid - vessel,
        "spot": spot,
        "vessel": vessel,
    }


def stack(
    inside: dict[str, np.ndarray], one: Person, points: np.ndarray, quick: np.ndarray, t: Atlas
) -> Float32[np.ndarray, "tissue points"]:
    """Return shares of all TISSUES at `points` (3, n): the brain `inside` and all around it."""
    cavity, head = t.slow(t.cavity, points), t.slow(t.head, points)
    x, y, z = points
    layers = dict(inside)

    def cover(name: str, share: np.ndarray) -> None:
        """Put a tissue over what has been there."""
        for other in layers:
            layers[other] = layers[other] * (1 - share)
        layers[name] = layers.get(name, 0) + share

    sinus = edge(np.hypot(x - MIDLINE, cavity + 2) - 3.0) * (y < 150)
    cover("vessel", sinus * (cavity < 3) * (z > 62))
    cover("dura", edge(-cavity - 1.0) * 0.8)
    cover("bone", edge(0.3 - cavity))
    middle, thick = cavity - one.skull / 2, 0.26 * one.skull * (1 + 0.8 * quick)
    cover("marrow", edge(np.abs(middle) - thick) * np.clip(1.0 + quick, 0, 1))
    deep = edge(one.skull - cavity)
    cover("muscle", deep)
    cover("fat", deep * np.clip(0.5 + 1.2 * quick, 0, 1) * (head < one.skull))
    cover("fat", edge(one.skull - head) * 0.9)
    cover("skin", edge(one.skull + one.scalp - 1.8 - head))
    nose = np.maximum(np.abs(x - MIDLINE) - 13, np.maximum(z - 46, np.abs(y - 180) - 26))
    cover("air", edge(nose) * edge(2 - cavity) * np.clip(0.7 + quick, 0, 1))
    for eye in EYES:
        away = np.sqrt(((points - np.array(eye, np.float32)[:, None]) ** 2).sum(0))
        cover("fat", edge(away - 20) * edge(2.5 - cavity) * edge(head - one.skull))
        cover("eye", edge(away - EYE_RADIUS))
    cover("air", edge(one.skull + one.scalp - head))
    nothing = np.zeros_like(head)
    return np.stack([layers.get(name, nothing) for name in TISSUES]).astype(np.float32)


def edge(distance: np.ndarray) -> np.ndarray:
    """Return 1 inside (`distance` in mm below 0), 0 outside, with an edge of about a millimetre."""
    return np.clip(np.float32(0.5) - distance, 0, 1)
