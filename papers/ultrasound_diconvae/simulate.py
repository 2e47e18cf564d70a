"""The demo's stand-in: simulated ultrasound of fetal heads, with and without speckle.

A head is drawn (size, shape, plane), put in a window as an operator would, and seen by a curved
array: scatterers and smooth surfaces, a point-spread function that widens with depth, attenuation,
shadows of the skull, gain and logarithmic compression (simulation/). The window has HC18's
proportions, 540 to 800, whatever the image's: as there, pixels are not square after resizing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from common.anatomy.acquisition import area_average
from papers.ultrasound_diconvae.image import LabeledImage
from papers.ultrasound_diconvae.simulation.anatomy import Head, draw
from papers.ultrasound_diconvae.simulation.echo import DECIBEL, echo
from papers.ultrasound_diconvae.simulation.tissue import tissue
from papers.ultrasound_diconvae.simulation.view import Pixels, Points, View

PROPORTION = 800 / 540  # of the window's width to its height
FINE = 256  # rows and columns, about, that are made before means are taken


def cohort(images: int, seed: int, *, height: int, width: int) -> Iterator[LabeledImage]:
    """Yield `images` images; image i depends on `seed` and i alone, not on their number."""
    if min(images, height, width) < 1 or seed < 0:
        raise ValueError("images, height and width must be positive, seed not negative")
    for index in range(images):
        yield labeled_image(index, seed, height=height, width=width)


def labeled_image(index: int, seed: int, *, height: int, width: int) -> LabeledImage:
    """Return image `index` (from 0) of the cohort `seed`: one subject's.

    `truth`: `head_mm` (circumference), `cephalic` (width by length of the head), `mhz`, `bone_mm`,
    `range_db` (from black to white), `has_csp` and `has_lv` (0 or 1).
    """
    rng = np.random.default_rng([seed, index])
    head, view = framed(rng, draw(rng))
    echoes = echo(tissue(rng, head, view), view)
    gain, dynamic = _gain(rng, view), float(rng.uniform(50, 62))
    middle = float(rng.uniform(0.38, 0.5))  # gray of soft tissue
    logs = (2 * np.log(np.maximum(echoes.envelope(rng, view), 1e-6)), echoes.log_mean())
    grays = [(log * np.float32(DECIBEL) + gain) / np.float32(dynamic) + middle for log in logs]
    factor = max(1, round(FINE / min(height, width)))
    shown = view.shown(*grays, rows=height * factor, columns=width * factor)
    image, clean = (_gray(one, factor) for one in shown)
    outline, name = head.outline, f"sim-{index + 1:04d}"
    return LabeledImage(
        name=name,
        subject=name,
        plane=head.plane,
        image=image,
        labels=head.labels(*view.pixels(height, width)),
        mm=(view.height / height, view.width / width),
        head_mm=outline.circumference,
        clean=clean,
        truth={
            "head_mm": outline.circumference,
            "cephalic": outline.minor / outline.major,
            "mhz": view.frequency,
            "bone_mm": head.bone,
            "range_db": dynamic,
            "has_csp": float(head.csp is not None),
            "has_lv": float(head.ventricle is not None),
        },
    )


def framed(rng: np.random.Generator, head: Head) -> tuple[Head, View]:
    """Put a head into a window that an operator would choose; return both."""
    outline = head.outline
    cos, sin = np.cos(outline.angle), np.sin(outline.angle)
    tall = float(np.hypot(outline.minor * cos, outline.major * sin))
    wide = float(np.hypot(outline.major * cos, outline.minor * sin))
    height = max(2 * tall / rng.uniform(0.55, 0.86), 2 * wide / (0.9 * PROPORTION))
    width = height * PROPORTION
    top = float(rng.choice([-0.05 * height, rng.uniform(3, 25)], p=[0.25, 0.75]))
    radius = float(rng.uniform(38, 60))
    room = height / 2 - tall
    center = replace(
        outline,
        row=height / 2 + float(rng.uniform(-0.5, 0.7)) * room,
        column=width / 2 + float(rng.uniform(-0.5, 0.5)) * max(0.0, width / 2 - wide),
    )
    depth = top + height
    half = float(np.arctan2(rng.uniform(0.5, 0.9) * width / 2, radius + max(top, 0)))
    deepest = float(np.hypot(depth + radius, width / 2)) - radius  # of the window's corners
    view = View(
        radius=radius,
        frequency=float(np.clip(420 / depth * rng.uniform(0.8, 1.2), 3.2, 8)),
        focus=top + center.row,
        top=top,
        aside=float(rng.normal(0, 0.03)) * width,
        height=height,
        width=width,
        half_angle=min(half, 0.75),
        end=deepest if rng.random() < 0.6 else depth * float(rng.uniform(0.97, 1.05)),
    )
    return replace(head, outline=center), view


def _gain(rng: np.random.Generator, view: View) -> Points:
    """Return what the operator's curve over depth and the sector's edges add, in dB."""
    share = (view.depths / view.end)[:, None]
    curve = rng.normal(0, 2.5) + rng.normal(0, 3.0) * (share - 0.5)
    curve = curve + rng.normal(0, 2.0) * np.cos(2 * np.pi * share + rng.uniform(0, 6))
    edge = (np.abs(view.angles) / view.half_angle)[None] ** 4
    return (curve - rng.uniform(1, 6) * edge).astype(np.float32)


def _gray(shown: Pixels, factor: int) -> np.ndarray:
    small = area_average(np.clip(shown, 0, 1)[None], factor)[0, ..., None]
    return np.rint(small * 255).astype(np.uint8)
