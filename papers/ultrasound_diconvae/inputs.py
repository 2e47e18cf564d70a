"""What a segmenter is shown: pictures as they are, denoised, partly denoised, or filtered."""

import jax
import numpy as np
from flax import nnx
from jaxtyping import UInt8

from common.data.loader import in_batches
from papers.ultrasound_diconvae.config import Config
from papers.ultrasound_diconvae.filters import BASELINES
from papers.ultrasound_diconvae.models.denoiser import DiConvAE

Pictures = UInt8[np.ndarray, "pictures height width 1"]


def kinds(config: Config) -> tuple[str, ...]:
    """Return the kinds of pictures that segmenters are trained on.

    `denoised50` is half of the picture and half of the denoised one.
    """
    parts = [f"denoised{round(100 * strength)}" for strength in config.train.strengths]
    return ("raw", "denoised", *parts, *config.train.filters)


class Inputs:
    """Every kind of pictures, as 8-bit ones."""

    def __init__(self, config: Config, denoiser: DiConvAE):
        graph, state = nnx.split(denoiser)
        self._size = config.evaluate.batch_size
        self._run = jax.jit(lambda images: nnx.merge(graph, state)(images / 255))

    def __call__(self, kind: str, images: Pictures) -> Pictures:
        """Return the pictures of a kind, in the order of `images`."""
        if kind == "raw":
            return images
        if not kind.startswith("denoised"):
            return in_8_bits(np.asarray(BASELINES[kind](images.astype(np.float32) / 255)))
        strength = np.float32(kind.removeprefix("denoised") or 100) / 100
        return in_8_bits(
            images / np.float32(255) * (1 - strength) + strength * self._denoised(images)
        )

    def _denoised(self, images: Pictures) -> np.ndarray:
        """Return denoised pictures in [0, 1]."""
        return in_batches(self._run, images.astype(np.float32), self._size)


def in_8_bits(images: np.ndarray) -> Pictures:
    """Return pictures of [0, 1] as an 8-bit PNG holds them."""
    return np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)
