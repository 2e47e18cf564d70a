"""Tumors: where they lie, their level set, and what they do to the tissue."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32
from scipy.special import expit

from common.anatomy.grid import Grid, centered, refine, rotation, smooth_field
from common.anatomy.template import MIDLINE
from papers.lgg_attention_unet.simulation.atlas import Atlas, supratentorial
from papers.lgg_attention_unet.simulation.person import Person
from papers.lgg_attention_unet.simulation.tissues import LESION, TISSUES, Shares

SMALLEST, LARGEST = 1.0, 80.0  # ml
FAINTEST, BRIGHTEST = 0.3, 1.2  # above white matter in FLAIR, as a share of its signal
BOX = 2.2  # half the side of the box around a tumor, in radii
POINTS = 36  # along each side of that box, to measure the volume
ROUGHNESS = ((0.9, 0.6), (0.4, 0.3))  # control point spacing and standard deviation, in radii

Field = Float32[np.ndarray, "slices rows columns"]
Place = Float32[np.ndarray, " slice_row_column"]


@dataclass(frozen=True)
class Tumor:
    """One tumor.

    `center` (slices, rows, columns) in mm of the head, `ml` its volume and `radius` in mm that of
    a sphere as large, `turn` and `axes` (product 1) make that sphere an ellipsoid and
    `shape_seed` gives the noise that warps it; `offset` in mm is what its level needs to have
    that volume. `contrast` is how much brighter than white matter it is in FLAIR (as a share of
    that), `soft` half the width of its edge in mm, `mass` how strongly it pushes (0: not at all),
    `core` and `rim` whether it has a core of fluid and whether something enhances around there.
    """

    center: Place
    ml: float
    radius: float
    turn: np.ndarray
    axes: np.ndarray
    shape_seed: int
    contrast: float
    soft: float
    mass: float
    core: bool
    rim: bool
    offset: float = 0.0


def tumor(
    rng: np.random.Generator, one: Person, heights: np.ndarray, template: Atlas
) -> tuple[Tumor, Person]:
    """Draw a tumor between slices at `heights` mm; return it and the patient it has pushed."""
    ml = float(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST))))
    radius = float(np.cbrt(ml * 1000 * 3 / (4 * np.pi)))
    axes = np.exp(rng.normal(0, 0.22, 3))
    drawn = Tumor(
        center=place(rng, one, heights, radius, template),
        ml=ml,
        radius=radius,
        turn=rotation(rng.uniform(0, np.pi, 3)),
        axes=axes / np.cbrt(axes.prod()),
        shape_seed=int(rng.integers(2**31)),
        contrast=float(np.exp(rng.uniform(np.log(FAINTEST), np.log(BRIGHTEST)))),
        soft=float(rng.uniform(0.5, 1.6)),
        mass=float(rng.uniform(0.0, 0.45)) * min(1.0, radius / 20),
        core=bool(radius > 11 and rng.random() < 0.4),
        rim=bool(radius > 9 and rng.random() < 0.35),
    )
    one = replace(one, pushed=push(drawn, one))
    box = Grid(*(c + centered(POINTS, 2 * BOX * radius / POINTS) for c in drawn.center))
    free, limit = levels(drawn, one, box, template)
    possible = np.sort(free[limit > 0])
    offset = -float(possible[-min(len(possible), round(ml / box.cell_ml()))])
    return replace(drawn, offset=offset), one


def place(
    rng: np.random.Generator, one: Person, heights: np.ndarray, radius: float, template: Atlas
) -> Place:
    """Draw a point in the white matter of a hemisphere, not at its very surface."""
    up, back, left = one.coarse.axes()
    seen = (up > heights[0] + 4) & (up < heights[-1] - 4)
    points = one.points[:, seen]
    white = template.fine(template.white, points) > 0.6
    deep = template.slow(template.cavity, points) < -0.4 * radius
    places = np.argwhere(white & deep & supratentorial(points))
    z, y, x = places[rng.integers(len(places))]
    return np.array([up[seen][z], back[y], left[x]], np.float32)


def push(drawn: Tumor, one: Person) -> Float32[np.ndarray, "3 slices rows columns"]:
    """Return the template points of the tissue after the tumor has pushed it from its center."""
    away = [a - c for a, c in zip(one.coarse.axes(), drawn.center, strict=True)]
    z, y, x = np.meshgrid(*away, indexing="ij")
    share = drawn.mass * np.exp(-(z**2 + y**2 + x**2) / (2 * (1.4 * drawn.radius) ** 2))
    inwards = np.stack([x, y, -z]) * share
    return one.pushed + np.einsum("ij,jabc->iabc", one.to_template, inwards).astype(np.float32)


def level(drawn: Tumor, one: Person, grid: Grid, template: Atlas) -> Field:
    """Return the tumor's level at the points of `grid`, about mm: above 0 is tumor."""
    out = np.full([len(a) for a in grid.axes()], -50, np.float32)
    reach = BOX * drawn.radius
    sides = zip(grid.axes(), drawn.center, strict=True)
    near = [np.flatnonzero(np.abs(axis - c) < reach) for axis, c in sides]
    if all(len(n) for n in near):
        part = Grid(*(axis[n] for axis, n in zip(grid.axes(), near, strict=True)))
        free, limit = levels(drawn, one, part, template)
        out[np.ix_(*near)] = np.minimum(free + drawn.offset, limit)
    return out


