"""From prompts to images: text to image, image to image, ControlNet.

Equal to diffusers' `StableDiffusionPipeline`, `StableDiffusionImg2ImgPipeline` and
`StableDiffusionControlNetPipeline` for the same start noise. All steps are one program on the
device; it serves any prompt, seed, guidance scale above 1, control scale and strength. An image
depends on its own seed alone, whatever is drawn beside it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from common.diffusion.samplers import Sampler
from common.diffusion.sampling import noise_of_seeds, sample
from common.diffusion.schedule import Schedule
from common.diffusion.unet.unet import UNet
from common.errors import InputError
from common.latent_diffusion.clip_text import TextEncoder
from common.latent_diffusion.config import LatentDiffusionConfig
from common.latent_diffusion.controlnet import ControlNet
from common.latent_diffusion.denoiser import Denoiser
from common.latent_diffusion.inputs import (
    Seeds,
    check_numbers,
    control_weights,
    images_of,
    prompts_and_seeds,
    region_of,
    sampler_of,
    size_of,
    start_of,
)
from common.latent_diffusion.tokenizer import Tokenizer
from common.latent_diffusion.vae import VAE, to_unit_range
from common.nn.predictor import in_batches

Images = Float[np.ndarray, "n height width rgb"]
Preview = Callable[[int, int, Images], object]
_PIXELS_AT_ONCE = 4 * 512 * 512  # that are encoded or decoded
_PROMPTS_AT_ONCE = 2  # always as many, so that a prompt's bits do not depend on the others


@dataclass
class Pipeline:
    """A latent diffusion model, all parts; `common.latent_diffusion.checkpoint` loads one."""

    config: LatentDiffusionConfig
    tokenizer: Tokenizer
    text: TextEncoder
    unet: UNet
    vae: VAE
    controlnet: ControlNet | None = None

    @cached_property
    def schedule(self) -> Schedule:
        """The noise schedule."""
        config = self.config.schedule
        return Schedule.scaled_linear(config.steps, config.beta_start, config.beta_end)

    def __call__(self, prompts: str | Sequence[str], seeds: Seeds, **options: Any) -> Images:
        """Return one image in [0, 1] per seed, float32 RGB; `options` as in `draw`."""
        return np.concatenate(list(self.draw(prompts, seeds, **options)))

    def draw(
        self,
        prompts: str | Sequence[str],
        seeds: Seeds,
        *,
        negative: str = "",
        steps: int = 50,
        sampler: str | Sampler | None = None,
        guidance_scale: float | int = 7.5,
        size: tuple[int, int] | None = None,
        hint: np.ndarray | None = None,
        control_scale: float | int = 1.0,
        control_from: float | int = 0.0,
        control_to: float | int = 1.0,
        guess: bool = False,
        image: np.ndarray | None = None,
        strength: float | int = 0.8,
        region: np.ndarray | None = None,
        noise: Float[np.ndarray, "n rows columns channels"] | None = None,
        batch_size: int = 4,
        chunk: int | None = None,
        on_preview: Preview | None = None,
        mesh: Mesh | None = None,
    ) -> Iterator[Images]:
        """Yield the images, a batch at a time, float32 RGB in [0, 1].

        Args:
            prompts: one for all seeds, or one for each.
            seeds: of the images; the same seed draws the same image in any batch.
            negative: what the guidance leads away from.
            steps: of the sampler.
            sampler: "pndm", "ddim", "ddpm", "unipc", or any of its own; the model's if None.
            guidance_scale: equation (2) of `common.diffusion.guidance`; 1 and below: none.
            size: height and width in pixels; by default the hint's, the image's or the model's.
            hint: what the ControlNet follows, [height, width, 3] for all or one each, in [0, 1].
            control_scale: what its residuals are multiplied by.
            control_from, control_to: the share of the steps from and up to which it is heeded.
            guess: it alone leads: it sees the prompt's half only, its fine residuals count less.
            image: where to begin, [height, width, 3] for all or one each, in [0, 1].
            strength: the share of the steps that are taken from there, above 0 up to 1.
            region: where the image may change, bool [height, width] for all or one each; outside
                of it the image stays, as the autoencoder has it. None is everywhere.
            noise: standard normal latents to begin with, else drawn from the seeds.
            batch_size: images drawn at once; a batch is filled up to it.
            chunk: steps after which the host gets control.
            on_preview: then called with the number of images drawn before, of steps done, and the
                images that the batch stands for; cancels by raising.
            mesh: devices to share a batch among.

        Raises:
            InputError: arguments that do not go together, or out of their ranges.
        """
        texts, numbers = prompts_and_seeds(prompts, seeds)
        window = (control_from, control_to)
        check_numbers(guidance_scale, control_scale, window, batch_size, chunk, bool(on_preview))
        if hint is not None and self.controlnet is None:
            raise InputError("a hint needs a ControlNet; load the model with one")
        if guess and hint is None:
            raise InputError("guess needs a hint, which then leads alone")
        solver = sampler_of(self.config.schedule, self.schedule, sampler, steps)
        height, width = size_of(self.config, size, hint=hint, image=image)
        count, factor = len(numbers), self.config.vae.factor
        shape = (height // factor, width // factor, self.config.vae.latent_channels)
        if noise is not None and noise.shape != (count, *shape):
            raise InputError(f"noise: shape {noise.shape}, expected {(count, *shape)}")
        if hint is not None:
            hint = images_of("hint", hint, count, (height, width))
        if image is not None:
            image = images_of("image", image, count, (height, width))
        if region is not None:
            if image is None:
                raise InputError("a region needs an image, which stays outside of it")
            region = region_of(region, count, (height, width), factor)
        start = 0 if image is None else start_of(solver, strength)
        guided = guidance_scale > 1
        denoiser = self._denoiser(hint is not None, guess, guided)
        contexts = self.encode_text([negative, *texts])
        unconditional: dict[str, Any] = {"context": contexts[0]}
        stepwise = None
        if hint is not None:
            unconditional["hint"] = None  # both halves of the guidance have the same
            stepwise = control_weights(len(solver.times), start, control_scale, window)
        for row in range(0, count, batch_size):
            rows = slice(row, min(row + batch_size, count))
            condition = {"context": contexts[1:][rows]}
            if hint is not None:
                condition["hint"] = self.encode_hint(hint[rows], batch_size)
            initial = None
            if image is not None:
                initial = self.encode(image[rows], numbers[rows], batch_size)
            latents, _ = sample(
                denoiser,
                self.schedule,
                condition,
                numbers[rows],
                sampler=solver,
                shape=shape,
                guidance_scale=float(guidance_scale) if guided else 1.0,
                unconditional=unconditional,
                stepwise=stepwise,
                noise=None if noise is None else noise[rows],
                initial=initial,
                start=start,
                region=None if region is None else region[rows],
                batch_size=batch_size,
                chunk=chunk,
                on_chunk=on_preview and partial(self._preview, on_preview, row, batch_size),
                mesh=mesh,
            )
            yield self.decode(latents, batch_size)

    def encode_text(self, prompts: Sequence[str]) -> Float[np.ndarray, "prompts tokens features"]:
        """Return the conditions of prompts; warns of words that are beyond what the model reads."""
        distinct = list(dict.fromkeys(prompts))
        for prompt in distinct:
            if cut := self.tokenizer.truncated(prompt):
                warnings.warn(
                    f"prompt longer than {self.tokenizer.length - 2} tokens, left out: {cut!r}",
                    stacklevel=3,
                )
        ids = self.tokenizer(distinct)
        contexts = in_batches(partial(_encode_text, self.text), ids, _PROMPTS_AT_ONCE)
        return contexts[[distinct.index(prompt) for prompt in prompts]]

    def encode_hint(
        self, hint: Images, batch_size: int = 4
    ) -> Float[np.ndarray, "n rows columns features"]:
        """Return what the ControlNet's hint encoder makes of images in [0, 1]."""
        return in_batches(partial(_encode_hint, self.controlnet), hint, _at_once(hint, batch_size))

    def encode(
        self, images: Images, seeds: Int[np.ndarray, " n"], batch_size: int = 4
    ) -> Float[np.ndarray, "n rows columns channels"]:
        """Return scaled latents of images in [0, 1], drawn from their distribution by the seeds."""
        numbers = np.asarray(seeds, np.uint32)
        drawn = self.config.schedule.steps + 1  # a time that neither a step nor the start has

        def run(rows: np.ndarray) -> Array:
            return _encode_images(self.vae, images[rows], numbers[rows], drawn)

        scaled = in_batches(run, np.arange(len(images)), _at_once(images, batch_size))
        return self.config.vae.scale * scaled

    def decode(
        self, latents: Float[np.ndarray, "n rows columns channels"], batch_size: int = 4
    ) -> Images:
        """Return the images of scaled latents in [0, 1]."""
        size = _at_once(latents, batch_size, self.config.vae.factor)
        return in_batches(partial(_decode, self.vae), np.asarray(latents), size)

    def _denoiser(self, controlled: bool, guess: bool, guided: bool) -> Denoiser:
        return Denoiser(
            self.unet,
            self.controlnet if controlled else None,
            self.schedule,
            self.config.schedule.prediction,
            "no" if not guess else "conditional" if guided else "all",
        )

    def _preview(
        self, on_preview: Preview, row: int, batch_size: int, step: int, latents: np.ndarray
    ) -> None:
        on_preview(row, step, self.decode(latents, batch_size))


def _at_once(images: np.ndarray, batch_size: int, factor: int = 1) -> int:
    """Return how many images are computed at once, so that memory stays bounded."""
    pixels = images.shape[1] * images.shape[2] * factor**2
    return min(batch_size, max(1, _PIXELS_AT_ONCE // pixels))


@jax.jit
def _encode_text(text: TextEncoder, ids: Int[Array, "n tokens"]) -> Array:
    return text(ids)


@jax.jit
def _encode_hint(controlnet: ControlNet, hint: Array) -> Array:
    return controlnet.encode_hint(hint).astype(jnp.float32)


@partial(jax.jit, static_argnames="drawn")
def _encode_images(vae: VAE, images: Array, seeds: Array, drawn: int) -> Array:
    normal = vae.encode(2 * images - 1)
    return normal.sample(noise_of_seeds(seeds, drawn, normal.mean.shape[1:]))


@jax.jit
def _decode(vae: VAE, latents: Array) -> Array:
    return to_unit_range(vae.decode(latents))
