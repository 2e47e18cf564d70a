"""What tests/golden/make_latent_diffusion.py recorded, and networks of ours with its weights."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from common.diffusion.unet.unet import UNet, UNetConfig
from common.latent_diffusion import names
from common.latent_diffusion.clip_text import TextEncoder
from common.latent_diffusion.config import HintConfig, LatentDiffusionConfig, TextConfig, VAEConfig
from common.latent_diffusion.controlnet import ControlNet
from common.latent_diffusion.vae import VAE
from common.nn.by_name import load_by_name, torch_layout
from tests.golden.seeded_weights import seeded_weights

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "latent_diffusion.npz")
TINY = LatentDiffusionConfig(
    unet=UNetConfig(
        in_channels=4,
        out_channels=4,
        channels=(32, 64, 96, 96),
        attention=(True, True, True, False),
        head_channels=(4, 8, 12, 12),
        context_features=32,
        epsilon=1e-5,
    ),
    vae=VAEConfig(channels=(32, 32, 64, 64)),
    text=TextConfig(vocabulary=814, features=32, hidden_features=64, layers=2, heads=4),
    hint=HintConfig(),
    side=64,
)
SEEDS = {"unet": 1, "controlnet": 2, "vae": 3, "text": 4}
DIFFUSERS: dict[names.Part, str] = {
    "unet": "unet",
    "controlnet": "controlnet",
    "vae": "vae",
    "text": "text_encoder",
}


def shapes(part: names.Part, kind: str = "shapes") -> dict[str, tuple[int, ...]]:
    stored = json.loads(str(GOLDEN[f"{kind}/{DIFFUSERS[part]}"]))
    return {name: tuple(shape) for name, shape in stored.items()}


@cache
def weights(part: names.Part) -> dict[str, np.ndarray]:
    return seeded_weights(shapes(part), SEEDS[part])


def abstract(part: names.Part, config: LatentDiffusionConfig) -> Any:
    make = {
        "unet": lambda rngs: UNet(config.unet, rngs=rngs),
        "controlnet": lambda rngs: ControlNet(config.unet, config.hint or HintConfig(), rngs=rngs),
        "vae": lambda rngs: VAE(config.vae, rngs=rngs),
        "text": lambda rngs: TextEncoder(config.text, rngs=rngs),
    }
    return nnx.eval_shape(lambda: make[part](nnx.Rngs(0)))


@cache
def network(part: names.Part, config: LatentDiffusionConfig = TINY) -> Any:
    empty, arrays = abstract(part, config), weights(part)
    state = load_by_name(
        empty,
        arrays,
        lambda path: next(n for n in names.names_in_folder(part, path) if n in arrays),
        torch_layout(empty),
        part,
    )
    return nnx.merge(nnx.graphdef(empty), state)


def draw(seed: int, *shape: int) -> jax.Array:
    """Return the maker's draw of an NCHW shape, maps in NHWC."""
    values = np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
    return jnp.asarray(values.transpose(0, 2, 3, 1) if len(shape) == 4 else values)


def thinned(output: jax.Array, count: int = 256) -> np.ndarray:
    flat = np.asarray(output, np.float64).ravel()
    return flat[:: max(1, flat.size // count)]


def relative_error(ours: Any, theirs: np.ndarray) -> float:
    theirs = np.asarray(theirs, np.float64)
    return float(np.abs(np.asarray(ours, np.float64) - theirs).max() / np.abs(theirs).max())
