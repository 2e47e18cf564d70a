"""The demo's stand-in: chest films simulated from one labeled CT.

Its line integrals by structure are varied (build, stance, breath, densities), a finding is put in,
and the sum is exposed (simulation/). What is unknown of real films is known of these: where the
finding lies, how large it is, and the very same film without it. All films show one person's
anatomy, bent and scaled; every film still is a patient of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from common.errors import InputError, nearest
from papers.rare_disease_controlnet.config import DataConfig
from papers.rare_disease_controlnet.film import Film, Side
from papers.rare_disease_controlnet.simulation import exposure, findings, habitus
from papers.rare_disease_controlnet.simulation.anatomy import FIELD, Anatomy, Pixels, anatomy
from papers.rare_disease_controlnet.simulation.findings import Cut, Lung
from papers.rare_disease_controlnet.simulation.projection import CUT, SOFT, rib

COHORT_SEED = 13  # the same for all runs
NORMAL = "normal"
FINDINGS = ("effusion", "pneumothorax", "nodule", "fracture")
KINDS = (NORMAL, *FINDINGS)  # their order is part of the seed
FRACTURE_SIZE = 256  # pixels from which a broken rib can be seen

Change = Callable[[float], Pixels]  # of line integrals, by extent


@dataclass(frozen=True)
class Case:
    """A patient before the film is taken: line integrals without the finding, and the finding."""

    integrals: Pixels
    lungs: Pixels  # among them, what is lost in the lungs
    change: Change
    side: Side
    extent: float


def films(config: DataConfig) -> Iterator[Film]:
    """Yield the films of a config, at once refused where it asks for what films cannot show.

    First those without a finding, then those of every finding as named, `config.films` of each. A
    film depends on its kind, number and size alone. Raises InputError for a finding there is none
    of, a fracture on films too small for it, and where the CT is not to be had.
    """
    check(config)
    kinds = zip((NORMAL, *config.findings), config.films, strict=True)
    asked = [(kind, number) for kind, count in kinds for number in range(1, count + 1)]
    anatomy(config.size)
    return (film(kind, number, config.size) for kind, number in asked)


def check(config: DataConfig) -> None:
    """Raise InputError for findings that cannot be simulated, or not at this size."""
    for name in config.findings:
        if name not in FINDINGS:
            raise InputError(
                f"data.findings: no simulated film shows {name!r}, {nearest(name, FINDINGS)}"
            )
    if "fracture" in config.findings and config.size < FRACTURE_SIZE:
        raise InputError(
            f"data.findings: a fracture cannot be seen on films of data.size={config.size}; set "
            f"data.size={FRACTURE_SIZE} or more, or leave it out"
        )


def film(kind: str, number: int, size: int) -> Film:
    """Return film `number` (from 1) of a kind, "normal" or one of `FINDINGS`."""
    rng = np.random.default_rng([COHORT_SEED, KINDS.index(kind), number])
    shown = exposure.draw(rng)
    one = case(rng, anatomy(size), kind, size)
    detector = exposure.set_up(shown, rng, one.integrals, one.lungs)
    structure = detector.film(one.integrals)
    change = one.change(one.extent)
    name = f"{kind}-{number:04d}"
    return Film(
        name=name,
        patient=name,
        image=detector.film(one.integrals + change),
        findings=() if kind == NORMAL else (kind,),
        side=one.side,
        extent=one.extent,
        view="PA",
        mask=findings.mask(change) & detector.exposed,
        structure=structure,
    )


def case(rng: np.random.Generator, given: Anatomy, kind: str, size: int) -> Case:
    """Draw a patient with a finding of some side and extent, above 0 and up to 1."""
    patient = habitus.draw(rng)
    body = habitus.place(given, patient, size)
    side: Side = "left" if rng.random() < 0.5 else "right"
    extent = 1 - rng.random()
    if kind == NORMAL:
        side, extent = "", 0.0
    lungs = body.maps["lung_left"] + body.maps["lung_right"]
    change = _change(rng, given, patient, body, kind, side)
    return Case(body.total(), lungs, change, side, extent)


def lung_of(given: Anatomy, body: habitus.Body, side: str) -> Lung:
    """Return one lung of a patient on the film."""
    down, left = body.places[f"lung_{side}"]
    box = given.boxes[side]
    high, wide = box.bottom - box.top, box.lateral - box.medial

    def inside(height: Pixels, lateral: Pixels) -> Pixels:
        places = box.bottom - height * np.float32(high), box.medial + lateral * np.float32(wide)
        return given.sample(f"inside_{side}", *places)

    return Lung(
        attenuation=body.maps[f"lung_{side}"],
        thickness=given.sample(f"thickness_{side}", down, left),
        height=((box.bottom - down) / high).astype(np.float32),
        lateral=((left - box.medial) / wide).astype(np.float32),
        size=(high, abs(wide)),
        inside=inside,
    )


def _change(
    rng: np.random.Generator,
    given: Anatomy,
    patient: habitus.Habitus,
    body: habitus.Body,
    kind: str,
    side: str,
) -> Change:
    """Return what a finding of this kind changes, its place drawn."""
    if kind == NORMAL:
        return lambda extent: np.zeros_like(body.maps[SOFT])
    if kind == "fracture":
        names = [rib(side, number) for number in CUT]
        name = names[int(rng.integers(len(names)))]
        cut = _cut(rng, given.ribs[name])

        def broken(extent: float) -> Pixels:
            change = findings.fracture(
                lambda down, left: given.sample(name, down, left),
                *body.places["ribs_back"],
                cut,
                extent,
            )
            return change * np.float32(patient.bone)

        return broken
    lung = lung_of(given, body, side)
    if kind == "effusion":
        return lambda extent: findings.effusion(lung, extent)
    if kind == "pneumothorax":
        return lambda extent: findings.pneumothorax(lung, extent, FIELD / len(lung.height))
    down, left = given.open[side][int(rng.random() * len(given.open[side]))]
    y, x = body.places[f"lung_{side}"]
    away = np.hypot(y - np.float32(down), x - np.float32(left))
    return lambda extent: findings.nodule(lung, away, extent)


def _cut(rng: np.random.Generator, line: np.ndarray) -> Cut:
    """Draw where a rib breaks: between the middle and the outer end of its half in the back."""
    at = int(rng.uniform(0.45, 0.8) * len(line))
    near = line[max(at - 8, 0)], line[min(at + 8, len(line) - 1)]
    ahead, aside = (near[1] - near[0]) / np.linalg.norm(near[1] - near[0])
    return Cut(float(line[at, 0]), float(line[at, 1]), (float(ahead), float(aside)))
