"""What users choose when their ultrasound is denoised and segmented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from common.study.options import About, Probabilities, Threshold
from common.study.schema import Bounds

Millimeters = Annotated[float, Bounds(1e-3, 10.0)]


@dataclass(frozen=True)
class Options:
    """How large a pixel is, and what is predicted."""

    pixel_mm: Annotated[
        Millimeters | None,
        About("side of a pixel in mm, of images that do not say it; before what a CSV file says"),
    ] = None
    threshold: Threshold = None
    probabilities: Probabilities = False
