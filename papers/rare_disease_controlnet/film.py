"""One chest film with what is known of it, whatever data set it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Literal

import numpy as np
from jaxtyping import Bool, UInt8

Side = Literal["", "left", "right", "both"]  # the patient's own; empty: nobody says


@dataclass(frozen=True)
class Film:
    """A gray frontal film (0 to 255, air is dark) and its findings; without one it is normal.

    `extent` says how large the finding is, from 0 to 1, and is NaN where nobody says. `mask` is
    where it lies and `structure` the same film without it; both are there for simulated films only.
    """

    name: str
    patient: str  # films of one patient never fall in different parts
    image: UInt8[np.ndarray, "height width"]
    findings: tuple[str, ...] = ()
    side: Side = ""
    extent: float = nan
    view: str = ""  # "PA", "AP", or empty where nobody says
    part: str = ""  # of the publisher's split: "train", "test", or empty where there is none
    mask: Bool[np.ndarray, "height width"] | None = None
    structure: UInt8[np.ndarray, "height width"] | None = None
