"""One patient's build and stance: how the one anatomy is moved, bent and scaled for a film.

All fields are drawn on lattices in mm, so a film of more pixels shows the same patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from papers.rare_disease_controlnet.simulation.anatomy import FIELD, Anatomy, Pixels, centers
from papers.rare_disease_controlnet.simulation.ct import WATER
from papers.rare_disease_controlnet.simulation.projection import NAMES

BEND, VESSELS, TISSUE = 70.0, 26.0, 9.0  # mm between the points of random fields
FAT = 0.93 * WATER  # 1/mm
VISCERA = ("lung_left", "lung_right", "heart", "belly")  # what breathing moves
BONES = ("spine", "sternum", "ribs_back", "ribs_front", "clavicles", "shoulders")

Lattice = Float64[np.ndarray, "_ _ _"]  # fields, nodes down, nodes to the left


@dataclass(frozen=True)
class Breast:
    """A breast on the film: its middle and radius in mm, and its thickness in mm."""

    down: float
    left: float
    radius: float
    thickness: float


@dataclass(frozen=True)
class Habitus:
    """What differs between patients; the CT's own patient is 1 in all factors and 0 in the rest."""

    scale: tuple[float, float]  # height and width
    turn: float  # radians, in the film's plane
    shift: tuple[float, float]  # mm
    tilt: tuple[float, float]  # radians out of the plane: about a level and an upright axis
    breath: float  # mm that the diaphragm lies lower
    heart: float  # size of the heart
    lung: float  # densities
    bone: float
    soft: float
    clavicles: float  # mm that they lie lower at the shoulders
    shoulders: float  # width over the scapulae
    breasts: tuple[Breast, ...]
    bend: Lattice  # mm, down and left, of everything
    vessels: Lattice  # mm, down and left, of what is in the lungs
    tissue: Lattice  # share by which the lungs' density varies


@dataclass(frozen=True)
class Body:
    """A patient on a film: line integrals by group, and places in the anatomy under each pixel."""

    maps: Mapping[str, Pixels]
    places: Mapping[str, tuple[Pixels, Pixels]]  # of groups of the anatomy: mm, down and left

    def total(self) -> Pixels:
        """Return the line integrals of all that lies behind one another."""
        return np.stack(list(self.maps.values())).sum(0)


def draw(rng: np.random.Generator) -> Habitus:
    """Draw a patient."""
    size = rng.normal(1, 0.04)
    breasts: tuple[Breast, ...] = ()
    down, aside, radius, thickness = rng.uniform((42, 66, 52, 12), (78, 84, 72, 42))
    if rng.random() < 0.45:
        breasts = tuple(
            Breast(
                down=float(down + rng.normal(0, 4)),
                left=float(side * aside + rng.normal(0, 3)),
                radius=float(radius),
                thickness=float(thickness * rng.uniform(0.85, 1.15)),
            )
            for side in (-1, 1)
        )
    return Habitus(
        scale=(_within(rng, size, 0.03, 0.9, 1.1), _within(rng, size, 0.03, 0.9, 1.09)),
        turn=float(rng.normal(0, 0.018)),
        shift=(float(rng.uniform(-8, 8)), float(rng.uniform(-8, 8))),
        tilt=(float(rng.normal(0, 0.05)), float(rng.normal(0, 0.05))),
        breath=float(rng.uniform(-14, 12)),
        heart=_within(rng, 1.08, 0.08, 0.97, 1.28),  # a smaller one leaves a gap
        lung=float(rng.uniform(1.3, 2.0)),  # the CT's is all breathed in
        bone=float(rng.uniform(0.85, 1.3)),
        soft=float(rng.uniform(0.82, 1.35)),
        clavicles=float(rng.uniform(-6, 14)),
        shoulders=float(rng.uniform(1.0, 1.1)),
        breasts=breasts,
        bend=_lattice(rng, 2, BEND) * 3.5,
        vessels=_lattice(rng, 2, VESSELS) * 1.5,
        tissue=_lattice(rng, 1, TISSUE) * 0.07,
    )


def usual() -> Habitus:
    """Return the CT's own patient, standing straight."""
    return Habitus(
        scale=(1.0, 1.0),
        turn=0.0,
        shift=(0.0, 0.0),
        tilt=(0.0, 0.0),
        breath=0.0,
        heart=1.0,
        lung=1.0,
        bone=1.0,
        soft=1.0,
        clavicles=0.0,
        shoulders=1.0,
        breasts=(),
        bend=np.zeros((2, _nodes(BEND), _nodes(BEND))),
        vessels=np.zeros((2, _nodes(VESSELS), _nodes(VESSELS))),
        tissue=np.zeros((1, _nodes(TISSUE), _nodes(TISSUE))),
    )


