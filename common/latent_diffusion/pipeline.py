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
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, UInt8
from PIL import Image

from common.diffusion.multistep import PNDM, UniPC
from common.diffusion.samplers import DDIM, DDPM, Sampler
from common.diffusion.sampling import noise_of_seeds, sample
from common.diffusion.schedule import Schedule, noise_of_velocity
from common.diffusion.unet.unet import Residuals, UNet
from common.errors import InputError
from common.latent_diffusion.clip_text import TextEncoder
from common.latent_diffusion.config import LatentDiffusionConfig
from common.latent_diffusion.controlnet import ControlNet
from common.latent_diffusion.tokenizer import Tokenizer
from common.latent_diffusion.vae import VAE, Normal, to_unit_range
from common.nn.predictor import in_batches

Images = Float[np.ndarray, "n height width rgb"]
Preview = Callable[[int, int, Images], object]
_PIXELS_AT_ONCE = 4 * 512 * 512  # that are encoded or decoded


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["unet", "controlnet", "schedule"],
    meta_fields=["prediction", "guess"],
)
@dataclass(frozen=True)
class Denoiser:
    """The U-Net with its ControlNet as a function that predicts noise: a pytree.

    `guess` says whose residuals are computed: of all rows, or in guess mode of all, or of the
    second row of each pair alone, as guidance makes them.
    """

    unet: UNet
    controlnet: ControlNet | None
    schedule: Schedule
    prediction: Literal["epsilon", "v_prediction"]
    guess: Literal["no", "all", "conditional"] = "no"

    def __call__(
        self,
        x: Float[Array, "batch rows columns channels"],
        t: Int[Array, " batch"],
        condition: dict[str, Array],
        weight: Float[Array, ""] | None = None,
    ) -> Float[Array, "batch rows columns channels"]:
        """Return the predicted noise; `weight` is the ControlNet's at this step."""
        residuals = None
        if self.controlnet is not None and weight is not None:
            residuals = self._residuals(self.controlnet, x, t, condition, weight)
        out = self.unet(x, t, condition["context"], residuals)
        return out if self.prediction == "epsilon" else noise_of_velocity(self.schedule, out, x, t)

    def _residuals(
        self, controlnet: ControlNet, x: Array, t: Array, condition: dict[str, Array], weight: Array
    ) -> Residuals:
        context, hint = condition["context"], condition["hint"]
        if self.guess != "conditional":
            return controlnet(x, t, context, hint, weight, self.guess == "all")
        residuals = controlnet(x[1::2], t[1::2], context[1::2], hint[1::2], weight, True)
        return jax.tree.map(
            lambda rows: jnp.stack([jnp.zeros_like(rows), rows], 1).reshape(-1, *rows.shape[1:]),
            residuals,
        )


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

    def __call__(
        self, prompts: str | Sequence[str], seeds: Sequence[int], **options: Any
    ) -> Images:
        """Return one image in [0, 1] per seed, float32 RGB; `options` as in `draw`."""
        return np.concatenate(list(self.draw(prompts, seeds, **options)))

    def draw(
        self,
        prompts: str | Sequence[str],
        seeds: Sequence[int],
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
            noise: standard normal latents to begin with, else drawn from the seeds.
            batch_size: images drawn at once; a batch is filled up to it.
            chunk: steps after which the host gets control.
            on_preview: then called with the number of images drawn before, of steps done, and the
                images that the batch stands for; cancels by raising.
            mesh: devices to share a batch among.

        Raises:
            InputError: arguments that do not go together, or out of their ranges.
        """
        numbers, texts = np.asarray(seeds), prompts
        if isinstance(prompts, str):
            texts = [prompts] * len(numbers)
        if len(texts) != len(numbers):
            raise InputError(f"{len(texts)} prompts for {len(numbers)} seeds; give one for each")
        if hint is not None and self.controlnet is None:
            raise InputError("a hint needs a ControlNet; load the model with one")
        solver, (height, width) = self._sampler(sampler, steps), size or self._size(hint, image)
        start = 0 if image is None else _start(steps, strength)
        guided = guidance_scale > 1
        denoiser = self._denoiser(hint is not None, guess, guided)
        contexts = self.encode_text([negative, *texts])
        unconditional: dict[str, Any] = {"context": contexts[0]}
        stepwise = None
        if hint is not None:
            unconditional["hint"] = None  # both halves of the guidance have the same
            window = (control_from, control_to)
            stepwise = control_weights(len(solver.times), start, control_scale, window)
        factor = self.config.vae.factor
        for row in range(0, len(numbers), batch_size):
            rows = slice(row, min(row + batch_size, len(numbers)))
            condition = {"context": contexts[1:][rows]}
            if hint is not None:
                condition["hint"] = self.encode_hint(
                    _each("hint", hint, rows, (height, width)), batch_size
                )
            initial = None
            if image is not None:
                images = _each("image", image, rows, (height, width))
                initial = self.encode(images, numbers[rows], batch_size)
            latents, _ = sample(
                denoiser,
                self.schedule,
                condition,
                numbers[rows],
                sampler=solver,
                shape=(height // factor, width // factor, self.config.vae.latent_channels),
                guidance_scale=float(guidance_scale) if guided else 1.0,
                unconditional=unconditional,
                stepwise=stepwise,
                noise=None if noise is None else noise[rows],
                initial=initial,
                start=start,
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
        contexts = in_batches(partial(_encode_text, self.text), ids, min(8, len(ids)))
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
        images = np.asarray(images, np.float32)
        size = _at_once(images, batch_size)
        normal = in_batches(partial(_encode_images, self.vae), images, size)
        drawn = self.config.schedule.steps + 1  # a time that neither a step nor the start has
        noise = noise_of_seeds(np.asarray(seeds, np.uint32), drawn, normal.mean.shape[1:])
        return np.asarray(self.config.vae.scale * normal.sample(noise))

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

    def _sampler(self, sampler: str | Sampler | None, steps: int) -> Sampler:
        if isinstance(sampler, Sampler):
            return sampler
        config = self.config.schedule
        name, spacing = sampler or config.sampler, config.spacing
        if name == "pndm":
            return PNDM.of(self.schedule, steps)
        if name == "ddim":
            return DDIM(steps, train_steps=config.steps, offset=1, last=0, clip=None)
        if name == "ddpm":
            return DDPM(config.steps, clip=None)
        if name == "unipc":
            return UniPC.of(self.schedule, steps, spacing or "linspace")
        raise InputError(f"sampler {name!r}: expected pndm, ddim, ddpm or unipc")

    def _size(self, *given: np.ndarray | None) -> tuple[int, int]:
        """Return height and width of the first image that is given, else of the model."""
        for images in given:
            if images is not None:
                return images.shape[-3], images.shape[-2]
        return self.config.side, self.config.side

    def _preview(
        self, on_preview: Preview, row: int, batch_size: int, step: int, latents: np.ndarray
    ) -> None:
        on_preview(row, step, self.decode(latents, batch_size))


def resized(image: UInt8[np.ndarray, "_rows _columns 3"], size: tuple[int, int]) -> np.ndarray:
    """Return an RGB image in this height and width, [0, 1]: by Lanczos's filter, as diffusers."""
    if image.shape[:2] != size:
        lanczos = Image.Resampling.LANCZOS
        image = np.asarray(Image.fromarray(image).resize(size[::-1], lanczos))
    return image.astype(np.float32) / 255


def control_weights(
    evaluations: int, start: int, scale: float | int, window: tuple[float | int, float | int]
) -> Float[np.ndarray, " evaluations"]:
    """Return the ControlNet's weight at each evaluation, the first taken being `start`.

    It is `scale` where the evaluation lies whole within the window, shares of those taken.
    """
    taken = np.arange(evaluations - start)
    inside = (taken / len(taken) >= window[0]) & ((taken + 1) / len(taken) <= window[1])
    return np.concatenate([np.zeros(start), scale * inside]).astype(np.float32)


def _start(steps: int, strength: float | int) -> int:
    """Return the evaluation at which an image of this strength enters."""
    taken = min(int(steps * strength), steps)
    if not 0 < strength <= 1 or taken < 1:
        raise InputError(
            f"strength {strength} of {steps} steps: expected above 0 to 1, and at least one step"
        )
    return steps - taken


def _each(name: str, given: np.ndarray, rows: slice, size: tuple[int, int]) -> np.ndarray:
    """Return one image for each row, float32: the given one, or those of the rows."""
    images = np.asarray(given, np.float32)
    if images.ndim == 3:
        images = np.broadcast_to(images, (rows.stop - rows.start, *images.shape))
    else:
        images = images[rows]
    expected = (rows.stop - rows.start, *size, 3)
    if images.shape != expected:
        raise InputError(f"{name}: shape {images.shape}, expected {expected}; see `resized`")
    if not (images.min() >= 0 and images.max() <= 1):
        raise InputError(f"{name}: values outside [0, 1]; divide 8-bit images by 255")
    return images


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


@jax.jit
def _encode_images(vae: VAE, images: Array) -> Normal:
    return vae.encode(2 * images - 1)


@jax.jit
def _decode(vae: VAE, latents: Array) -> Array:
    return to_unit_range(vae.decode(latents))
