"""What is measured inside of some models: latent units, attention, prompts, size."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from common.diffusion.unet.unet import UNet
from common.latent_diffusion.config import SD15_UNET
from common.latent_diffusion.lora import LoRAParam, add_lora
from common.metrics.active_units import active_units, kl_by_unit
from common.nn.building import graph_of
from common.nn.predictor import in_batches
from common.training.state import State
from papers.surgical_vision.config import Config
from papers.surgical_vision.data import Part
from papers.surgical_vision.prompts import every_prompt
from papers.surgical_vision.recipes.autoencoder import network as autoencoder
from papers.surgical_vision.recipes.recipe import halves
from papers.surgical_vision.variants import MODELS

_FACES = 8  # whose prompts are exchanged


def internals(
    name: str, config: Config, states: Mapping[str, State], weights: Any, part: Part
) -> dict[str, Any]:
    """Return what only this model has."""
    variant, state = MODELS[name], states[name]
    found: dict[str, Any] = {}
    if variant.attention != "none":
        found["gamma"] = gammas(state.params)
    if variant.sampled:
        found["latent"] = latent_units(name, config, state.params, part)
    if variant.family == "diffusion":
        found["prompt"] = prompt_sensitivity(weights, config, part)
    if variant.lora:
        trained = jax.tree.leaves(nnx.state(weights.unet, LoRAParam))
        whole = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(weights.unet)))
        count = sum(leaf.size for leaf in trained)
        found["trained_share"] = count / (whole - count)
        found["trained_share_published"] = published_share(
            config.diffusion.lora_rank, config.diffusion.lora_alpha
        )
    return found


@functools.cache
def published_share(rank: int, alpha: float | int) -> float:
    """Return the trained share of the U-Net at Stable Diffusion 1.5's sizes; without weights."""

    def adapted() -> UNet:
        unet = UNet(SD15_UNET, rngs=nnx.Rngs(0))
        add_lora(unet, rank, alpha, rngs=nnx.Rngs(0))
        return unet

    shapes = nnx.eval_shape(adapted)
    count, whole = (
        sum(leaf.size for leaf in jax.tree.leaves(nnx.state(shapes, kind)))
        for kind in (LoRAParam, nnx.Param)  # the former are some of the latter
    )
    return count / (whole - count)


def gammas(params: Mapping[str, nnx.State]) -> dict[str, list[float]]:
    """Return every attention's gamma, one of each module, by the network that has it."""
    found: dict[str, list[float]] = {}
    for network, state in params.items():
        for path, value in nnx.to_flat_state(state):
            if path[-1] == "gamma":
                found[network] = np.asarray(value[...], np.float64).tolist()
    return found


def latent_units(name: str, config: Config, params: Any, part: Part) -> dict[str, Any]:
    """Return which latent units say something of the face, and each one's KL, the largest first."""
    means, log_variances = encoded(name, config, params, part.before)
    active = active_units(means)
    return {
        "active_share": float(active.mean()),
        "active": int(active.sum()),
        "units": len(active),
        "kl": np.sort(kl_by_unit(means, log_variances))[::-1].tolist(),
    }


def encoded(name: str, config: Config, params: Any, images: np.ndarray) -> tuple[Any, Any]:
    """Return a VAE's means and logarithms of variances of faces."""
    graph = graph_of(lambda rngs: autoencoder(MODELS[name], config, rngs))

    @jax.jit
    def encode(params: Any, rows: Any) -> Any:
        coder: Any = nnx.merge(graph, params)
        return coder.encode(halves(rows))

    return in_batches(lambda rows: encode(params, rows), images, config.evaluate.batch_size)


def prompt_sensitivity(pipeline: Any, config: Config, part: Part) -> dict[str, float]:
    """Return how far images lie apart that differ in the prompt alone, and in the face alone.

    Root mean squared differences of [0, 1], over pairs of prompts at one face, and over pairs of
    faces at one prompt; all with the same random numbers.
    """
    options, faces = config.diffusion, part.first(_FACES)
    prompts = list(every_prompt().values())[: max(2, len(faces))]
    images = faces.before / np.float32(255)

    def drawn(rows: np.ndarray, texts: list[str]) -> np.ndarray:
        return pipeline(
            texts,
            np.zeros(len(texts), np.int64),
            image=rows,
            strength=options.strength,
            steps=options.sampling_steps,
            sampler="ddim",
            guidance_scale=options.guidance,
            size=rows.shape[1:3],
            batch_size=len(texts),
        )

    by_prompt = drawn(np.repeat(images[:1], len(prompts), 0), prompts)
    by_face = drawn(images, [prompts[1]] * len(images))
    return {"of_prompt": _apart(by_prompt), "of_face": _apart(by_face)}


def _apart(images: np.ndarray) -> float:
    """Return the root of the mean squared difference over all pairs."""
    pairs = [np.square(images[i] - images[j]).mean() for i in range(len(images)) for j in range(i)]
    return float(np.sqrt(np.mean(pairs)))


def attention_maps(name: str, config: Config, state: State, faces: Part) -> np.ndarray:
    """Return how much all pixels together take from each, mean over modules: [n rows columns]."""
    from papers.surgical_vision.recipes import cyclegan, stargan

    variant = MODELS[name]
    module = stargan if variant.family == "stargan" else cyclegan
    graph = graph_of(lambda rngs: module.translator(variant, config, rngs))
    key = "generator" if variant.family == "stargan" else "to_after"
    network: Any = nnx.merge(graph, state.params[key])
    labels = jnp.asarray(faces.labels) if variant.family == "stargan" else None
    maps = network.attention_maps(halves(jnp.asarray(faces.before)), labels)
    return np.asarray(maps.mean((1, 2, 3)))