def place(anatomy: Anatomy, habitus: Habitus, size: int) -> Body:
    """Return a patient on a film of `size` pixels."""
    axis = centers(size)
    bend, vessels, tissue = (
        field(lattice, axis, spacing)
        for lattice, spacing in (
            (habitus.bend, BEND),
            (habitus.vessels, VESSELS),
            (habitus.tissue, TISSUE),
        )
    )
    down, left = axis[:, None] - habitus.shift[0], axis[None] - habitus.shift[1]
    cos, sin = np.cos(habitus.turn), np.sin(habitus.turn)
    frame = (
        ((down * cos + left * sin) / habitus.scale[0] + bend[0]).astype(np.float32),
        ((left * cos - down * sin) / habitus.scale[1] + bend[1]).astype(np.float32),
    )
    breathed = (frame[0] - np.float32(habitus.breath) * _lower(anatomy, frame[0]), frame[1])
    maps, places = {}, {}
    for name in NAMES:
        y, x = breathed if name in VISCERA else frame
        y = y + np.float32(anatomy.depths[name] * habitus.tilt[0])
        x = x + np.float32(anatomy.depths[name] * habitus.tilt[1])
        if name.startswith("lung"):
            y, x = y + vessels[0], x + vessels[1]
        if name == "heart":
            y, x = y / np.float32(habitus.heart), x / np.float32(habitus.heart)
        if name == "clavicles":
            y = y - np.float32(habitus.clavicles) * np.minimum(np.abs(x) / 140, 1)
        if name == "shoulders":
            x = x / np.float32(habitus.shoulders)
        places[name] = (y, x)
        maps[name] = anatomy.sample(name, y, x) * np.float32(factor(name, habitus))
    for name in ("lung_left", "lung_right"):
        maps[name] *= np.maximum(1 + tissue[0], 0)
    for i, breast in enumerate(habitus.breasts):
        maps[f"breast_{i}"] = _breast(breast, *frame)
    return Body(maps, places)


def factor(name: str, habitus: Habitus) -> float:
    """Return how much more than the CT's a group attenuates."""
    if name.startswith("lung"):
        return habitus.lung
    if name in BONES:
        return habitus.bone
    return {"heart": habitus.heart, "soft": habitus.soft}.get(name, 1.0)


def field(lattice: Lattice, axis: Float64[np.ndarray, " pixels"], spacing: float) -> np.ndarray:
    """Return random fields at all rows and columns `axis`: cubic B-splines over a lattice."""
    nodes = (np.arange(lattice.shape[-1]) - lattice.shape[-1] // 2) * spacing
    away = np.abs(axis[:, None] - nodes) / spacing
    near, far = 2 / 3 - away**2 + away**3 / 2, np.maximum(2 - away, 0) ** 3 / 6
    weights = np.where(away < 1, near, far).astype(np.float32)
    rows = np.einsum("pn,fnm->fpm", weights, lattice.astype(np.float32))
    return np.einsum("fpm,qm->fpq", rows, weights)  # a matrix product would start threads


def _lattice(rng: np.random.Generator, fields: int, spacing: float) -> Lattice:
    """Draw fields of standard deviation about 1; normal numbers are cut at two."""
    nodes = _nodes(spacing)
    return np.clip(rng.standard_normal((fields, nodes, nodes)), -2, 2) / 0.42


def _nodes(spacing: float) -> int:
    return 2 * (int(np.ceil(FIELD / 2 / spacing)) + 1) + 1


def _within(rng: np.random.Generator, mean: float, spread: float, low: float, high: float) -> float:
    return float(np.clip(rng.normal(mean, spread), low, high))


def _lower(anatomy: Anatomy, down: Pixels) -> Pixels:
    """Return the share of the diaphragm's way that a place moves: 0 at the apex, 1 at the base."""
    top = min(box.top for box in anatomy.boxes.values())
    bottom = max(box.bottom for box in anatomy.boxes.values())
    share = np.clip((down - top) / (bottom - top), 0, 1)
    return (share * share * (3 - 2 * share)).astype(np.float32)


def _breast(breast: Breast, down: Pixels, left: Pixels) -> Pixels:
    away = ((down - breast.down) ** 2 + (left - breast.left) ** 2) / breast.radius**2
    # A half ball, thinner towards its upper edge, where it has none.
    upper = np.clip((down - breast.down) / breast.radius + 1, 0, 1)
    share = np.sqrt(np.maximum(1 - away, 0)) * upper
    return (share * (breast.thickness * FAT)).astype(np.float32)
