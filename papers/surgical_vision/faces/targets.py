"""Names: which of MPFB2's targets make faces and operations, and where landmarks lie.

A target moves the vertices of the head; a face is the base mesh plus targets times weights. Targets
of the left and the right side are used as one.
"""

from __future__ import annotations

from itertools import product

SEXES = ("female", "male")
ANCESTRIES = ("african", "asian", "caucasian")
AGES = ("young", "old")  # about 25 and 90 years

# What differs between people: a name and its two ends. An empty end has no target; with both empty
# the name itself is one.
PAIRS: tuple[tuple[str, str, str], ...] = (
    ("nose/nose-width1", "decr", "incr"),
    ("nose/nose-width2", "decr", "incr"),
    ("nose/nose-width3", "decr", "incr"),
    ("nose/nose-hump", "decr", "incr"),
    ("nose/nose-volume", "decr", "incr"),
    ("nose/nose-scale-vert", "decr", "incr"),
    ("nose/nose-scale-depth", "decr", "incr"),
    ("nose/nose-point", "down", "up"),
    ("nose/nose-point-width", "decr", "incr"),
    ("nose/nose-nostrils-width", "decr", "incr"),
    ("nose/nose-base", "down", "up"),
    ("nose/nose-curve", "concave", "convex"),
    ("chin/chin-width", "decr", "incr"),
    ("chin/chin-height", "decr", "incr"),
    ("chin/chin-bones", "decr", "incr"),
    ("chin/chin-prominent", "decr", "incr"),
    ("chin/chin-jaw-drop", "decr", "incr"),
    ("chin/chin-cleft", "", "incr"),
    ("chin/chin-triangle", "", ""),
    ("head/head-scale-horiz", "decr", "incr"),
    ("head/head-scale-vert", "decr", "incr"),
    ("head/head-fat", "decr", "incr"),
    ("head/head-angle", "in", "out"),
    ("head/head-oval", "", ""),
    ("head/head-round", "", ""),
    ("head/head-rectangular", "", ""),
    ("head/head-square", "", ""),
    ("head/head-triangular", "", ""),
    ("head/head-invertedtriangular", "", ""),
    ("head/head-diamond", "", ""),
    ("forehead/forehead-scale-vert", "decr", "incr"),
    ("forehead/forehead-nubian", "decr", "incr"),
    ("forehead/forehead-temple", "decr", "incr"),
    ("mouth/mouth-scale-horiz", "decr", "incr"),
    ("mouth/mouth-upperlip-volume", "decr", "incr"),
    ("mouth/mouth-lowerlip-volume", "decr", "incr"),
    ("mouth/mouth-upperlip-height", "decr", "incr"),
    ("mouth/mouth-lowerlip-height", "decr", "incr"),
    ("mouth/mouth-cupidsbow", "decr", "incr"),
    ("mouth/mouth-angles", "down", "up"),
    ("mouth/mouth-trans", "down", "up"),
    ("mouth/mouth-laugh-lines", "", "in"),
    ("eyebrows/eyebrows-angle", "down", "up"),
    ("eyebrows/eyebrows-trans", "down", "up"),
    ("eyes/eye-scale", "decr", "incr"),
    ("eyes/eye-corner1", "down", "up"),
    ("eyes/eye-corner2", "down", "up"),
    ("eyes/eye-height1", "decr", "incr"),
    ("eyes/eye-height2", "decr", "incr"),
    ("eyes/eye-height3", "decr", "incr"),
    ("eyes/eye-trans", "in", "out"),
    ("eyes/eye-eyefold", "down", "up"),
    ("eyes/eye-eyefold", "concave", "convex"),
    ("eyes/eye-epicanthus", "in", "out"),
    ("eyes/eye-bag", "", "incr"),
    ("cheek/cheek-bones", "decr", "incr"),
    ("cheek/cheek-volume", "decr", "incr"),
    ("cheek/cheek-inner", "decr", "incr"),
    ("ears/ear-scale", "decr", "incr"),
    ("ears/ear-wing", "decr", "incr"),
    ("neck/neck-scale-horiz", "decr", "incr"),
    ("neck/neck-double", "", "incr"),
)
SIDED = ("eyes", "cheek", "ears")


def ends(pair: tuple[str, str, str]) -> tuple[str | None, str | None]:
    """Return the names of a pair's two targets; a pair with no ends named is a single target."""
    stem, low, high = pair
    if not low and not high:
        return None, stem
    return f"{stem}-{low}" if low else None, f"{stem}-{high}" if high else None


def macro(ancestry: str, sex: str, age: str) -> str:
    """Return the name of the target that makes a head of an ancestry, sex and age."""
    return f"macrodetails/{ancestry}-{sex}-{age}"


def _files(name: str) -> list[str]:
    """Return the targets of MPFB2 that are added up under a name."""
    folder, stem = name.split("/")
    return [f"{folder}/{side}-{stem}" for side in "lr"] if folder in SIDED else [name]


_NAMES = [
    *(macro(*key) for key in product(ANCESTRIES, SEXES, AGES)),
    *(end for pair in PAIRS for end in ends(pair) if end),
]
SOURCES = {name: _files(name) for name in _NAMES}

# Where landmarks lie on the base mesh: right and up of the middle between the eyes, in dm. Left and
# right are the patient's: the left eye is on the right of the image.
_SIDES = {
    "eye_inner": (0.175, -0.015),
    "eye_outer": (0.465, 0.0),
    "lid_upper": (0.315, 0.05),
    "lid_lower": (0.315, -0.045),
    "nose_wing": (0.175, -0.40),
    "mouth_corner": (0.262, -0.675),
    "cheekbone": (0.55, -0.25),
    "jaw": (0.50, -0.85),
    "jaw_angle": (0.66, -0.60),
    "chin_side": (0.20, -1.05),
    "brow": (0.32, 0.20),
}
LANDMARKS: dict[str, tuple[float, float]] = {
    **{
        f"{name}_{side}": (sign * x, y)
        for name, (x, y) in _SIDES.items()
        for side, sign in (("left", 1.0), ("right", -1.0))
    },
    "nose_root": (0.0, 0.04),
    "nose_tip": (0.0, -0.38),
    "nose_base": (0.0, -0.48),
    "lip_upper": (0.0, -0.61),
    "lip_lower": (0.0, -0.76),
    "chin": (0.0, -1.08),
    "forehead": (0.0, 0.43),
}
