"""Hairstyles: where hair begins on the head, how thick it lies, and how far it falls."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32

from papers.surgical_vision.faces.curves import through

Values = Float32[np.ndarray, " n"]

# A hairline is a height (dm above the eyes) at these angles from the front of the head, in degrees.
ANGLES = (0, 18, 33, 44, 53, 62, 72, 84, 98, 115, 180)
NATURAL = (0.67, 0.66, 0.62, 0.48, 0.26, -0.05, -0.18, 0.2, 0.02, -0.5, -0.8)
FRINGE = (0.3, 0.29, 0.27, 0.2, 0.08, -0.12, -0.2, 0.2, 0.02, -0.5, -0.8)
CURTAIN = (0.66, 0.63, 0.56, 0.42, 0.1, -0.6, -2, -9, -9, -9, -9)
TUCKED = (0.66, 0.65, 0.6, 0.46, 0.24, -0.06, -0.1, 0.1, -9, -9, -9)  # behind the ears
FRAMED = (0.28, 0.27, 0.24, 0.14, -0.1, -0.8, -2, -9, -9, -9, -9)  # a fringe above long hair
RECEDING = (0.86, 0.9, 0.92, 0.8, 0.42, -0.02, -0.18, 0.2, 0.02, -0.5, -0.8)


@dataclass(frozen=True)
class Hairstyle:
    """A hairstyle, in dm on the base mesh."""

    name: str
    line: tuple[float | int, ...]  # at ANGLES
    thick: float  # how far hair stands off the head
    top: float = 0.0  # how much more above the forehead
    taper: float = 0.25  # from the hairline to the full thickness
    stand: float = 0.0  # share of the thickness at the hairline: a fringe hangs over the face
    end: float | None = None  # long hair falls to this height; None: it follows the head
    flare: float = 0.0  # how far it stands out at its end
    wave: float = 0.0
    curl: float = 0.0  # 0 straight strands, 1 curls
    rag: float = 0.03  # by which strands miss the hairline
    cover: float = 1.0  # of the scalp: less is shaven
    part: float = 0.0  # how much higher the hairline is on the patient's left than on the right
    lean: float = 0.0  # of strands, sidewards

    combed: float = 0.0  # 1: from a part along the hairline, 0: down from the crown

    @property
    def hides_ears(self) -> bool:
        """Whether hair falls over the ears."""
        return float(np.interp(88, ANGLES, self.line)) < -1

    def roots(self, azimuth: Values) -> Values:
        """Return the height where the scalp's hair has its roots, whatever lies over the face."""
        return np.maximum(through(ANGLES, NATURAL, np.abs(azimuth)), self.begins(azimuth))

    def begins(self, azimuth: Values) -> Values:
        """Return the height of the hairline at angles from the front, in degrees."""
        height = through(ANGLES, self.line, np.abs(azimuth))
        tilt = self.part * np.sin(np.radians(np.clip(azimuth * 2.2, -90, 90)))
        front = np.clip(1 - np.abs(azimuth) / 75, 0, 1)
        return height + tilt * front


WOMEN = {
    "long": (
        0.18,
        Hairstyle("long", CURTAIN, 0.15, 0.03, 0.22, end=-2.2, flare=0.12, rag=0.012, combed=0.85),
    ),
    "wavy": (
        0.18,
        Hairstyle(
            "wavy",
            CURTAIN,
            0.17,
            0.05,
            0.22,
            end=-2.2,
            flare=0.25,
            wave=0.05,
            rag=0.012,
            combed=0.85,
        ),
    ),
    "tucked": (
        0.14,
        Hairstyle("tucked", TUCKED, 0.08, 0.03, 0.22, end=-2.2, flare=0.2, rag=0.012, combed=0.85),
    ),
    "bob": (
        0.16,
        Hairstyle("bob", CURTAIN, 0.16, 0.03, 0.2, end=-0.95, flare=0.05, rag=0.012, combed=0.85),
    ),
    "fringe": (
        0.13,
        Hairstyle("fringe", FRAMED, 0.15, 0.02, 0.06, end=-2.2, flare=0.1, rag=0.03, stand=0.4),
    ),
    "tied": (0.16, Hairstyle("tied", NATURAL, 0.06, 0.02, 0.2, rag=0.012, combed=0.6)),
    "short": (0.11, Hairstyle("short", NATURAL, 0.14, 0.1, 0.22, rag=0.035, lean=0.6)),
}
MEN = {
    "crop": (0.22, Hairstyle("crop", NATURAL, 0.05, 0.04, 0.2, rag=0.02)),
    "short": (0.26, Hairstyle("short", NATURAL, 0.09, 0.12, 0.2, rag=0.03, lean=0.5)),
    "swept": (0.16, Hairstyle("swept", NATURAL, 0.1, 0.24, 0.16, rag=0.03, lean=0.9)),
    "forward": (0.14, Hairstyle("forward", FRINGE, 0.1, 0.08, 0.05, rag=0.03, lean=0.4, stand=0.4)),
    "shaven": (0.08, Hairstyle("shaven", NATURAL, 0.0, rag=0.03, cover=0.7)),
    "receding": (0.09, Hairstyle("receding", RECEDING, 0.05, 0.0, 0.3, rag=0.02)),
    "chin-long": (0.05, Hairstyle("chin-long", TUCKED, 0.14, 0.04, 0.2, end=-1.0, wave=0.03)),
}


def draw(rng: np.random.Generator, male: bool, age: float | int, african: float | int) -> Hairstyle:
    """Draw a style: men's or women's, receding only in older men, curls by ancestry."""
    styles = dict(MEN if male else WOMEN)
    odds = np.array([odd for odd, _ in styles.values()])
    if male and age < 40:
        odds[list(styles).index("receding")] = 0
    name = str(rng.choice(list(styles), p=odds / odds.sum()))
    style = styles[name][1]
    curly = rng.random() < 0.1 + 0.75 * african
    lift = float(rng.normal(0, 0.035))
    line = tuple(
        height + lift * (angle < 50) for angle, height in zip(ANGLES, style.line, strict=True)
    )
    full = float(rng.uniform(0.8, 1.25))
    style = replace(
        style,
        line=line,
        thick=style.thick * full,
        top=style.top * float(rng.uniform(0.6, 1.3)),
        part=float(rng.choice([-1, 0, 1]) * rng.uniform(0.03, 0.09)),
        lean=style.lean * float(rng.choice([-1, 1])),
    )
    if style.end is not None and style.end > -2:
        style = replace(style, end=style.end + float(rng.uniform(-0.3, 0.2)))
    if not curly:
        return style
    if name in ("long", "wavy", "short", "bob"):
        style = replace(style, thick=style.thick * 1.25, flare=style.flare + 0.1)
    return replace(style, curl=1.0, wave=style.wave * 0.3, lean=0.0)
