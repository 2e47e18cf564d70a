"""Tumours: where they lie, their level set, and what they do to the tissue."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32
from scipy.special import expit

from common.anatomy.grid import Grid, centred, refine, rotation, smooth_field
from common.anatomy.template import MIDLINE
from papers.lgg_attention_unet.simulation.atlas import Atlas, supratentorial
from papers.lgg_attention_unet.simulation.person import TISSUES, Field, Person, Shares

SMALLEST, LARGEST = 1.0, 80.0  # ml
BOX = 2.2  # half the side of the box around a tumour, in radii of a sphere of its volume
POINTS = 36  # along each side of that box, to measure the volume


@dataclass(frozen=True)
class Tumour:
    """One tumour.

    `centre` (slices, rows, columns) in mm of the head, `radius` in mm of a sphere of its volume,
    `ml` that volume, `contrast` by how much it is brighter than white matter in FLAIR (share of
    white matter's signal), `soft` the width in mm of its edge, `core` and `rim` whether it has a
    fluid core and an enhancing rim around it, `mass` how strongly it pushes (0: not at all).
    `offset` is added to the level, in mm, to give it its volume.
    """

    centre: np.ndarray
    radius: float
    ml: float
    contrast: float
    soft: float
    core: bool
    rim: bool
    mass: float
    turn: np.ndarray
    axes: np.ndarray
    shape_seed: int
    offset: float = 0.0


def tumour(
    rng: np.random.Generator, one: Person, heights: np.ndarray, template: Atlas
) -> tuple[Tumour, Person]:
    """Draw a tumour between slices at `heights` mm; return it, and the patient it has pushed."""
    ml = float(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST))))
    radius = float(np.cbrt(ml * 1000 * 3 / (4 * np.pi)))
    inside = template.fine(template.white, one.points) * supratentorial(one.points)
    z = one.coarse.slices
    inside *= ((z > heights[0] + 4) & (z < heights[-1] - 4))[:, None, None]
    inside *= template.slow(template.cavity, one.points) < -0.4 * radius
    places = np.argwhere(inside > 0.6)
    place = places[rng.integers(len(places))]
    axes = np.exp(rng.normal(0, 0.22, 3))
    drawn = Tumour(
        centre=np.array([a[i] for a, i in zip(one.coarse.axes(), place, strict=True)]),
        radius=radius,
        ml=ml,
        contrast=float(np.exp(rng.uniform(np.log(0.25), np.log(1.1)))),
        soft=float(rng.uniform(0.5, 1.6)),
        core=bool(radius > 11 and rng.random() < 0.4),
        rim=bool(radius > 9 and rng.random() < 0.35),
        mass=float(rng.uniform(0.0, 0.45)) * min(1.0, radius / 20),
        turn=rotation(rng.uniform(0, np.pi, 3)),
        axes=axes / np.cbrt(axes.prod()),
        shape_seed=int(rng.integers(2**31)),
    )
    pushed = replace(one, tissue=push(one, drawn))
    box = Grid(*(c + centred(POINTS, 2 * BOX * radius / POINTS) for c in drawn.centre))
    level = np.sort(raw_level(drawn, pushed, box.axes(), template), axis=None)
    cells = ml / box.cell_ml()
    return replace(drawn, offset=-float(level[-round(cells)])), pushed


def push(one: Person, drawn: Tumour) -> Float32[np.ndarray, "3 slices rows columns"]:
    """Return the template points after the tumour has pushed the tissue away from its centre."""
    z, back, left = np.meshgrid(
        *(a - c for a, c in zip(one.coarse.axes(), drawn.centre, strict=True)), indexing="ij"
    )
    squares = (z**2 + back**2 + left**2) / (1.4 * drawn.radius) ** 2
    share = drawn.mass * np.exp(-squares / 2)
    inwards = np.stack([left, back, -z]) * share
    moved = one.points + np.einsum("ij,jabc->iabc", one.to_template, inwards)
    return moved.astype(np.float32)


def level(drawn: Tumour, one: Person, grid: Grid, template: Atlas) -> Field:
    """Return the tumour's level at the points of `grid`, about mm: above 0 is tumour."""
    out = np.full(tuple(len(a) for a in grid.axes()), -50, np.float32)
    reach = BOX * drawn.radius
    near = [
        np.flatnonzero(np.abs(a - c) < reach)
        for a, c in zip(grid.axes(), drawn.centre, strict=True)
    ]
    if all(len(n) for n in near):
        part = tuple(a[n] for a, n in zip(grid.axes(), near, strict=True))
        out[np.ix_(*near)] = raw_level(drawn, one, part, template) + drawn.offset
    return out


def raw_level(drawn: Tumour, one: Person, axes: tuple[np.ndarray, ...], template: Atlas) -> Field:
    """Return the level before the offset: an ellipsoid, warped by noise, spreading along white
    matter, kept inside one hemisphere.
    """
    local = Grid(
        *((a - c) / np.float32(drawn.radius) for a, c in zip(axes, drawn.centre, strict=True))
    )
    rng = np.random.default_rng(drawn.shape_seed)
    reach = (BOX, BOX, BOX)
    noise = 0.75 * smooth_field(rng, local, 0.9, 1, reach)[0]
    noise += 0.35 * smooth_field(rng, local, 0.4, 1, reach)[0]
    away = np.stack(np.meshgrid(*local.axes(), indexing="ij"))
    away = np.einsum("ij,jabc->iabc", drawn.turn / drawn.axes[:, None], away)
    grid = Grid(*axes)
    points = refine(np.concatenate([one.points, one.tissue]), one.coarse, grid)
    white = template.fine(template.white, points[3:])
    shape = 1 - np.sqrt((away**2).sum(0)) + noise + 0.25 * (white - 0.5)
    mm = shape * drawn.radius
    side = np.sign(drawn.centre[2])  # columns run to the left
    mm = np.minimum(mm, side * (MIDLINE - points[3]) - 1)
    mm = np.minimum(mm, -template.slow(template.cavity, points[:3]) - 1.5)
    return np.minimum(mm, template.slow(template.ventricles, points[3:])).astype(np.float32)


def planted(shares: Shares, levels: Field, noise: Field, drawn: Tumour) -> Shares:
    """Return `shares` with the tumour in them; `noise` makes it uneven inside."""
    where = levels > -6
    depth, rough = levels[where], noise[where]
    whole = expit(depth / drawn.soft) * np.clip(0.9 + 0.25 * rough, 0.6, 1)
    middle = depth - (0.45 + 0.5 * rough) * drawn.radius
    core = expit(middle / 0.8) if drawn.core else np.zeros_like(depth)
    rim = np.zeros_like(depth)
    if drawn.rim:
        rim = np.exp(-((middle / 1.8) ** 2)) * np.clip(0.8 + rough, 0, 1) * (1 - core)
    out = shares.copy()
    out[:, where] *= 1 - whole
    parts = {"tumour": whole * (1 - core - rim), "core": whole * core, "rim": whole * rim}
    for name, share in parts.items():
        out[TISSUES.index(name), where] = share
    return out
