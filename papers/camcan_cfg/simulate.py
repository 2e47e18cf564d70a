"""The demo's stand-in for Cam-CAN: a cohort simulated from the MNI152 template.

Slices are cut as in the source (40 a head, from 20 below its middle to 19 above, 1 mm apart) and
keep the raw array order: rows run from left to right, columns from the back to the front. The
template has no skull, so unlike Cam-CAN's whole heads these are brains alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from common.anatomy.acquisition import area_average, rician
from common.anatomy.grid import Grid, centered, refine, smooth_field
from papers.camcan_cfg.simulation import acquisition, aging
from papers.camcan_cfg.simulation.anatomy import Atlas, atlas, sulcal_fluid
from papers.camcan_cfg.simulation.shape import REACH, template_points

FIELD_OF_VIEW = (160.0, 213.4)  # mm, height and width
SAMPLING = 1.6  # mm, about, between the points where the template is read; two or more a pixel
SULCAL_VARIATION = 0.7  # mm, how unevenly the sulci of one head widen (every 30 mm)
BIAS_SPACING = 90.0  # mm between the control points of the coil's sensitivity

Fields = Float32[np.ndarray, "6 slices rows columns"]
Slices = Float32[np.ndarray, "slices rows columns"]


@dataclass(frozen=True)
class Subject:
    """One simulated person.

    `age` in whole years (18 to 88), `sex` 1 (female) or 2 (male), `images` on [0, 1] from the
    lowest slice to the highest. `truth` says what was simulated: `intracranial_ml` and
    `ventricle_ml` (lateral ventricles) of the whole head, `gray_to_white` (intensity ratio),
    `deformation_mm` (mean length), `bias` (largest deviation of the coil's sensitivity from 1),
    `noise` (standard deviation in the images), and, measured in the slices, `seen_ventricle_ml`,
    `seen_sulcal_fluid` and `seen_gray_matter` (shares of the intracranial volume).
    """

    name: str
    age: float
    sex: int
    images: Float32[np.ndarray, "slices height width"]
    truth: dict[str, float]


def cohort(
    subjects: int, seed: int, *, height: int, width: int, slices: int = 40
) -> Iterator[Subject]:
    """Yield `subjects` people; subject i depends on `seed` and i alone, not on their number.

    The anatomy keeps its proportions whatever `height` and `width` (pixels) are.
    """
    if min(subjects, height, width, slices) < 1 or seed < 0:
        raise ValueError("subjects, height, width, slices must be positive, seed not negative")
    for index in range(subjects):
        yield subject(index, seed, height=height, width=width, slices=slices)


def subject(index: int, seed: int, *, height: int, width: int, slices: int = 40) -> Subject:
    """Return subject `index` (from 0) of the cohort `seed`."""
    template = atlas()
    rng = aging.generator(seed, index)
    person = aging.person(seed, index, rng, template)
    pixel = max(FIELD_OF_VIEW[0] / height, FIELD_OF_VIEW[1] / width)
    factor = max(2, round(pixel / SAMPLING))
    fine = Grid(
        slices=np.arange(slices, dtype=np.float32) - slices // 2,
        rows=centered(height * factor, pixel / factor),
        columns=centered(width * factor, pixel / factor),
    )
    coarse = fine.coarse()
    points, deformation = template_points(coarse, person, rng, template)
    widening = SULCAL_VARIATION * smooth_field(rng, coarse, 30.0, 1, REACH)[0]
    widening += np.interp(person.sulcal_fluid, template.sulcal_fractions, template.widths)
    bias = float(rng.uniform(0.1, 0.3)) * smooth_field(rng, coarse, BIAS_SPACING, 1, REACH)[0]
    fields = np.stack([*points, widening, bias, template.distance(points)])
    signal = render(refine(fields, coarse, fine), person.gray_to_white, template)
    signal *= np.float32(rng.uniform(0.92, 1.08))
    noise = rng.uniform(0.015, 0.035) / pixel  # of a voxel of 1 mm, averaged over the pixel
    images = rician(area_average(signal, factor), noise, rng)
    truth = {
        "intracranial_ml": person.intracranial_ml,
        "ventricle_ml": person.ventricle_ml,
        "gray_to_white": person.gray_to_white,
        "deformation_mm": deformation,
        "bias": float(np.abs(np.expm1(bias)).max()),
        "noise": float(noise),
    }
    name = f"sim-{index + 1:04d}"
    truth |= measure(fields, coarse.cell_ml(), template)
    return Subject(name, person.age, person.sex, np.minimum(images, 1), truth)


def render(fields: Fields, gray_to_white: float, template: Atlas) -> Slices:
    """Return the noise-free signal where `fields` (template x, y, z; sulcal widening in mm;
    logarithm of the coil's sensitivity; rough distance from the sulci in mm) are given.
    """
    head = fields[5] > -5  # the rest is air
    points = fields[:3, head]
    fluid = sulcal_fluid(template.distance(points), fields[3, head])
    signal = np.zeros(head.shape, np.float32)
    tissue = acquisition.intensity(template.sample(template.t1, points), fluid, gray_to_white)
    signal[head] = tissue * np.exp(fields[4, head])
    return signal


def measure(fields: Fields, cell_ml: float, template: Atlas) -> dict[str, float]:
    """Return what of the brain lies in the slices; arguments as in `render`, ml a grid point."""
    head = fields[5] > -5
    points = fields[:3, head]
    inside = template.sample(template.t1, points) > 40
    fluid = sulcal_fluid(fields[5, head], fields[3, head])[inside]
    gray = template.sample(template.gray, points)[inside] * (1 - fluid)
    ventricles = template.sample(template.ventricles, points)
    return {
        "seen_ventricle_ml": float(ventricles.sum()) * cell_ml,
        "seen_sulcal_fluid": float(fluid.mean()),
        "seen_gray_matter": float(gray.mean()),
    }
