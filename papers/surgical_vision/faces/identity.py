"""Who a patient is: the shape of the face, skin, hair and iris, drawn at random; adults only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from papers.surgical_vision.faces import hairstyle
from papers.surgical_vision.faces.hairstyle import Hairstyle
from papers.surgical_vision.faces.light import Color, linear
from papers.surgical_vision.faces.mesh import Vertices, head
from papers.surgical_vision.faces.targets import ANCESTRIES, PAIRS, ends, macro

AGES = (23.0, 62.0)  # years; the youngest target is 25 and the oldest 90
SPREAD, MOST = 0.25, 0.6  # of a weight's normal distribution
LARGEST_EYE = 0.295  # its width, by the height from the eyes to the chin
SHORTEST_FACE = 0.99  # from the eyes to the chin, by the width of the cheekbones
# Wide eyes in a round, short face are what makes a face look like a child's, and several shapes of
# the head at once make a caricature: these vary less.
CALM = {
    "eyes/eye-scale": 0.5,
    "eyebrows/eyebrows-angle": 0.5,
    "mouth/mouth-angles": 0.5,
    "head/head-scale-horiz": 0.6,
    "head/head-fat": 0.7,
    "head/head-angle": 0.5,
    "head/head-oval": 0.6,
    "head/head-rectangular": 0.6,
    "head/head-triangular": 0.4,
    "head/head-invertedtriangular": 0.4,
    "head/head-diamond": 0.4,
    "forehead/forehead-nubian": 0.6,
    "forehead/forehead-temple": 0.5,
    "chin/chin-triangle": 0.6,
    "ears/ear-wing": 0.5,
    "head/head-square": 0.6,
    "head/head-round": 0.6,
    "head/head-scale-vert": 0.6,
    "chin/chin-height": 0.7,
    "neck/neck-double": 0.5,
}
# Heads of men are heavier in the jaw than the targets of sex alone make them.
MALE = {"chin/chin-bones-incr": 0.2, "eyebrows/eyebrows-trans-down": 0.12}
FEMALE = {"head/head-oval": 0.35, "mouth/mouth-upperlip-volume-incr": 0.15}
BOTH = {"head/head-scale-horiz-decr": 0.25, "head/head-fat-decr": 0.1}
MELANIN = {"african": 0.72, "asian": 0.27, "caucasian": 0.13}  # 0 is the fairest skin, 1 darkest
SKIN = [
    (0.0, "#f3cdb6"),
    (0.2, "#e6b596"),
    (0.4, "#cb9470"),
    (0.6, "#a2694a"),
    (0.8, "#714430"),
    (1.0, "#4a2c20"),
]
HAIR = {
    "black": "#17120f",
    "dark brown": "#2c1c13",
    "brown": "#4b2f1c",
    "red": "#6e3218",
    "blond": "#a3835e",
}
HAIR_ODDS = {
    "african": (0.9, 0.1, 0.0, 0.0, 0.0),
    "asian": (0.7, 0.25, 0.05, 0.0, 0.0),
    "caucasian": (0.08, 0.27, 0.35, 0.1, 0.2),
}
GRAY_HAIR = "#a9a6a2"
IRIS = {
    "brown": "#40240f",
    "hazel": "#6b4a20",
    "green": "#586044",
    "blue": "#55697a",
    "gray": "#707c84",
}
FAIR_EYES = (0.3, 0.2, 0.15, 0.25, 0.1)  # odds of the irises in caucasian faces


@dataclass(frozen=True)
class Identity:
    """What makes a patient recognizable, visit after visit."""

    weights: dict[str, float]  # of targets
    age: float  # years
    male: float  # 0 female, 1 male
    ancestry: dict[str, float]  # shares
    melanin: float
    tone: Color  # linear RGB, as all colors here
    hair: Color
    iris: Color
    style: Hairstyle
    brow: Brow
    stubble: float  # 0 shaven, 1 a short beard
    freckles: float
    grain: int  # where the skin's noise is read


@dataclass(frozen=True)
class Brow:
    """An eyebrow, in dm on the base mesh."""

    height: float  # of its inner end above the eyes
    arch: float  # its highest point above that
    inner: float  # from the middle of the face
    outer: float
    half: float  # its thickness, halved
    density: float


def draw(rng: np.random.Generator) -> Identity:
    """Draw an adult."""
    male = float(rng.uniform(0.8, 1.0) if rng.random() < 0.45 else rng.uniform(0.0, 0.2))
    shares = rng.dirichlet([0.5, 0.6, 0.6])
    ancestry = {name: float(share) for name, share in zip(ANCESTRIES, shares, strict=True)}
    age = float(rng.uniform(*AGES))
    melanin = sum(ancestry[name] * MELANIN[name] for name in ANCESTRIES)
    melanin = float(np.clip(melanin + rng.normal(0, 0.07), 0.0, 1.0))
    origin = str(rng.choice(ANCESTRIES, p=shares / shares.sum()))
    hair = linear(HAIR[str(rng.choice(list(HAIR), p=HAIR_ODDS[origin]))])
    gray = float(np.clip((age - rng.uniform(40, 75)) / 22, 0, 0.8 if male > 0.5 else 0.45))
    hair = hair * np.float32(rng.uniform(0.8, 1.25)) * (1 - gray) + linear(GRAY_HAIR) * gray
    fair = origin == "caucasian" and melanin < 0.3
    iris = linear(IRIS[str(rng.choice(list(IRIS), p=FAIR_EYES))] if fair else IRIS["brown"])
    weights = _weights(rng, male, ancestry, age)
    while not adult(head().shaped(weights)):
        weights = _weights(rng, male, ancestry, age)
    identity = Identity(
        weights=weights,
        age=age,
        male=male,
        ancestry=ancestry,
        melanin=melanin,
        tone=_tone(melanin) * np.float32(rng.uniform(0.94, 1.04)),
        hair=hair.astype(np.float32),
        iris=iris * np.float32(rng.uniform(0.8, 1.2)),
        style=hairstyle.draw(rng, male > 0.5, age, ancestry["african"]),
        brow=_brow(rng, male),
        stubble=float(rng.choice([0.0, 0.3, 0.6, 1.0], p=[0.5, 0.2, 0.15, 0.15])),
        freckles=float(rng.uniform(0, 1) * (melanin < 0.25)),
        grain=int(rng.integers(1 << 16)),
    )
    return identity if male > 0.5 else replace(identity, stubble=0.0)


def adult(vertices: Vertices) -> bool:
    """Return whether a face has an adult's proportions: small eyes above a long lower face.

    The targets of children, which are in no face, have 0.29 to 0.33 and 0.94 to 1.09.
    """
    marks = {name: vertices[vertex] for name, vertex in head().landmarks.items()}
    eye = marks["eye_outer_left"][0] - marks["eye_inner_left"][0]
    width = marks["cheekbone_left"][0] - marks["cheekbone_right"][0]
    lower = marks["eye_inner_left"][1] - marks["chin"][1]
    return bool(eye < LARGEST_EYE * lower and lower > SHORTEST_FACE * width)


def _weights(
    rng: np.random.Generator, male: float, ancestry: dict[str, float], age: float
) -> dict[str, float]:
    """Return the weights of targets: sex, ancestry and age, then what differs between people."""
    old = float(np.clip((age - 25) / 65, 0, 1))
    weights: dict[str, float] = {}
    for name, share in ancestry.items():
        for sex, of_sex in (("female", 1 - male), ("male", male)):
            for years, of_age in (("young", 1 - old), ("old", old)):
                weights[macro(name, sex, years)] = share * of_sex * of_age
    for target, weight in MALE.items():
        weights[target] = weight * male
    for target, weight in FEMALE.items():
        weights[target] = weight * (1 - male)
    weights.update(BOTH)
    for pair in PAIRS:
        value = float(np.clip(rng.normal(0, SPREAD), -MOST, MOST)) * CALM.get(pair[0], 1.0)
        end = ends(pair)[value > 0]
        if end:
            weights[end] = weights.get(end, 0.0) + abs(value)
    for target, most in (("eyes/eye-bag-incr", 0.5), ("mouth/mouth-laugh-lines-in", 0.4)):
        weights[target] = weights.get(target, 0.0) + most * old
    return weights


def _tone(melanin: float) -> Color:
    places = [place for place, _ in SKIN]
    colors = np.stack([linear(code) for _, code in SKIN])
    return np.array([np.interp(melanin, places, colors[:, c]) for c in range(3)], np.float32)


def _brow(rng: np.random.Generator, male: float) -> Brow:
    return Brow(
        height=float(rng.normal(0.165, 0.012) - 0.012 * male),
        arch=float(np.clip(rng.normal(0.055 - 0.025 * male, 0.012), 0.01, 0.08)),
        inner=float(rng.normal(0.125, 0.012)),
        outer=float(rng.normal(0.545, 0.02)),
        half=float(np.clip(rng.normal(0.034 + 0.012 * male, 0.005), 0.024, 0.06)),
        density=float(rng.uniform(0.55, 0.95)),
    )
