"""What a head is made of: the shares of every tissue at every point."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from scipy.special import expit

from common.anatomy.grid import Grid, refine
from common.anatomy.template import MIDLINE
from papers.lgg_attention_unet.simulation.atlas import EYE_RADIUS, EYES, Atlas
from papers.lgg_attention_unet.simulation.person import Person

BRAIN = ("white", "gray", "fluid", "spot", "vessel")
AROUND = ("dura", "bone", "marrow", "muscle", "fat", "skin", "eye", "air")
LESION = ("tumor", "core", "rim")
TISSUES = BRAIN + AROUND + LESION

Shares = Float32[np.ndarray, "tissue slices rows columns"]
Values = Float32[np.ndarray, " points"]
Points = Float32[np.ndarray, "3 points"]


def tissues(one: Person, grid: Grid, template: Atlas) -> Shares:
    """Return the shares of every one of TISSUES at the points of `grid`; they sum to 1.

    Those of a tumor are 0: see `tumor.planted`.
    """
    rough = Grid(grid.slices, one.coarse.rows, one.coarse.columns)
    fields = refine(np.concatenate([one.points, one.pushed, one.noise]), one.coarse, rough)
    distances = [
        template.slow(template.head, fields[:3]),
        template.slow(template.cavity, fields[:3]),
        template.slow(template.ventricles, fields[3:6]),
    ]
    fields = refine(np.concatenate([fields, distances]), rough, grid)
    near = fields[8] < one.skull + one.scalp + 1
    points, pushed, (slow, quick, head, cavity, ventricles) = np.split(fields[:, near], [3, 6])
    deep = cavity < 1
    inside = {name: np.zeros_like(head) for name in BRAIN}
    parts = (pushed[:, deep], slow[deep], quick[deep], ventricles[deep])
    for name, share in brain(one, *parts, template).items():
        inside[name][deep] = share
    layers = wrapped(inside, one, points, quick, head, cavity)
    shares = np.zeros((len(TISSUES), *near.shape), np.float32)
    shares[TISSUES.index("air")] = 1
    shares[:, near] = [layers.get(name, np.zeros_like(head)) for name in TISSUES]
    return shares


def brain(
    one: Person, points: Points, slow: Values, quick: Values, ventricles: Values, template: Atlas
) -> dict[str, Values]:
    """Return shares of BRAIN at `points`, `ventricles` mm from the lateral ventricles.

    Noise that is `slow` makes the caps of the ventricles uneven, noise that is `quick` makes
    white matter spots, and vessels of what fluid it exceeds a level in.
    """
    tissue = 1 - expit((template.fine(template.sulci, points) - one.sulci) / 2)
    white = template.fine(template.white, points) * tissue
    gray = template.fine(template.gray, points) * tissue
    fluid = 1 - white - gray
    cap = expit((one.caps * (1 + 2 * slow) - ventricles) / 0.7)
    spot = white * np.maximum(cap, expit((quick - one.spots) / 0.05))
    vessel = fluid * expit((quick - 0.4) / 0.06)
    return {
        "white": white - spot,
        "gray": gray,
        "fluid": fluid - vessel,
        "spot": spot,
        "vessel": vessel,
    }


def wrapped(
    inside: dict[str, Values],
    one: Person,
    points: Points,
    quick: Values,
    head: Values,
    cavity: Values,
) -> dict[str, Values]:
    """Return the brain `inside` with all that is around it, each layer laid over the last.

    `head` and `cavity` are distances as in `Atlas`. From inside to outside: the sagittal sinus,
    dura, bone with marrow in its middle, muscle and fat of the face and neck, scalp, the nasal
    air, eyes in their fat, and the air.
    """
    x, y, z = points
    layers = dict(inside)

    def lay(name: str, share: Values) -> None:
        for other in layers:
            layers[other] = layers[other] * (1 - share)
        layers[name] = layers.get(name, 0) + share

    bone, skin = one.skull, one.skull + one.scalp
    uneven = np.clip(0.5 + 1.2 * quick, 0, 1)
    sinus = edge(np.hypot(x - MIDLINE, cavity + 2) - 3)
    lay("vessel", sinus * ((y < 150) & (z > 62)))
    lay("dura", 0.8 * edge(-1 - cavity))
    lay("bone", edge(0.3 - cavity))
    marrow = edge(np.abs(cavity - bone / 2) - 0.26 * bone * (1 + 0.8 * quick))
    lay("marrow", marrow * np.clip(1 + quick, 0, 1))
    lay("muscle", edge(bone - cavity))
    lay("fat", edge(bone - cavity) * uneven)
    lay("fat", edge(bone - head) * 0.9)
    lay("skin", edge(skin - 1.8 - head))
    nose = np.maximum(np.abs(x - MIDLINE) - 13, np.maximum(z - 46, np.abs(y - 180) - 26))
    lay("air", edge(nose) * edge(2 - cavity) * uneven)
    for eye in EYES:
        away = np.sqrt(((points - np.array(eye, np.float32)[:, None]) ** 2).sum(0))
        lay("fat", edge(away - 17) * edge(2.5 - cavity) * edge(head - bone))
        lay("eye", edge(away - EYE_RADIUS))
    lay("air", edge(skin - head))
    return layers


def edge(distance: np.ndarray) -> np.ndarray:
    """Return 1 inside (`distance` in mm below 0) and 0 outside, with an edge of a millimeter."""
    return np.clip(np.float32(0.5) - distance, 0, 1)
