"""The tissues' contrast in a T1 image."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

# The template's intensities of fluid, gray and white matter (medians), and where Cam-CAN's 8-bit
# T1 images have fluid and white matter on [0, 1].
TEMPLATE_FLUID, TEMPLATE_GRAY, TEMPLATE_WHITE = 75.0, 164.0, 223.0
FLUID, WHITE = 0.12, 0.75

Values = Float32[np.ndarray, "*points"]


def intensity(t1: Values, fluid: Values, gray_to_white: float) -> Values:
    """Return the noise-free signal on [0, 1] of template values `t1` and shares of sulcal fluid."""
    tissue = np.interp(
        t1,
        [0, TEMPLATE_FLUID, TEMPLATE_FLUID + 25, TEMPLATE_GRAY, TEMPLATE_WHITE, 255],
        [0, FLUID, FLUID + 0.03, WHITE * gray_to_white, WHITE, WHITE * 1.06],
    ).astype(np.float32)
    inside = np.clip(t1 / 60, 0, 1)
    return tissue + fluid * (FLUID * inside - tissue)
