"""What a segmenter is given: images as they are, denoised, partly denoised, or filtered."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from papers.ultrasound_diconvae.filters import BASELINES
from papers.ultrasound_diconvae.models.denoiser import DiConvAE

Images = UInt8[np.ndarray, "images height width 1"]
Denoiser = Callable[[Images], Float[np.ndarray, "images height width 1"]]


def make_inputs(variant: str, images: Images, denoiser: Denoiser | None) -> Images:
    """Return a variant of `config.input_variants` of the images, in their order.

    `denoiser` returns denoised images in [0, 1], as a predictor with `denoise` does; variants that
    are not denoised need none.
    """
    if variant == "raw":
        return images
    if not variant.startswith("denoised"):
        return in_8_bits(np.asarray(BASELINES[variant](images.astype(np.float32) / 255)))
    if denoiser is None:
        raise ValueError(f"{variant} images need a denoiser")
    strength = np.float32(variant.removeprefix("denoised") or 100) / 100
    return in_8_bits(images / np.float32(255) * (1 - strength) + strength * denoiser(images))


def denoise(
    network: DiConvAE, images: UInt8[Array, "batch height width 1"]
) -> Float[Array, "batch height width 1"]:
    """Return denoised images in [0, 1]."""
    return network(images.astype(jnp.float32) / 255)


def in_8_bits(images: np.ndarray) -> Images:
    """Return images of [0, 1] as an 8-bit PNG holds them."""
    return np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)
