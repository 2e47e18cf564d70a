"""Who the simulated people are: age, sex, head size, ventricles, sulci and tissue contrast.

Trends are published ones; each person lies somewhere around them.

Yamada et al. 2023, Eur Radiol 33:7099 (133 healthy adults, 21 to 92 years, table 1 and abstract):
    intracranial volume 1393 +- 91 ml in women, 1538 +- 137 ml in men; lateral ventricles 90% of
    all ventricles; fluid grows by 2% of the intracranial volume a decade.
Chung et al. 2006, Neurosci Lett 395:155 (218 adults): ventricles of 16.2 ml in the twenties.
Kaye et al. 1992, J Am Geriatr Soc 40:225 (107 adults): ventricles grow by 20% a decade (the same
    study sees them faster after about 50; kept constant here).
Salat et al. 2009, NeuroImage 48:21 (148 adults): the gray to white matter intensity ratio rises
    with age. The direction is theirs, the slope is our choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from papers.camcan_cfg.simulation.anatomy import Atlas

YOUNGEST, OLDEST = 18, 88  # Cam-CAN's range in years
FEMALE, MALE = 1, 2  # as in Cam-CAN's phenotype table
INTRACRANIAL_ML = {FEMALE: (1393.2, 91.2), MALE: (1538.2, 137.3)}  # mean, standard deviation
TEMPLATE_AGE = 25.0  # mean age of the people averaged in the ICBM152 template
LATERAL_ML = 16.2 * 22.6 / 25.2  # mean at the template's age, in a head of average size
AVERAGE_HEAD_ML = 1443.3
VENTRICULAR_GROWTH = 1.2  # factor a decade
# Yamada's lateral ventricles vary by 50% inside one sex; what age and head size do not explain of
# that variance (on the logarithmic scale) is this standard deviation.
VENTRICULAR_SPREAD = 0.35
FLUID_GROWTH = 0.02  # of the intracranial volume, a decade
# Of the 65 ml by which Yamada's fluid volumes vary, 3 ml a year explain 50; the 41 ml left are 3%
# of a head, and head size is part of them.
SULCAL_SPREAD = 0.02
GRAY_TO_WHITE, GRAY_TO_WHITE_SLOPE, GRAY_TO_WHITE_SPREAD = 0.65, 0.009, 0.015  # slope: a decade


@dataclass(frozen=True)
class Person:
    """One simulated person before any image is made.

    Age in years, sex 1 (female) or 2 (male), volumes in ml, `sulcal_fluid` as a share of the
    intracranial volume, `gray_to_white` the ratio of the tissues' intensities.
    """

    age: float
    sex: int
    intracranial_ml: float
    ventricle_ml: float
    sulcal_fluid: float
    gray_to_white: float


def generator(seed: int, index: int) -> np.random.Generator:
    """Return the random numbers of subject `index` of the cohort `seed`."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(index,))))


def age_and_sex(seed: int, index: int) -> tuple[float, int]:
    """Return age (whole years, 18 to 88) and sex of subject `index`.

    Both follow additive recurrences by irrational steps (golden ratio, square root of three):
    however many subjects there are, ages are spread evenly, sexes are balanced, and neither goes
    with the other nor with the index.
    """
    shift = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed))).random(2)
    age, sex = (shift + (index + 1) * np.array([(5**0.5 - 1) / 2, 3**0.5 - 1])) % 1
    return float(YOUNGEST + int(age * (OLDEST - YOUNGEST + 1))), FEMALE if sex < 0.5 else MALE


def lateral_ventricles_ml(age: float, intracranial_ml: float) -> float:
    """Return the expected volume of the lateral ventricles in ml at `age` years."""
    grown = VENTRICULAR_GROWTH ** ((age - TEMPLATE_AGE) / 10)
    return LATERAL_ML * grown * intracranial_ml / AVERAGE_HEAD_ML


def sulcal_growth(age: float) -> float:
    """Return the share of the intracranial volume that turns into sulcal fluid by `age` years.

    It is 0 at the template's age. All fluid grows linearly, and what the ventricles do not take
    goes to the sulci.
    """
    ventricles = lateral_ventricles_ml(age, 1.0) - lateral_ventricles_ml(TEMPLATE_AGE, 1.0)
    return FLUID_GROWTH * (age - TEMPLATE_AGE) / 10 - ventricles


def person(seed: int, index: int, rng: np.random.Generator, template: Atlas) -> Person:
    """Return subject `index` of the cohort `seed`, its deviations from the trend drawn from `rng`.

    Ventricles and sulci deviate together (correlation 0.5): some brains look older than they are.
    """
    age, sex = age_and_sex(seed, index)
    head, shared, ventricles, sulci, contrast = np.clip(rng.standard_normal(5), -2, 2)
    mean, deviation = INTRACRANIAL_ML[sex]
    intracranial = mean + deviation * head
    log_spread = VENTRICULAR_SPREAD * np.clip(np.sqrt(0.5) * (shared + ventricles), -2, 2)
    expected = lateral_ventricles_ml(age, intracranial) * np.exp(-(VENTRICULAR_SPREAD**2) / 2)
    scale = intracranial / template.intracranial_ml
    possible = template.flow_ml[[0, -1]] * scale
    fluid = template.own_sulcal_fraction + sulcal_growth(age)
    fluid += SULCAL_SPREAD * np.sqrt(0.5) * (shared + sulci)
    ratio = GRAY_TO_WHITE + GRAY_TO_WHITE_SLOPE * (age - TEMPLATE_AGE) / 10
    return Person(
        age=age,
        sex=sex,
        intracranial_ml=float(intracranial),
        ventricle_ml=float(np.clip(expected * np.exp(log_spread), *possible)),
        sulcal_fluid=float(np.clip(fluid, *template.sulcal_fractions[[0, -1]])),
        gray_to_white=float(ratio + GRAY_TO_WHITE_SPREAD * contrast),
    )
