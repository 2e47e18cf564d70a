"""What the data sets are read into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8


@dataclass(frozen=True)
class Scan:
    """One image of a patient; `label` is 1 where it shows what is looked for, else 0."""

    name: str
    patient: str
    image: UInt8[np.ndarray, "height width"]
    label: int
