"""One patient's faces before and after surgery, whatever data set they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

DOMAINS = ("eyes", "nose", "chin")  # in the order of labels and amounts
REGIONS = ("background", "skin", "lips", "hair", "other")  # by label: 0 to 4
UNKNOWN = 255  # the label of pixels whose region nobody knows
LADDER = (-0.5, 0.0, 0.5, 1.0, 1.5, 2.0)  # shares of the operation that outputs are held against


@dataclass(frozen=True)
class Truth:
    """What is known of a pair whose operation was made here.

    `amounts` of the operation on eyes, nose and chin, 0 where there was none; `flow` in pixels
    (x, y): where the point seen at each pixel of the image before lies in the one after, minus
    where it is; `regions` of the image before, positions in REGIONS or UNKNOWN. `drawn` numbers
    the patient in the cohort; `landmarks` are points of the image before, (x, y) in pixels; `fine`
    is the photo before in more pixels, or a single one where it was rendered.
    """

    amounts: Float32[np.ndarray, 3]
    flow: Float32[np.ndarray, "height width 2"]
    regions: UInt8[np.ndarray, "height width"]
    drawn: int
    landmarks: Float32[np.ndarray, "points 2"]
    fine: UInt8[np.ndarray, "rows columns 3"]


@dataclass(frozen=True)
class Pair:
    """A patient's face before and after; `domains` says what was operated: eyes, nose, chin."""

    name: str
    patient: str  # pairs of one patient never fall in different parts
    before: UInt8[np.ndarray, "height width 3"]
    after: UInt8[np.ndarray, "height width 3"]
    domains: tuple[bool, bool, bool]
    truth: Truth | None = None
