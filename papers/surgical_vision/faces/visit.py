"""What differs between two visits: light, tan, make-up, hair color, clothes and background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from papers.surgical_vision.faces.identity import Identity
from papers.surgical_vision.faces.light import Color, Light, linear
from papers.surgical_vision.faces.mesh import unit

LIPSTICKS = ("#a8323c", "#c4545e", "#8d2f3a", "#c9706a", "#b0475f", "#7a2a33")
DYES = ("#3b2012", "#6b3a1e", "#8a5a30", "#1c1512", "#5c2620")
CLOTHES = ("#23262e", "#e6e3dc", "#3d4f66", "#6e7468", "#7b3b3f", "#9aa7b5", "#52483f", "#c7b8a2")
WALLS = ("#9fb3c0", "#c9c5bd", "#8f9a94", "#b9a995", "#6f7f92", "#d8d9d6", "#7c6f74", "#a8bba8")


@dataclass(frozen=True)
class Visit:
    """How a photograph is taken, and how the patient came to it; colors are linear RGB."""

    light: Light
    tan: Color  # the tone of the skin is multiplied by it
    lipstick: Color
    lips: float  # how much of it: 0 none, 1 opaque
    moist: float  # gloss of the lips
    blush: float
    shadow: float  # make-up of the eyes
    hair: Color
    clothes: Color
    neckline: float  # dm below the eyes, negative
    wall: Color
    wall_edge: Color  # at the image's edge


def draw(rng: np.random.Generator, identity: Identity) -> Visit:
    """Draw a visit of a patient."""
    female = identity.male < 0.5
    warm = float(rng.normal(0, 0.05))
    tint: Color = np.array([1 + warm, 1, 1 - warm], np.float32)
    direction = np.array([rng.uniform(-0.75, 0.75), rng.uniform(0.2, 0.8), 1], np.float32)
    light = Light(
        direction=unit(direction),
        lamp=tint * np.float32(rng.uniform(0.78, 1.0)),
        sky=np.float32(rng.uniform(0.26, 0.4)) * (2 - tint),
    )
    tone = float(rng.uniform(0.88, 1.1))
    hair: np.ndarray = identity.hair * np.float32(rng.uniform(0.8, 1.25))
    if rng.random() < (0.25 if female else 0.04):
        dye = linear(DYES[rng.integers(len(DYES))])
        hair = np.float32(0.35) * hair + np.float32(0.65) * dye
    wall = linear(WALLS[rng.integers(len(WALLS))]) * np.float32(rng.uniform(0.8, 1.15))
    return Visit(
        light=light,
        tan=np.array([tone, tone**1.3, tone**1.5], np.float32),
        lipstick=linear(LIPSTICKS[rng.integers(len(LIPSTICKS))]),
        lips=float(rng.uniform(0, 0.85) if female else 0.0),
        moist=float(rng.uniform(0.1, 0.35)),
        blush=float(rng.uniform(0, 0.5) if female else rng.uniform(0, 0.15)),
        shadow=float(rng.uniform(0, 0.6) if female else 0.0),
        hair=hair.astype(np.float32),
        clothes=linear(CLOTHES[rng.integers(len(CLOTHES))]),
        neckline=float(rng.uniform(-1.8, -1.3)),
        wall=wall,
        wall_edge=wall * np.float32(rng.uniform(0.55, 0.95)),
    )
