"""Hair: a shell around the head that follows its shape, and how its strands shine.

The shell is a grid: columns by azimuth around an axis through the crown, rows down from it. Where
hair is long, the rows that would follow the nape fall straight down instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float32
from scipy import sparse, spatial

from papers.surgical_vision.faces import noise
from papers.surgical_vision.faces.camera import Camera
from papers.surgical_vision.faces.curves import smoothstep
from papers.surgical_vision.faces.hairstyle import Hairstyle
from papers.surgical_vision.faces.light import Color, Colors, Light
from papers.surgical_vision.faces.mesh import Surface, Vertices, head, surface, unit
from papers.surgical_vision.faces.raster import Fragments

CENTER = np.array([0, 0.3, -0.7], np.float32)  # of the skull
AZIMUTHS = np.linspace(-180, 180, 97).astype(np.float32)
POLAR = np.radians(np.linspace(4, 136, 30)).astype(np.float32)  # down from the crown
FALLS = np.radians(93)  # from where long hair falls
DROPS = 16  # rows of what falls
SOFT = 0.035  # dm over which hair ends
NEAREST = 12  # vertices of the skin that carry a point of the shell

Values = Float32[np.ndarray, " n"]


@dataclass(frozen=True)
class Scalp:
    """The shell on the base mesh when hair has no thickness, and what moves it."""

    points: Vertices
    outward: Vertices
    carried: sparse.csr_array  # [points of the shell, vertices]: weights with the sum 1


@dataclass(frozen=True)
class Hair:
    """A patient's hair: grid and its geometry."""

    style: Hairstyle
    surface: Surface
    points: Vertices
    azimuth: Values  # degrees
    height: Values  # dm, on the base mesh


def azimuth(points: Vertices) -> Values:
    """Return the angle around the skull, in degrees from the front to the patient's left."""
    return np.degrees(np.arctan2(points[:, 0], points[:, 2] - CENTER[2])).astype(np.float32)


@lru_cache(1)
def scalp() -> Scalp:
    """Return the shell of the base mesh: how far its skull is in every direction, made smooth."""
    base = head()
    own = np.unique(base.skin.triangles)
    own = own[(base.vertices[own, 1] > -0.75) & (base.ears[own] < 0.02)]
    away = base.vertices[own] - CENTER
    radius = np.sqrt((away * away).sum(1))
    around = np.radians(AZIMUTHS)[None]
    outward = np.stack(
        [
            np.sin(POLAR)[:, None] * np.sin(around),
            np.cos(POLAR)[:, None] * np.ones_like(around),
            np.sin(POLAR)[:, None] * np.cos(around),
        ],
        -1,
    ).reshape(-1, 3)
    distance, near = spatial.cKDTree(away / radius[:, None]).query(outward, k=NEAREST)
    weights = np.exp(-((distance / (distance.mean(1, keepdims=True) + 0.02)) ** 2)) + 1e-6
    weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    outward = outward.astype(np.float32)
    rows = np.repeat(np.arange(len(outward)), NEAREST)
    carried = sparse.csr_array(
        (weights.ravel(), (rows, own[near].ravel())), shape=(len(outward), len(base.vertices))
    )
    points = CENTER + outward * (weights * radius[near]).sum(1)[:, None]
    return Scalp(points.astype(np.float32), outward, carried)


def grown(style: Hairstyle, vertices: Vertices, grain: int) -> Hair:
    """Return the hair of a patient whose head has these vertices."""
    base = scalp()
    columns = len(AZIMUTHS)
    angles = np.tile(AZIMUTHS, len(POLAR))
    height = base.points[:, 1]
    above = height - style.begins(angles)
    lie = np.maximum(smoothstep(0, style.taper, above), np.float32(style.stand))
    sides = 0.45 + 0.55 * smoothstep(0.0, 0.75, height)  # short hair lies closer there
    thick = style.thick * lie * (sides if style.end is None else 1)
    thick = thick + style.top * lie * smoothstep(0.35, 0.95, height)
    # Ragged outlines: no hair is as smooth as a helmet.
    bumps = noise.read(height * 30, angles * 0.6, 6, 6, grain) + 0.5 * noise.read(
        height * 60, angles * 1.4, 5, 3, grain
    )
    thick = thick * (1 + np.float32(0.07 + 0.12 * style.curl) * bumps)
    follow = base.carried @ (vertices - head().vertices)
    points = base.points + follow + base.outward * (thick + np.float32(0.004))[:, None]
    points = points.reshape(len(POLAR), columns, 3)
    height = height.reshape(len(POLAR), columns)
    if style.end is not None:
        kept = int((FALLS > POLAR).sum())
        points, falling = _falling(style, points[:kept], grain)
        height = np.concatenate([height[:kept], falling])
    rows = len(points)
    return Hair(
        style=style,
        surface=_grid(rows, columns),
        points=points.reshape(-1, 3).astype(np.float32),
        azimuth=np.tile(AZIMUTHS, rows),
        height=height.reshape(-1).astype(np.float32),
    )


