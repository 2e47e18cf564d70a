"""From line integrals to a gray film: scattered rays, quantum noise, and the window it is shown in.

A film and the same film without its finding are exposed alike: with the same noise, and windowed
by the one without. So they are equal wherever their line integrals are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from papers.rare_disease_controlnet.simulation.anatomy import centers

AERATED = 0.3  # line integral of lung from which a pixel is taken as lung by the automatic window
BLACK = 4  # gray value outside the collimator's field

Pixels = Float32[np.ndarray, "rows columns"]
Gray = UInt8[np.ndarray, "rows columns"]
Mask = Bool[np.ndarray, "rows columns"]


@dataclass(frozen=True)
class Exposure:
    """How a film is taken and shown."""

    dose: float  # rays per mm² that reach the detector where nothing is in their way
    scatter: float  # scattered rays, as a share of the mean of those that come straight
    lung: float  # gray that the middle of all lung gets, 0 to 1
    dense: float  # gray of the densest parts
    gamma: float
    field: tuple[float, float, float, float]  # mm from the middle: up, down, right, left


@dataclass(frozen=True)
class Window:
    """Logarithms of the signal that become two grays."""

    lung: float
    dense: float


def draw(rng: np.random.Generator) -> Exposure:
    """Draw an exposure; three films of ten show the collimator's edges."""
    margins = rng.uniform(138, 148, 4) if rng.random() < 0.3 else np.full(4, 1e3)
    return Exposure(
        dose=float(np.exp(rng.uniform(np.log(4e3), np.log(3e4)))),
        scatter=float(rng.uniform(0.1, 0.3)),
        lung=float(rng.uniform(0.24, 0.36)),
        dense=float(rng.uniform(0.88, 0.96)),
        gamma=float(rng.uniform(0.9, 1.15)),
        field=(float(margins[0]), float(margins[1]), float(margins[2]), float(margins[3])),
    )


@dataclass(frozen=True)
class Detector:
    """An exposure of one patient: the same for all that is put into that patient."""

    exposure: Exposure
    scattered: float  # share of the rays that were sent
    window: Window
    exposed: Mask  # the collimator's field
    noise: Pixels  # standard normal
    rays: float  # per pixel

    def film(self, integrals: Pixels) -> Gray:
        """Return the gray film of line integrals.

        The number of rays is normal with the mean as its variance, what Poisson's is about from
        20 rays on: the noise of a pixel so depends on its own line integral alone.
        """
        shown = np.exp(-integrals) + np.float32(self.scattered)
        noisy = shown + np.sqrt(shown / np.float32(self.rays)) * self.noise
        signal = -np.log(np.maximum(noisy, np.float32(1e-4)))
        share = (signal - np.float32(self.window.lung)) / np.float32(
            self.window.dense - self.window.lung
        )
        low, high = self.exposure.lung, self.exposure.dense
        gray = np.clip(low + (high - low) * share, 0, 1) ** np.float32(self.exposure.gamma)
        return np.where(self.exposed, np.rint(255 * gray), BLACK).astype(np.uint8)


def set_up(
    exposure: Exposure, rng: np.random.Generator, integrals: Pixels, lungs: Pixels
) -> Detector:
    """Return the detector for a patient's line integrals, and for those in the lungs among them."""
    size = len(integrals)
    direct = np.exp(-integrals)
    scattered = exposure.scatter * float(direct.mean())
    signal = -np.log(direct + np.float32(scattered))
    axis = centers(size)
    up, down, right, left = exposure.field
    rows, columns = (axis > -up) & (axis < down), (axis > -right) & (axis < left)
    return Detector(
        exposure=exposure,
        scattered=scattered,
        window=Window(
            lung=float(np.median(signal[lungs > AERATED])),
            dense=float(np.percentile(signal, 98)),
        ),
        exposed=rows[:, None] & columns,
        noise=rng.standard_normal((size, size), np.float32),
        rays=exposure.dose * float(axis[1] - axis[0]) ** 2,
    )
