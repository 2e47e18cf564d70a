"""What the rows of `experiments.benchmarks.surgical_nets` are: configs and inputs.

Imported after `xla.configure()`.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from papers.surgical_vision import config as configs
from papers.surgical_vision.pair import DOMAINS as OPERATED

ROWS = {
    "pix2pix": "Pix2Pix",
    "cyclegan": "CycleGAN",
    "stargan": "StarGAN",
    "starganv2": "StarGANv2",
}
DOMAINS = 1 + len(OPERATED)
BATCH, KEY = 4, 0
LABELS = {"stargan": (1, 0, 1)}
READ = {  # by a step, of the inputs
    "pix2pix": ("before", "after"),
    "cyclegan": ("before", "after"),
    "stargan": ("image", "label"),
    "starganv2": ("image", "domain", "reference", "reference2", "target"),
}


def config_of(tiny: bool) -> configs.Config:
    """Return the published networks at 128 pixels; neither augmentation nor dropout draws.

    One step of StarGAN's discriminator to one of its generator. `tiny`: to try the program.
    """
    judged: dict[str, Any] = {"filters": 4, "discriminator_filters": 4} if tiny else {}
    residual: dict[str, Any] = {**judged, "blocks": 1} if tiny else {}
    styled: dict[str, Any] = {"channels": 4, "widest": 8, "hidden": 8} if tiny else {}
    downs, layers = (5, 4) if tiny else (7, 6)
    return replace(
        configs.Config(),
        data=configs.DataConfig(size=32 if tiny else 128),
        augment=configs.AugmentConfig(flip=False, rotation=0.0, brightness=0.0),
        pix2pix=configs.Pix2PixConfig(downs=downs, dropout=0.0, **judged),
        cyclegan=configs.CycleGANConfig(**residual),
        stargan=configs.StarGANConfig(discriminator_layers=layers, critic_steps=1, **residual),
        starganv2=configs.StarGANv2Config(**styled),
    )


def inputs_of(row: str, config: configs.Config) -> dict[str, np.ndarray]:
    """Return images and labels, and what our programs draw at the first step of key KEY.

    All images have the same labels, so that in whatever order StarGAN wants them they are equal.
    """
    random, shape = np.random.default_rng(0), (BATCH, config.data.size, config.data.size, 3)
    names = ("image", "before", "after", "reference", "reference2")
    inputs = {name: random.integers(0, 256, shape).astype(np.uint8) for name in names}
    inputs |= {
        "label": np.tile(np.array(LABELS.get(row, (0, 0, 0)), np.uint8), (BATCH, 1)),
        "seed": np.arange(BATCH, dtype=np.uint32).view(np.uint8).reshape(BATCH, 4),
        "domain": np.zeros(BATCH, np.int32),
        "target": np.array([1, 2, 3, 1], np.int32),
    }
    return inputs | {name: np.asarray(value) for name, value in _drawn(row, config).items()}


def _drawn(row: str, config: configs.Config) -> dict[str, jax.Array]:
    """Return what the recipes draw: PyTorch's side is given it."""
    key = jax.random.fold_in(jax.random.key(KEY), 0)
    if row == "stargan":
        mix = jax.random.split(jax.random.split(key, 1)[0], 3)[2]
        return {"share": jax.random.uniform(mix, (BATCH, 1, 1, 1))}
    if row == "starganv2":
        keys, latent = jax.random.split(key, 5)[3:], config.starganv2.latent
        noise, noise2 = (jax.random.normal(k, (BATCH, latent)) for k in keys)
        drawn = [jax.random.normal(jax.random.key(seed), (latent,)) for seed in range(BATCH)]
        return {"noise": noise, "noise2": noise2, "drawn": jnp.stack(drawn)}
    return {}