def _falling(
    style: Hairstyle, points: Float32[np.ndarray, "rows columns 3"], grain: int
) -> tuple[Float32[np.ndarray, "more columns 3"], Float32[np.ndarray, "drops columns"]]:
    """Return the rows of a shell with those that fall from its last, and their heights."""
    last = points[-1]
    end = float(style.end or 0) - 0.25  # strands end between this and `end`
    share = np.linspace(0, 1, DROPS + 1)[1:, None].astype(np.float32)
    flat = (last - CENTER) * np.array([1, 0, 1], np.float32)
    out = unit(flat)
    swell = style.flare * np.sin(np.pi / 2 * share) + style.wave * np.sin(
        share * 11 + noise.read(np.zeros_like(AZIMUTHS), AZIMUTHS * 0.4, 8, 8, grain)
    ) * np.minimum(share * 3, 1)
    down = last[:, 1] + (end - last[:, 1]) * share
    fallen = last + out * swell[..., None]
    fallen[..., 1] = down
    return np.concatenate([points, fallen.astype(np.float32)]), down


@lru_cache
def _grid(rows: int, columns: int) -> Surface:
    corner = np.arange(rows * columns).reshape(rows, columns)
    upper_left, upper_right = corner[:-1, :-1].ravel(), corner[:-1, 1:].ravel()
    lower_left, lower_right = corner[1:, :-1].ravel(), corner[1:, 1:].ravel()
    triangles = np.concatenate(
        [
            np.stack([upper_left, lower_left, lower_right], 1),
            np.stack([upper_left, lower_right, upper_right], 1),
        ]
    )
    return surface(triangles, rows * columns)


def covers(style: Hairstyle, angles: Values, height: Values, fine: Values, locks: Values) -> Values:
    """Return how much of a place hair covers: none below the hairline and the end of long hair."""
    # Curls have no strands that could stick out alone.
    calm = np.float32(1 - 0.5 * style.curl)
    ragged = calm * np.float32(style.rag) * (np.float32(0.8) * fine + np.float32(0.5) * locks)
    cover = smoothstep(-SOFT, SOFT, height - style.begins(angles) + ragged)
    if style.end is not None:
        ragged = calm * (np.float32(0.035) * fine + np.float32(0.02) * locks)
        cover = cover * smoothstep(-SOFT, SOFT, height - np.float32(style.end) + ragged)
    return cover


def strands(hair: Hair, angles: Values, height: Values, grain: int) -> tuple[Values, Values]:
    """Return noise along fine strands and along locks, of mean 0 and variance 1."""
    style = hair.style
    if style.curl:
        fine = noise.read(height * 130, angles * 2.4, 1.1, 1.1, grain)
        return fine, noise.read(height * 90, angles * 1.6, 2.2, 2.2, grain + 1)
    place = angles + np.float32(25 * style.lean) * height
    place = place + np.float32(60 * style.wave) * np.sin(height * 9)
    length = height * 25
    if style.combed:  # from a part in the middle along the hairline, not across it
        front = (
            style.combed * (1 - smoothstep(40, 75, np.abs(angles))) * smoothstep(0.2, 0.5, height)
        )
        place = place * (1 - front) + (height * 60 + np.abs(angles) * 0.35) * front
        length = length * (1 - front) + angles * 0.6 * front
    fine = noise.read(length, place * 3.2, 24, 0.9, grain)
    return fine, noise.read(length * 0.7, place * 1.2, 24, 2.2, grain + 1)


def shaded(
    hair: Hair,
    found: Fragments,
    normals: Vertices,
    camera: Camera,
    color: Color,
    light: Light,
    grain: int,
) -> Colors:
    """Return the light that hair sends back: strands shine across their direction (Kajiya, Kay)."""
    columns = len(AZIMUTHS)
    grid = hair.points.reshape(-1, columns, 3)
    along = unit(found.blend(camera.turned(np.gradient(grid, axis=0).reshape(-1, 3))))
    normal = unit(found.blend(normals))
    inner = normal[:, 2] < 0
    angles, height = found.blend(hair.azimuth), found.blend(hair.height)
    fine, locks = strands(hair, angles, height, grain)
    across = np.sqrt(np.clip(1 - np.einsum("nc,c->n", along, light.direction) ** 2, 0, 1))
    facing = np.clip(np.einsum("nc,c->n", normal, light.direction) * 0.6 + 0.4, 0, 1)
    shifted = unit(along + normal * (np.float32(0.12) * locks + np.float32(0.1))[:, None])
    shine = np.sqrt(np.clip(1 - np.einsum("nc,c->n", shifted, light.halfway()) ** 2, 0, 1))
    shine = shine ** np.float32(60) * facing * (1 - np.float32(0.75 * hair.style.curl))
    deep = smoothstep(0, 0.3, height - hair.style.begins(angles)) * 0.35 + 0.65
    if hair.style.end is not None:
        deep = deep * (1 - 0.25 * (1 - smoothstep(-0.9, 0.2, height)))
    deep = np.where(inner, deep * 0.5, deep)
    tint = np.clip(1 + 0.16 * fine + (0.14 - 0.04 * hair.style.curl) * locks, 0.3, 1.7)
    body = (0.55 * across * facing + 0.45 * facing)[:, None] * light.lamp
    body = body + (np.float32(0.6) + np.float32(0.3) * normal[:, 1])[:, None] * light.sky
    glow = (np.float32(0.09) + np.float32(0.5) * color) * light.lamp
    return (color * body + shine[:, None] * glow * 0.5) * (tint * deep)[:, None]
