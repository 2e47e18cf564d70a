"""What is asked of a pipeline, checked before anything is drawn, and brought into arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from common.diffusion.multistep import PNDM, UniPC
from common.diffusion.samplers import DDIM, DDPM, Sampler
from common.diffusion.schedule import Schedule
from common.errors import InputError, nearest
from common.latent_diffusion.config import LatentDiffusionConfig, ScheduleConfig

Size = tuple[int, int]  # height and width
Seeds = Sequence[int] | Int[np.ndarray, " n"]
_SAMPLERS = ("pndm", "ddim", "ddpm", "unipc")


def resized(image: UInt8[np.ndarray, "_rows _columns 3"], size: Size) -> np.ndarray:
    """Return an RGB image in this height and width, [0, 1]: by Lanczos's filter, as diffusers."""
    if image.shape[:2] != size:
        lanczos = Image.Resampling.LANCZOS
        image = np.asarray(Image.fromarray(image).resize(size[::-1], lanczos))
    return image.astype(np.float32) / 255


def check_numbers(
    guidance_scale: float | int,
    control_scale: float | int,
    window: tuple[float | int, float | int],
    batch_size: int,
    chunk: int | None,
    watched: bool,
) -> None:
    """Raise InputError for a number that is out of its range."""
    for name, scale in (("guidance_scale", guidance_scale), ("control_scale", control_scale)):
        if not math.isfinite(scale):
            raise InputError(f"{name} {scale}: expected a finite number")
    if not 0 <= window[0] < window[1] <= 1:
        raise InputError(
            f"control_from {window[0]}, control_to {window[1]}: expected shares of the steps from "
            "0 to 1, the first below the second"
        )
    for name, count in (("batch_size", batch_size), ("chunk", chunk)):
        if count is not None and count < 1:
            raise InputError(f"{name} {count}: expected at least 1")
    if watched and chunk is None:
        raise InputError("on_preview needs chunk; give the number of steps between previews")


def prompts_and_seeds(
    prompts: str | Sequence[str], seeds: Seeds
) -> tuple[list[str], Int[np.ndarray, " n"]]:
    """Return one prompt for each seed."""
    numbers = np.asarray(seeds)
    if len(numbers) == 0:
        raise InputError("no seeds; give one for each image")
    if numbers.dtype.kind not in "iu" or numbers.min() < 0 or numbers.max() >= 2**32:
        raise InputError(f"seeds {list(seeds)[:3]}: expected whole numbers from 0 to 2^32 - 1")
    texts = [prompts] * len(numbers) if isinstance(prompts, str) else list(prompts)
    if len(texts) != len(numbers):
        raise InputError(f"{len(texts)} prompts for {len(numbers)} seeds; give one for each")
    return texts, numbers


def size_of(config: LatentDiffusionConfig, size: Size | None, **given: np.ndarray | None) -> Size:
    """Return height and width: `size`, those of the first image that is given, or the model's."""
    source, found = "size", size
    for name, images in given.items():
        if images is not None and images.ndim not in (3, 4):
            raise InputError(
                f"{name}: shape {images.shape}, expected [height, width, 3] for all images or "
                "[n, height, width, 3]"
            )
        if images is not None and found is None:
            source, found = name, (images.shape[-3], images.shape[-2])
    height, width = found or (config.side, config.side)
    multiple = config.vae.factor * config.unet.divisor
    if min(height, width) < 1 or height % multiple or width % multiple:
        raise InputError(
            f"{source} {height}x{width}: expected multiples of {multiple} pixels; see `resized`"
        )
    return height, width


def images_of(
    name: str, given: np.ndarray, count: int, size: Size
) -> Float[np.ndarray, "n height width 3"]:
    """Return `count` images in [0, 1], float32: those given, or the one that is given for all."""
    images = np.asarray(given, np.float32)
    if images.ndim == 3:
        images = np.broadcast_to(images, (count, *images.shape))
    expected = (count, *size, 3)
    if images.shape != expected:
        raise InputError(f"{name}: shape {images.shape}, expected {expected}; see `resized`")
    if not (images.min() >= 0 and images.max() <= 1):
        raise InputError(f"{name}: values outside [0, 1]; divide 8-bit images by 255")
    return images


def sampler_of(
    config: ScheduleConfig, schedule: Schedule, sampler: str | Sampler | None, steps: int
) -> Sampler:
    """Return the sampler of this name, or the model's, as Stable Diffusion's is set up."""
    if isinstance(sampler, Sampler):
        return sampler
    name = sampler or config.sampler
    if name not in _SAMPLERS:
        raise InputError(f"sampler {name!r}: {nearest(name, _SAMPLERS)}")
    if name == "ddpm":
        if steps != config.steps:
            raise InputError(
                f"steps {steps}: the sampler ddpm takes all {config.steps}; give as many, or "
                "another sampler"
            )
        return DDPM(config.steps, clip=None)
    if not 1 <= steps < config.steps:
        raise InputError(f"steps {steps}: expected 1 to {config.steps - 1}")
    if name == "pndm":
        return PNDM.of(schedule, steps)
    if name == "ddim":
        return DDIM(steps, train_steps=config.steps, offset=1, last=0, clip=None)
    spacing: Any = config.spacing or "linspace"
    return UniPC.of(schedule, steps, spacing)


def start_of(sampler: Sampler, strength: float | int) -> int:
    """Return the evaluation at which an image of this strength enters."""
    steps = getattr(sampler, "steps", len(sampler.times))
    taken = min(int(steps * strength), steps) if 0 < strength <= 1 else 0
    if taken < 1:
        raise InputError(
            f"strength {strength} of {steps} steps: expected above 0 to 1, and at least one step"
        )
    return steps - taken


def control_weights(
    evaluations: int, start: int, scale: float | int, window: tuple[float | int, float | int]
) -> Float[np.ndarray, " evaluations"]:
    """Return the ControlNet's weight at each evaluation, the first taken being `start`.

    It is `scale` where the evaluation lies whole within the window, shares of those taken.
    """
    taken = np.arange(evaluations - start)
    inside = (taken / len(taken) >= window[0]) & ((taken + 1) / len(taken) <= window[1])
    return np.concatenate([np.zeros(start), scale * inside]).astype(np.float32)


def region_of(
    given: np.ndarray, count: int, size: Size, factor: int
) -> Float[np.ndarray, "n rows columns 1"]:
    """Return 1 for latents that may change, of which any pixel does, else 0; for all or one each.

    Raises InputError for another shape or type, and for a region that is nowhere.
    """
    region = np.asarray(given)
    if region.ndim == 2:
        region = np.broadcast_to(region, (count, *region.shape))
    if region.dtype != bool or region.shape != (count, *size):
        raise InputError(
            f"region: {region.dtype} {region.shape}, expected bool {(count, *size)} or {size}"
        )
    if not region.reshape(count, -1).any(1).all():
        raise InputError("region: empty, so that nothing may change; mark some pixels")
    blocks = region.reshape(count, size[0] // factor, factor, size[1] // factor, factor)
    return blocks.max((2, 4))[..., None].astype(np.float32)
