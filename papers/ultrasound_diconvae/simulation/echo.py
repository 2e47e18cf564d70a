"""From tissue to echoes: the point-spread function, the envelope, and its mean without speckle.

With many scatterers in a resolution cell, their echoes add up to a complex normal number (Goodman;
Wagner et al. 1983): (1) s = A + h * (a n), where n is complex white noise of variance 1, a² what a
place scatters back, h the point-spread function with the sum of h² being 1, and A the echo of
smooth surfaces, which does not depend on where scatterers lie. The envelope |s| is Rayleigh where
A is 0: mean over standard deviation is sqrt(pi / (4 - pi)) = 1.913. Over all ways to place the
scatterers the intensity is (2) I = h² * a², and the logarithm that an image shows is
(3) E ln |s|² = ln A² + E1(A² / I), which is ln I - 0.577 where A is 0: the image without speckle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex64, Float32
from scipy import fft, special

from papers.ultrasound_diconvae.simulation.view import Points, View

PULSE = 0.9  # standard deviation of the pulse's envelope along the beam, in wavelengths
BEAM = 0.6  # of the beam across, in wavelengths x depth / aperture
APERTURE = 17.0  # mm, of the array's active part
SMALLEST_RATIO = 2.0  # of depth to aperture
DEFOCUS = 0.012  # mm of width for a mm away from the focus
DECIBEL = 10 / np.log(10)


@dataclass(frozen=True)
class Tissue:
    """What lies at the points of the beams."""

    scatter: Points  # intensity that scatterers send back; 1 is soft tissue of the mother
    mirror: Points  # amplitude that smooth surfaces send back to the array
    loss: Points  # dB in a mm, there and back, more than the gain over depth makes up for


@dataclass(frozen=True)
class Echo:
    """What comes back: amplitude of the scatterers of every point, and after blurring both kinds.

    `intensity` is the mean intensity that scatterers give a point of the image, I of equation 2,
    `surface` the amplitude of smooth surfaces there, A of equation 1.
    """

    scattered: Points
    intensity: Points
    surface: Points

    def envelope(self, rng: np.random.Generator, view: View) -> Points:
        """Return the envelope of equation 1: the scatterers lie somewhere."""
        real, imaginary = rng.standard_normal((2, *self.scattered.shape), np.float32)
        noise = (real + 1j * imaginary) * np.float32(np.sqrt(0.5))
        return np.abs(self.surface + blurred(self.scattered * noise, view, power=1))

    def log_mean(self) -> Points:
        """Return the mean of the logarithm of the envelope's square: equation 3."""
        ratio = np.maximum(self.surface**2 / self.intensity, np.float32(1e-6))
        return np.log(self.intensity) + np.log(ratio) + special.exp1(ratio)


def echo(tissue: Tissue, view: View) -> Echo:
    """Return the echoes of tissue, attenuated on the way there and back."""
    way = np.cumsum(tissue.loss, 0, dtype=np.float32) * np.float32(view.step)
    left = np.exp(-np.clip(way, -9, 90) / np.float32(DECIBEL))
    scattered = tissue.scatter * left
    surface = tissue.mirror * np.sqrt(left)
    return Echo(
        scattered=np.sqrt(scattered),
        intensity=np.maximum(_real_blurred(scattered, view, 2), np.float32(1e-9)),
        surface=np.maximum(_real_blurred(surface, view, 0), np.float32(0)),
    )


def blurred(
    field: Complex64[np.ndarray, "depths beams"], view: View, power: int
) -> Complex64[np.ndarray, "depths beams"]:
    """Return a field convolved with the point-spread function, which widens with depth.

    `power` 1 is the function h itself, the sum of h² being 1, and 2 is h²: amplitudes and
    intensities of scatterers. 0 is h with the sum 1: amplitudes of surfaces.
    """
    along = _bell(
        np.array([PULSE * view.wavelength / 2 / view.step], np.float32), len(view.depths), power
    )
    reach = np.float32(view.radius) + view.depths
    ratio = np.maximum(view.depths / APERTURE, SMALLEST_RATIO)
    width = np.hypot(BEAM * view.wavelength * ratio, DEFOCUS * (view.depths - view.focus))
    angle = view.angles[1] - view.angles[0]
    across = _bell((width / (reach * angle)).astype(np.float32), len(view.angles), power)
    spectrum = fft.fft(field, axis=1) * across
    spectrum = fft.ifft(fft.fft(spectrum, axis=0) * along.T, axis=0)
    return fft.ifft(spectrum, axis=1)


def _real_blurred(field: Points, view: View, power: int) -> Points:
    return np.real(blurred(field.astype(np.complex64), view, power))


def _bell(
    sigma: Float32[np.ndarray, " rows"], count: int, power: int
) -> Float32[np.ndarray, "rows count"]:
    """Return the transfer function of Gaussians with standard deviations in points, on a ring."""
    away = np.minimum(np.arange(count), count - np.arange(count)).astype(np.float32)
    bell = np.exp(-0.5 * (away / sigma[:, None]) ** 2)
    if power:
        bell /= np.sqrt((bell**2).sum(1, keepdims=True))
    if power == 2:
        bell = bell**2
    if power == 0:
        bell /= bell.sum(1, keepdims=True)
    return np.real(fft.fft(bell, axis=1)).astype(np.float32)
