"""Skin: its color with brows, lips, lids, stubble and roots of hair, painted on the base mesh.

All is painted where a point lies on the base mesh (in dm, see `mesh.py`): paint moves with the
skin, whatever the shape of the face.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float32
from scipy import spatial

from papers.surgical_vision.faces import hair, noise
from papers.surgical_vision.faces.curves import smoothstep, through
from papers.surgical_vision.faces.identity import Brow, Identity
from papers.surgical_vision.faces.light import Color, Colors
from papers.surgical_vision.faces.mesh import PerVertex, Vertices, head
from papers.surgical_vision.faces.raster import Fragments
from papers.surgical_vision.faces.visit import Visit

DARK = np.array([0.012, 0.009, 0.008], np.float32)  # lashes
BLOOD = np.array([1.0, 0.72, 0.7], np.float32)  # what blood leaves of the light

Values = Float32[np.ndarray, " n"]


@dataclass(frozen=True)
class Painted:
    """Color of the skin at some points, and what paint covers it there: shares, 0 to 1."""

    albedo: Colors
    lips: Values
    scalp: Values  # hair of the head, its roots
    other: Values  # brows, lashes, clothes
    clothes: Values


@lru_cache(1)
def lid_margins() -> tuple[PerVertex, PerVertex]:
    """Return how near each vertex is to the lashes of the upper and the lower lid: 0 to 1."""
    base = head()
    skin = np.unique(base.skin.triangles)
    lashes = np.unique(base.lashes.triangles)
    reach, _ = spatial.cKDTree(base.vertices[skin]).query(base.vertices[lashes])
    roots = base.vertices[lashes[reach < 0.02]]
    shares = []
    for upper in (True, False):
        own = roots[(roots[:, 1] > 0.0) == upper]
        away, _ = spatial.cKDTree(own).query(base.vertices)
        shares.append(np.exp(-((away / 0.02) ** 2)).astype(np.float32))
    return shares[0], shares[1]


def painted(identity: Identity, visit: Visit, found: Fragments) -> Painted:
    """Return the paint at fragments of the skin."""
    base = head()
    place = found.blend(base.vertices)
    lips = smoothstep(0.3, 0.7, found.blend(base.lips))
    albedo = _complexion(identity, visit, place, found.blend(base.ears))
    albedo = _mixed(albedo, _stubble_color(identity), _stubble(identity, place, lips))
    upper, lower = (found.blend(margin) for margin in lid_margins())
    lids = found.blend(base.lids)
    albedo = albedo * (1 - (0.12 + 0.45 * visit.shadow) * lids * (place[:, 1] > 0))[:, None]
    albedo = _mixed(albedo, _lip_color(identity, visit, place), lips * 0.9)
    line = 0.75 * smoothstep(0.25, 0.9, upper) * (1 if identity.male < 0.5 else 0.75)
    line = np.maximum(line, (0.25 + 0.3 * visit.shadow) * smoothstep(0.3, 0.9, lower))
    albedo = _mixed(albedo, DARK, line)
    brows = _brows(identity.brow, place, identity.grain)
    albedo = _mixed(albedo, visit.hair * 0.55, brows)
    scalp = _scalp(identity, place)
    albedo = _mixed(albedo, visit.hair * 0.8, scalp)
    clothes = smoothstep(-0.012, 0.012, _below_neckline(visit, place))
    albedo = _mixed(albedo, visit.clothes, clothes)
    other = np.maximum(np.maximum(brows, line), clothes)
    return Painted(albedo, lips, scalp, other, clothes)


def hair_shade(identity: Identity, place: Vertices) -> Values:
    """Return the share of light that hair leaves to the skin beside it."""
    style = identity.style
    angles = hair.azimuth(place)
    near = np.zeros(len(place), np.float32)
    for aside in (-12, -6, 0, 6, 12):  # degrees: the shade is soft across the hairline
        below = np.clip(style.begins(angles + np.float32(aside)) - place[:, 1], 0, None)
        near += np.exp(-below / np.float32(0.09)) / 5
    depth = np.float32(0.12 + min(style.thick * 2.0, 0.28))
    return 1 - depth * near * smoothstep(-1.0, -0.75, place[:, 1])


def _complexion(identity: Identity, visit: Visit, place: Vertices, ears: Values) -> Colors:
    """Return the bare skin: tone, blood, blotches, freckles, and rings below the eyes."""
    x, y, z = np.abs(place[:, 0]), place[:, 1], place[:, 2]
    front = smoothstep(-0.3, 0.0, z)
    cheeks = np.exp(-(((x - 0.42) / 0.2) ** 2) - ((y + 0.32) / 0.17) ** 2)
    nose = np.exp(-((x / 0.13) ** 2) - ((y + 0.36) / 0.1) ** 2)
    blood = (0.35 + visit.blush) * cheeks + 0.45 * nose + 0.35 * ears
    coarse = noise.read(y * 90, place[:, 0] * 90, 9, 9, identity.grain)
    fine = noise.read(y * 220, place[:, 0] * 220, 1.2, 1.2, identity.grain)
    blood = np.clip(blood + 0.1 * coarse * front, 0, 1)[:, None]
    albedo = identity.tone * visit.tan * (1 - blood * (1 - BLOOD))
    rings = np.exp(-(((x - 0.27) / 0.13) ** 2) - ((y + 0.1) / 0.045) ** 2)
    rings = rings * (0.1 + 0.15 * (identity.age - 23) / 40)
    spots = identity.freckles * smoothstep(1.2, 2.0, fine) * (cheeks + nose) * 0.35
    even = 1 - rings - spots + 0.025 * fine + 0.02 * coarse
    return albedo * even[:, None] ** np.array([0.9, 1.1, 1.1], np.float32)


def _brows(brow: Brow, place: Vertices, grain: int) -> Values:
    """Return how much of the skin the brows cover: strokes along an arch that thins outwards."""
    x, y = np.abs(place[:, 0]), place[:, 1]
    along = (x - brow.inner) / (brow.outer - brow.inner)
    rise = np.where(along < 0.62, np.float32(0.62), np.float32(0.42))
    center = brow.height + brow.arch * (1 - np.clip((along - 0.62) / rise, -1.2, 1.2) ** 2)
    half = brow.half * through([-0.1, 0.15, 0.55, 0.85, 1.05], [0.6, 0.95, 0.9, 0.55, 0.12], along)
    off = (y - center) / half
    # Strokes stand upright near the nose and lie down towards the temple.
    steep = np.radians(through([0, 0.35, 1], [75, 40, 8], along))
    stroke = x * np.sin(steep) - (y - center) * np.cos(steep)
    length = x * np.cos(steep) + (y - center) * np.sin(steep)
    hairs = noise.read(length * 110, stroke * 190, 6, 0.9, grain)
    edge = 1 - smoothstep(0.45, 1.25, np.abs(off) + 0.16 * hairs)
    ends = smoothstep(-0.1, 0.3, along + 0.05 * hairs) * (1 - smoothstep(0.8, 1.06, along))
    cover = edge * ends * np.clip(brow.density + 0.16 * hairs, 0, 1)
    return (cover * (place[:, 2] > -0.25) * (y > 0.05)).astype(np.float32)


def _lip_color(identity: Identity, visit: Visit, place: Vertices) -> Colors:
    bare = identity.tone * visit.tan * np.array([0.74, 0.42, 0.42], np.float32)
    color = bare * (1 - visit.lips) + visit.lipstick * visit.lips
    creases = noise.read(place[:, 1] * 30, place[:, 0] * 260, 3, 1, identity.grain)
    seam = np.exp(-((np.abs(place[:, 1] + 0.675) / 0.012) ** 2))
    return color * (1 + 0.05 * creases - 0.45 * seam)[:, None]


def _stubble(identity: Identity, place: Vertices, lips: Values) -> Values:
    """Return how much of the skin a beard covers: jaw, chin and upper lip."""
    if not identity.stubble:
        return np.zeros(len(place), np.float32)
    x, y, z = np.abs(place[:, 0]), place[:, 1], place[:, 2]
    dots = noise.read(y * 240, place[:, 0] * 240, 0.8, 0.8, identity.grain)
    border = -0.6 + np.clip(x - 0.3, 0, 1) * 1.05  # from the corner of the mouth to the ear
    jaw = smoothstep(-0.02, 0.18, border - y + 0.01 * dots) * smoothstep(-0.75, -0.55, z)
    jaw = jaw * smoothstep(-1.2, -1.02, y)
    lip = smoothstep(-0.7, -0.6, y) * (1 - smoothstep(-0.56, -0.46, y))
    lip = lip * (1 - smoothstep(0.16, 0.4, x)) * (z > 0)
    cover = np.maximum(jaw * (1 - 0.5 * np.exp(-((x / 0.1) ** 2 + ((y + 0.84) / 0.04) ** 2))), lip)
    cover = cover * (1 - lips) * (0.14 + 0.46 * identity.stubble)
    return np.clip(cover * (1 + 0.14 * dots), 0, 0.9).astype(np.float32)


def _stubble_color(identity: Identity) -> Color:
    return (identity.hair * 0.7 + identity.tone * 0.12).astype(np.float32)


def _scalp(identity: Identity, place: Vertices) -> Values:
    """Return how much of the skin the roots of hair cover, with a ragged hairline."""
    style = identity.style
    angles = hair.azimuth(place)
    hairs = noise.read(place[:, 1] * 40, angles * 3.2, 8, 0.9, identity.grain)
    above = place[:, 1] - style.roots(angles) + 0.02 * hairs
    cover = smoothstep(-0.04, 0.08, above) * style.cover
    return cover * (place[:, 1] > -0.9) * (1 - head_ears(place, angles))


def head_ears(place: Vertices, angles: Values) -> Values:
    """Return 1 on the ears, which stand off the skull, by their place on the base mesh."""
    side = (np.abs(angles) > 70) & (np.abs(angles) < 105) & (np.abs(place[:, 0]) > 0.76)
    return (side & (place[:, 1] < 0.14)).astype(np.float32)


def _below_neckline(visit: Visit, place: Vertices) -> Values:
    """Return how far below the neckline a point lies: it is lower in front than behind."""
    return visit.neckline - place[:, 1] + 0.35 * np.clip(0.1 - place[:, 2], 0, 1)


def _mixed(albedo: Colors, paint: Float32[np.ndarray, "*n 3"], share: Values) -> Colors:
    return albedo + (paint - albedo) * share[:, None]
