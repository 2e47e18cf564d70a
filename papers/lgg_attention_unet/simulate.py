"""The demo's stand-in for LGG MRI Segmentation: heads around the MNI152 brain, tumours in 80%.

Slices lie as the Kaggle pictures do: the lowest first, the face up, the patient's right on the
left. The channels are pre-contrast T1, FLAIR and post-contrast T1; where a patient has no pre- or
no post-contrast picture, FLAIR is repeated in its place, as there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from common.anatomy.acquisition import area_average, rician
from common.anatomy.grid import Grid, centred, refine, smooth_field
from papers.lgg_attention_unet.simulation import contrast
from papers.lgg_attention_unet.simulation.atlas import atlas
from papers.lgg_attention_unet.simulation.person import REACH, Person, person, tissues
from papers.lgg_attention_unet.simulation.tumour import level, planted, tumour

FIELD_OF_VIEW = 224.0  # mm, height and width
SAMPLING = 1.2  # mm, about, between the points where the template is read
WITH_TUMOUR = 0.8  # of the patients
NO_POST, NO_PRE = 0.06, 0.04  # of the patients: FLAIR stands in that channel
PRE, FLAIR, POST = range(3)


@dataclass(frozen=True)
class Patient:
    """One simulated patient.

    `masks` is true where at least half of a pixel is tumour. `truth`: `has_tumour` (0 or 1),
    `tumour_ml` (volume of the whole tumour), `seen_ml` (of its cut through the slices times their
    spacing), `contrast` (how much brighter in FLAIR than white matter, as a share of that),
    `has_core`, `has_rim`, `spacing_mm` (between slices), `pixel_mm`, `noise` (standard deviation,
    share of white matter's signal), `missing` (channel that FLAIR stands in for, or -1).
    """

    name: str
    images: UInt8[np.ndarray, "slices height width 3"]
    masks: Bool[np.ndarray, "slices height width"]
    truth: dict[str, float]


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
    template = atlas()
    rng = np.random.default_rng([seed, index])
    one = person(rng)
    spacing = float(rng.uniform(6.5, 8.0))
    lowest = float(rng.uniform(-56.0, -46.0))
    heights = (lowest + spacing * np.arange(rng.integers(9, 13))).astype(np.float32)
    sick, whole = even(seed, index)
    growth = None
    if sick < WITH_TUMOUR:
        growth, one = tumour(rng, one, heights, template)
    pixel = FIELD_OF_VIEW / min(height, width)
    factor = max(1, round(pixel / SAMPLING))
    rows, columns = (
        centred(height * factor, pixel / factor),
        centred(width * factor, pixel / factor),
    )
    fine = Grid(heights, rows, columns)
    shares = tissues(one, fine, template)
    covered = np.zeros(shares.shape[1:], np.float32)
    if growth is not None:
        depth = level(growth, one, fine, template)
        covered = (depth > 0).astype(np.float32)
        shares = planted(shares, depth, refine(one.noise[1], one.coarse, fine), growth)
    table = contrast.signals(rng, growth.contrast if growth else 0.0)
    pictures, noise = acquire(rng, np.tensordot(table, shares, 1), one, fine, factor)
    missing = POST if whole < NO_POST else PRE if whole < NO_POST + NO_PRE else -1
    if missing >= 0:
        pictures[missing] = pictures[FLAIR]
    truth = {
        "has_tumour": float(growth is not None),
        "tumour_ml": growth.ml if growth else 0.0,
        "seen_ml": float(covered.sum()) * (pixel / factor) ** 2 * spacing / 1000,
        "contrast": growth.contrast if growth else 0.0,
        "has_core": float(growth is not None and growth.core),
        "has_rim": float(growth is not None and growth.rim),
        "spacing_mm": spacing,
        "pixel_mm": pixel,
        "noise": noise,
        "missing": float(missing),
    }
    return Patient(
        name=f"sim-{index + 1:04d}",
        images=np.moveaxis(pictures, 0, -1).astype(np.uint8),
        masks=area_average(covered, factor) >= 0.5,
        truth=truth,
    )


def acquire(
    rng: np.random.Generator,
    signal: Float32[np.ndarray, "3 slices fine_rows fine_columns"],
    one: Person,
    fine: Grid,
    factor: int,
) -> tuple[Float32[np.ndarray, "3 slices rows columns"], float]:
    """Return the pictures on [0, 255] and their noise: pixels, coil, brightness of each channel
    and slice, noise.
    """
    pixel = float(fine.rows[1] - fine.rows[0]) * factor
    noise = float(rng.uniform(0.03, 0.08)) / pixel
    gains = np.exp(rng.uniform(np.log(55), np.log(105), 3))
    bias = [rng.uniform(0.1, 0.35) * smooth_field(rng, one.coarse, 90.0, 1, REACH) for _ in gains]
    flicker = np.exp(0.03 * rng.standard_normal((3, len(fine.slices), 1, 1)))
    pictures = []
    pixels = Grid(fine.slices, *(a.reshape(-1, factor).mean(1) for a in (fine.rows, fine.columns)))
    for channel in range(3):
        coil = np.exp(refine(bias[channel], one.coarse, pixels)[0]) * flicker[channel]
        picture = area_average(signal[channel], factor) * coil
        picture = gains[channel] * rician(picture.astype(np.float32), noise, rng)
        pictures.append(np.clip(np.rint(picture), 0, 255))
    return np.stack(pictures).astype(np.float32), noise


def even(seed: int, index: int) -> tuple[float, float]:
    """Return two numbers in [0, 1) of patient `index`, spread evenly over any cohort.

    They follow additive recurrences by irrational steps (golden ratio, square root of three).
    """
    start = np.random.default_rng(seed).random(2)
    one, two = (start + index * np.array([(5**0.5 - 1) / 2, 3**0.5 - 1])) % 1
    return float(one), float(two)
