"""Images for the figures that only some models have: domains, attention, latents, denoising."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from common.nn.building import graph_of
from common.training.state import State
from papers.surgical_vision.config import Config
from papers.surgical_vision.data import Images, Part
from papers.surgical_vision.internals import attention_maps, encoded
from papers.surgical_vision.pair import DOMAINS
from papers.surgical_vision.prompts import prompt_of
from papers.surgical_vision.recipes.autoencoder import network as autoencoder
from papers.surgical_vision.variants import MODELS

TRAVERSED = (-2.0, -1.0, 0.0, 1.0, 2.0)  # standard deviations of a unit over the test faces
UNITS = 4  # that are traversed: those of the largest spread
PREVIEWS = 6  # of the denoising


def arrays_of(
    name: str,
    config: Config,
    states: Mapping[str, State],
    weights: Any,
    made: Callable[..., Images],
    shown: Part,
    seed: int,
) -> dict[str, np.ndarray]:
    """Return the images of the first seed's figures that this model has a part in, as uint8."""
    found: dict[str, np.ndarray] = {}
    variant = MODELS[name]
    if name in ("stargan", "starganv2"):
        found[f"domains_{name}"] = by_domain(made, shown, seed)
    if variant.attention != "none":
        maps = attention_maps(name, config, states[name], shown)
        low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
        found[f"attention_{name}"] = in_8_bits((maps - low) / np.maximum(high - low, 1e-12))
    if name == "vae":
        found["latent_vae"] = traversal(config, states[name].params, shown)
    if name == "stable_diffusion":
        found["denoising"] = denoising(weights, config, shown, seed)
    return found


def by_domain(made: Callable[..., Images], shown: Part, seed: int) -> np.ndarray:
    """Return the first face operated at eyes, nose and chin: [domains height width 3]."""
    labels = np.eye(len(DOMAINS), dtype=np.uint8)
    rows = shown.rows(np.zeros(len(DOMAINS), int))
    return made(Part(rows.names, rows.before, rows.after, labels), seed)


def traversal(config: Config, params: Any, shown: Part) -> np.ndarray:
    """Return faces along the units that vary most, about the first face's latents.

    [units steps height width 3].
    """
    means, _ = encoded("vae", config, params, shown.before)
    spread = means.std(0)
    units = np.argsort(spread)[::-1][:UNITS]
    latents = np.repeat(means[:1], len(units) * len(TRAVERSED), 0)
    for row, unit in enumerate(units):
        for column, step in enumerate(TRAVERSED):
            latents[row * len(TRAVERSED) + column, unit] += step * max(float(spread[unit]), 1e-3)
    graph = graph_of(lambda rngs: autoencoder(MODELS["vae"], config, rngs))
    coder: Any = nnx.merge(graph, params)
    images = np.asarray(coder.decode(jnp.asarray(latents)))
    return in_8_bits(images / 2 + 0.5).reshape(len(units), len(TRAVERSED), *images.shape[1:])


def denoising(pipeline: Any, config: Config, shown: Part, seed: int) -> np.ndarray:
    """Return what the model takes the first face for on the way: [previews height width 3]."""
    options, previews = config.diffusion, []
    taken = max(1, int(options.sampling_steps * options.strength))
    list(
        pipeline.draw(
            prompt_of(shown.labels[0]),
            np.array([seed]),
            image=shown.before[0] / np.float32(255),
            strength=options.strength,
            steps=options.sampling_steps,
            sampler="ddim",
            guidance_scale=options.guidance,
            size=shown.before.shape[1:3],
            batch_size=1,
            chunk=max(1, -(-taken // PREVIEWS)),
            on_preview=lambda drawn, step, images: previews.append(images[0]),
        )
    )
    return in_8_bits(np.stack(previews))


def in_8_bits(images: np.ndarray) -> np.ndarray:
    """Return values of [0, 1] as 8 bits."""
    return np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)
