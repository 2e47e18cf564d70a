"""Films as they are asked for: each by its finding, side, extent, seed and structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from common.latent_diffusion.canny import canny
from common.latent_diffusion.pipeline import Pipeline, Preview
from papers.rare_disease_controlnet.config import Config, SynthesisConfig
from papers.rare_disease_controlnet.film import Side
from papers.rare_disease_controlnet.prompts import prompt_of

Gray = UInt8[np.ndarray, "height width"]
Films = UInt8[np.ndarray, "films height width"]


@dataclass(frozen=True)
class Request:
    """A film that is asked for.

    The `structure` is the film whose edges are to be kept, or a `depth` map takes the place of its
    edges; with neither there is no ControlNet. A `region` says where the film may change, all else
    of it staying as it is.
    """

    findings: tuple[str, ...]
    side: Side
    extent: float  # 0 to 1, NaN: any
    seed: int
    structure: Gray | None = None
    region: Bool[np.ndarray, "height width"] | None = None
    depth: Gray | None = None


def draw(
    engine: Pipeline,
    config: Config,
    requests: Sequence[Request],
    *,
    prompt: str | None = None,
    on_preview: Preview | None = None,
    chunk: int | None = None,
) -> Films:
    """Return the films; each depends on its own request alone.

    All have a structure, or none has, and the same for regions and depths. `prompt` is in place of
    those that `prompt_of` writes. Raises InputError as `common.latent_diffusion.pipeline`.
    """
    options, size = config.synthesis, (config.data.size, config.data.size)
    prompts = [
        prompt or prompt_of(one.findings, one.side, one.extent, config.engine.label)
        for one in requests
    ]
    structures = [one.structure for one in requests if one.structure is not None]
    regions = [one.region for one in requests if one.region is not None]
    depths = [one.depth for one in requests if one.depth is not None]
    hint = image = region = None
    if depths:
        hint = as_rgb(np.stack(depths))
    elif structures:
        hint = as_rgb(edges_of(np.stack(structures), options))
    if regions:
        image, region = as_rgb(np.stack(structures)), np.stack(regions)
    images = engine(
        prompts,
        [one.seed for one in requests],
        negative=options.negative,
        steps=options.steps,
        sampler=options.sampler,
        guidance_scale=options.guidance,
        size=size,
        hint=hint,
        control_scale=options.control,
        image=image,
        strength=1.0,
        region=region,
        batch_size=options.batch_size,
        chunk=chunk,
        on_preview=on_preview,
    )
    films = np.rint(255 * images.mean(-1)).astype(np.uint8)
    return np.where(np.stack(regions), films, np.stack(structures)) if regions else films


def edges_of(films: Films, options: SynthesisConfig) -> Films:
    """Return Canny's edges of films, 255 on an edge, else 0."""
    return np.stack([canny(film, options.canny_low, options.canny_high) for film in films])


def as_rgb(films: Films) -> np.ndarray:
    """Return gray films as three equal channels in [0, 1], float32."""
    return np.repeat(films[..., None].astype(np.float32) / 255, 3, axis=-1)
