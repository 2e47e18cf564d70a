"""What findings change in the line integrals of a film, by their severity from 0 to 1.

All edges are smooth and end: beyond them nothing at all is changed. An extent larger by a tenth
never changes less in total, nor in fewer pixels by more than `VISIBLE`; of fluid and nodules no
larger extent at all does. (Where air begins or a rib has moved, single pixels on edges change by
nothing at one extent that had changed at a slightly smaller one.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from papers.rare_disease_controlnet.simulation.ct import WATER

VISIBLE = 0.03  # change of a line integral from which a pixel belongs to a finding: 3% fewer rays

LOWEST, HIGHEST = 0.08, 0.55  # level of an effusion in its middle, in heights of the lung
CLIMB = 0.24  # height by which fluid stands higher at the side: the meniscus
SURFACE = 0.1  # height over which its upper edge fades

HILUM = (0.3, 0.1)  # height and lateral place that a lung collapses towards
SHRUNK = (0.1, 0.42)  # share of its way there: least, most
AIR = 0.97  # of the lung's attenuation, what is gone; the rest are vessels of the wall
EDGE = 1.2  # mm over which the collapsed lung begins
PLEURA = (1.4, 0.22)  # its thickness in mm, and what rays along it lose
APART = 8.0  # mm between lung and wall from which the pleura is seen as a line
DENSER = 0.02  # by which the rest of the lung attenuates more: below what is visible

RADIUS = (7.0, 15.0)  # mm, of a nodule
ROUND = 1.748  # times its radius: thickness of a ball whose density falls like (1 - r²)^(1/4)
SOLID = 1.35  # times water: a part of it is chalk

STEP, GAP = (2.0, 8.0), (1.0, 2.6)  # mm: broken ends lie apart across and along the rib
HEALED = 35.0  # mm from the fracture after which the rib lies where it was

Pixels = Float32[np.ndarray, "rows columns"]
Mask = Bool[np.ndarray, "rows columns"]
Sampled = Callable[[Pixels, Pixels], Pixels]  # values at places


@dataclass(frozen=True)
class Lung:
    """One lung on a film, pixel by pixel."""

    attenuation: Pixels  # what rays lose in it
    thickness: Pixels  # mm of it along the ray
    height: Pixels  # 0 at its base, 1 at its apex
    lateral: Pixels  # 0 at its edge on the mediastinum, 1 at the ribs
    size: tuple[float, float]  # mm, from base to apex and from the mediastinum to the ribs
    inside: Sampled  # mm from its edge on the film at a height and lateral place, 0 outside


@dataclass(frozen=True)
class Cut:
    """Where a rib breaks: a place in mm (down, left), and the direction outwards along the rib."""

    down: float
    left: float
    outwards: tuple[float, float]


def effusion(lung: Lung, extent: float | int) -> Pixels:
    """Return what fluid under a meniscus adds: the angle at the side fills first.

    Where fluid stands, the whole thickness of the lung is as dense as water.
    """
    level = LOWEST + (HIGHEST - LOWEST) * extent
    top = level + CLIMB * np.clip(lung.lateral, 0, 1) ** 3
    filled = smooth((top - lung.height) / SURFACE)
    return filled * np.maximum(lung.thickness * np.float32(WATER) - lung.attenuation, 0)


def pneumothorax(lung: Lung, extent: float | int, pixel: float | int) -> Pixels:
    """Return what air around a lung takes away: the lung shrinks towards its hilum.

    Most of the air so lies at the apex, then at the side. The pleura of the collapsed lung is a
    thin line, the lung inside a little denser. A film whose pixels are wider than the line shows it
    as wide as a pixel, and as much fainter.
    """
    shrunk = np.float32(SHRUNK[0] + (SHRUNK[1] - SHRUNK[0]) * extent)
    away = lung.height - np.float32(HILUM[0]), lung.lateral - np.float32(HILUM[1])
    before = [one / (1 - shrunk) + np.float32(at) for one, at in zip(away, HILUM, strict=True)]
    inside = (1 - shrunk) * lung.inside(*before)
    edge = max(EDGE, 0.7 * pixel)
    remains = smooth(inside / np.float32(edge))
    thick, lost = PLEURA
    shown = max(thick, float(pixel))
    profile = np.maximum(1 - np.abs((inside - np.float32(edge)) / np.float32(shown) - 0.5), 0)
    moved = shrunk * np.hypot(
        away[0] * np.float32(lung.size[0]), away[1] * np.float32(lung.size[1])
    )
    line = profile * smooth(moved / APART) * np.float32(lost * thick / shown)
    rest = remains * np.float32(DENSER * extent) - (1 - remains) * np.float32(AIR)
    return (rest * lung.attenuation + line * smooth(lung.thickness / 10)).astype(np.float32)


def nodule(lung: Lung, away: Pixels, extent: float | int) -> Pixels:
    """Return what a ball with a soft edge adds; `away` is the distance from its middle in mm."""
    radius = RADIUS[0] + (RADIUS[1] - RADIUS[0]) * extent
    ball = ROUND * radius * np.maximum(1 - (away / np.float32(radius)) ** 2, 0) ** 0.75
    tissue = lung.attenuation / np.maximum(lung.thickness, 1)  # that it takes the place of
    return (ball * np.maximum(SOLID * WATER - tissue, 0)).astype(np.float32)


def fracture(rib: Sampled, down: Pixels, left: Pixels, cut: Cut, extent: float | int) -> Pixels:
    """Return what changes as a rib breaks: its outer part steps down, with a gap between.

    `rib` gives the whole rib's line integrals at places.
    """
    ahead, aside = cut.outwards
    along = (down - np.float32(cut.down)) * np.float32(ahead)
    along += (left - np.float32(cut.left)) * np.float32(aside)
    step = STEP[0] + (STEP[1] - STEP[0]) * extent
    gap = GAP[0] + (GAP[1] - GAP[0]) * extent
    moved = np.where(along > 0, step * smooth(1 - along / HEALED), 0)
    # At a right angle to the rib, downwards on either side.
    across = np.array([abs(aside), -ahead * np.sign(aside)], np.float32)
    shifted = rib(
        (down - moved * across[0]).astype(np.float32), (left - moved * across[1]).astype(np.float32)
    )
    apart = 1 - smooth(1.5 - np.abs(along) / np.float32(gap))
    near = np.hypot(down - np.float32(cut.down), left - np.float32(cut.left)) < 2 * HEALED
    return np.where(near, shifted * apart - rib(down, left), 0).astype(np.float32)


def mask(change: Pixels) -> Mask:
    """Return where a finding is: where it changes a line integral by more than `VISIBLE`."""
    return np.abs(change) > VISIBLE


def smooth(share: np.ndarray) -> Pixels:
    """Return a step from 0 at 0 to 1 at 1 without corners."""
    share = np.clip(share, 0, 1).astype(np.float32)
    return share * share * (3 - 2 * share)
