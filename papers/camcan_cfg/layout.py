"""What every data set of the study is read into: subjects with numbered axial slices.

Slice numbers are those of the MNI152 grid of 2 mm (91 x 109 x 91 voxels): number n lies at
z = 2 n - 72 mm. That is the source's numbering: it uses the index in the volume, and the numbers
in its published validation.csv run from 25 to 64, which is shape[2] // 2 - 20 … + 19 for 90 or 91
slices. Slices lie as the source's arrays do: rows from left to right of the head, columns from
back to front, so that `np.rot90` shows them with the face up. The simulated cohort keeps the
numbers, but its slices are 1 mm apart about the middle: the part of the head where aging shows.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

MIDDLE = 45  # number of the slice in the middle of the volume
CROWN = 81.0  # slice number of a head's top: z = 90 mm
SEXES = {1: "female", 2: "male"}


@dataclass(frozen=True)
class SubjectSlices:
    """One subject: age in years, sex 1 (female) or 2 (male), slices from the lowest upwards."""

    name: str
    age: float
    sex: int
    numbers: Int[np.ndarray, " slices"]
    images: Float[np.ndarray, "slices height width"]


def slice_numbers(slices: int) -> Int[np.ndarray, " {slices}"]:
    """Return the numbers of as many slices around the middle as asked for: 25 … 64 for 40."""
    return np.arange(slices) + MIDDLE - slices // 2
