"""From the signal of a fine grid to an image: pixels and noise."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

Values = Float32[np.ndarray, "*points"]


def area_average(
    images: Float32[np.ndarray, "slices fine_rows fine_columns"], factor: int
) -> Float32[np.ndarray, "slices rows columns"]:
    """Return `images` made smaller by the whole `factor`, each pixel the mean of its square."""
    n, rows, columns = images.shape
    squares = images.reshape(n, rows // factor, factor, columns // factor, factor)
    return squares.mean((2, 4), dtype=np.float32)


def rician(images: Values, sigma: float, rng: np.random.Generator) -> Values:
    """Return magnitude images: complex normal noise of standard deviation `sigma` added."""
    real, imaginary = rng.standard_normal((2, *images.shape), np.float32) * np.float32(sigma)
    return np.hypot(images + real, imaginary)