def levels(drawn: Tumor, one: Person, grid: Grid, template: Atlas) -> tuple[Field, Field]:
    """Return the level in mm before the offset, and the distance from where no tumor goes.

    An ellipsoid, warped by noise, that spreads along white matter; and the skull, the other
    hemisphere, the ventricles.
    """
    sides = zip(grid.axes(), drawn.center, strict=True)
    local = Grid(*((axis - c) / np.float32(drawn.radius) for axis, c in sides))
    rng = np.random.default_rng(drawn.shape_seed)
    rough = sum(sd * smooth_field(rng, local, mm, 1, (BOX,) * 3)[0] for mm, sd in ROUGHNESS)
    away = np.stack(np.meshgrid(*local.axes(), indexing="ij"))
    away = np.einsum("ij,jabc->iabc", drawn.turn / drawn.axes[:, None], away)
    points, pushed = np.split(refine(np.concatenate([one.points, one.pushed]), one.coarse, grid), 2)
    white = template.fine(template.white, pushed)
    free = 1 - np.sqrt((away**2).sum(0)) + rough + 0.25 * (white - 0.5)
    side = np.sign(drawn.center[2])  # columns run to the left
    limit = np.minimum(
        side * (MIDLINE - points[0]) - 1, -1.5 - template.slow(template.cavity, points)
    )
    limit = np.minimum(limit, template.slow(template.ventricles, pushed))
    return (free * drawn.radius).astype(np.float32), limit.astype(np.float32)


def planted(
    shares: Shares, depth: Field, noise: Float32[np.ndarray, "2 slices rows columns"], drawn: Tumor
) -> Shares:
    """Return `shares` with the tumor of level `depth` in them, made uneven by `noise`."""
    where = depth > -6
    depth, (slow, quick) = depth[where], noise[:, where]
    whole = expit(depth / drawn.soft) * np.clip(0.9 + 0.25 * quick, 0.6, 1)
    middle = depth - (0.5 + 0.4 * slow + 0.15 * quick) * drawn.radius
    core, rim = np.zeros((2, *whole.shape))
    if drawn.core:
        core = expit(middle / 0.8)
    if drawn.rim:
        rim = np.exp(-((middle / 1.8) ** 2)) * np.clip(0.8 + quick, 0, 1) * (1 - core)
    out = shares.copy()
    out[:, where] *= 1 - whole
    for name, share in zip(LESION, (1 - core - rim, core, rim), strict=True):
        out[TISSUES.index(name), where] = whole * share
    return out
