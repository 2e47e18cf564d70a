"""The demo's stand-in for LGG MRI Segmentation: heads around the MNI152 brain, tumors in 80%.

Slices lie as the Kaggle images do: the lowest first, the face up, the patient's right on the
left. The channels are pre-contrast T1, FLAIR and post-contrast T1; where a patient has no pre- or
no post-contrast image, FLAIR is repeated in its place, as there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from common.anatomy.acquisition import area_average, rician
from common.anatomy.grid import Grid, centered, refine, smooth_field
from papers.lgg_attention_unet.simulation.atlas import atlas
from papers.lgg_attention_unet.simulation.contrast import signals
from papers.lgg_attention_unet.simulation.person import REACH, Person, person
from papers.lgg_attention_unet.simulation.tissues import Shares, tissues
from papers.lgg_attention_unet.simulation.tumor import Field, Tumor, level, planted, tumor

FIELD_OF_VIEW = 224.0  # mm, of the shorter side
SAMPLING = 1.2  # mm, about, between the points where the template is read; two or more a pixel
SLICES = (9, 12)  # the fewest and the most of a patient
SPACING = (6.5, 8.0)  # mm between slices
LOWEST = (-56.0, -46.0)  # mm above the template's center (18 mm above the commissures): the first
WITH_TUMOR = 0.8  # of the patients
NO_POST, NO_PRE = 0.06, 0.04  # of the patients: FLAIR stands in that channel
PRE, FLAIR, POST = range(3)


@dataclass(frozen=True)
class Patient:
    """One simulated patient.

    `masks` is true where at least half of a pixel is tumor. `truth`: `has_tumor` (0 or 1),
    `tumor_ml` (volume of the whole tumor), `seen_ml` (area of its cuts by the slices times their
    spacing), `contrast` (how much brighter in FLAIR than white matter, as a share of that),
    `has_core`, `has_rim`, `spacing_mm` (between slices), `pixel_mm`, `noise` (standard deviation,
    as a share of white matter's signal), `missing` (channel that FLAIR stands in for, or -1).
    """

    name: str
    images: UInt8[np.ndarray, "slices height width 3"]
    masks: Bool[np.ndarray, "slices height width"]
    truth: dict[str, float]


@dataclass(frozen=True)
class Head:
    """A patient's slices before any image is taken, on a grid finer than pixels.

    `shares` are those of TISSUES, `level` is the tumor's in mm, above 0 inside.
    """

    person: Person
    tumor: Tumor | None
    grid: Grid
    shares: Shares
    level: Field


def cohort(patients: int, seed: int, *, height: int, width: int) -> Iterator[Patient]:
    """Yield `patients` patients; patient i depends on `seed` and i alone, not on their number.

    The anatomy keeps its proportions whatever `height` and `width` (pixels) are.
    """
    if min(patients, height, width) < 1 or seed < 0:
        raise ValueError("patients, height and width must be positive, seed not negative")
    for index in range(patients):
        yield patient(index, seed, height=height, width=width)


def patient(index: int, seed: int, *, height: int, width: int) -> Patient:
    """Return patient `index` (from 0) of the cohort `seed`."""
    rng = np.random.default_rng([seed, index])
    sick, complete = even(seed, index)
    pixel = FIELD_OF_VIEW / min(height, width)
    factor = max(2, round(pixel / SAMPLING))
    rows, columns = (centered(n * factor, pixel / factor) for n in (height, width))
    one = head(rng, sick < WITH_TUMOR, rows, columns)
    growth = one.tumor
    images, noise = acquire(rng, one, factor)
    missing = POST if complete < NO_POST else PRE if complete < NO_POST + NO_PRE else -1
    if missing >= 0:
        images[..., missing] = images[..., FLAIR]
    covered = area_average(np.clip(one.level * factor / pixel + 0.5, 0, 1), factor)
    spacing = float(one.grid.slices[1] - one.grid.slices[0])
    truth = {
        "has_tumor": growth is not None,
        "tumor_ml": growth.ml if growth else 0,
        "seen_ml": covered.sum() * pixel**2 * spacing / 1000,
        "contrast": growth.contrast if growth else 0,
        "has_core": growth is not None and growth.core,
        "has_rim": growth is not None and growth.rim,
        "spacing_mm": spacing,
        "pixel_mm": pixel,
        "noise": noise,
        "missing": missing,
    }
    return Patient(
        name=f"sim-{index + 1:04d}",
        images=images,
        masks=covered >= 0.5,
        truth={key: float(value) for key, value in truth.items()},
    )


def head(rng: np.random.Generator, sick: bool, rows: np.ndarray, columns: np.ndarray) -> Head:
    """Draw a patient, with a tumor where `sick`, in slices of the given `rows` and `columns`."""
    template = atlas()
    one = person(rng)
    heights = rng.uniform(*LOWEST) + rng.uniform(*SPACING) * np.arange(rng.integers(*SLICES) + 1)
    grid = Grid(heights.astype(np.float32), rows, columns)
    growth = None
    if sick:
        growth, one = tumor(rng, one, grid.slices, template)
    shares = tissues(one, grid, template)
    depth = np.full(shares.shape[1:], -50, np.float32)
    if growth:
        depth = level(growth, one, grid, template)
        shares = planted(shares, depth, refine(one.noise, one.coarse, grid), growth)
    return Head(one, growth, grid, shares, depth)


def acquire(
    rng: np.random.Generator, one: Head, factor: int
) -> tuple[UInt8[np.ndarray, "slices rows columns 3"], float]:
    """Return the images, and their noise as a share of white matter's signal.

    A pixel is the mean of `factor` x `factor` points; every channel has a brightness and a coil of
    its own, every slice is a little brighter or darker, and noise is that of magnitude images.
    """
    signal = np.tensordot(signals(rng, one.tumor.contrast if one.tumor else 0.0), one.shares, 1)
    rows, columns = (a.reshape(-1, factor).mean(1) for a in (one.grid.rows, one.grid.columns))
    pixels = Grid(one.grid.slices, rows, columns)
    brightness = np.exp(rng.uniform(np.log(55), np.log(105), 3))  # of white matter, of 255
    flicker = np.exp(0.03 * rng.standard_normal((3, len(pixels.slices), 1, 1)))
    depth = rng.uniform(0.1, 0.35, (3, 1, 1, 1))
    coil = depth * smooth_field(rng, one.person.coarse, 90.0, 3, REACH)
    coil = np.exp(refine(coil, one.person.coarse, pixels)) * flicker
    noise = float(rng.uniform(0.03, 0.08)) / float(rows[1] - rows[0])  # of 1 mm, averaged
    averages = np.stack([area_average(s, factor) for s in signal])
    images = rician((averages * coil).astype(np.float32), noise, rng)
    images *= brightness[:, None, None, None]
    return np.moveaxis(np.clip(np.rint(images), 0, 255), 0, -1).astype(np.uint8), noise


def even(seed: int, index: int) -> tuple[float, float]:
    """Return two numbers in [0, 1) of patient `index`, spread evenly over any cohort.

    They follow additive recurrences by irrational steps (golden ratio, square root of three).
    """
    start = np.random.default_rng(seed).random(2)
    one, two = (start + index * np.array([(5**0.5 - 1) / 2, 3**0.5 - 1])) % 1
    return float(one), float(two)
