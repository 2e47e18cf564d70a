"""A latent diffusion model of one resolution, which compiles in seconds."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx

from common.diffusion.unet.unet import UNet, UNetConfig
from common.latent_diffusion.clip_text import TextEncoder
from common.latent_diffusion.config import HintConfig, LatentDiffusionConfig, TextConfig, VAEConfig
from common.latent_diffusion.controlnet import ControlNet
from common.latent_diffusion.pipeline import Pipeline
from common.latent_diffusion.tokenizer import Tokenizer
from common.latent_diffusion.vae import VAE
from tests.common.latent_diffusion.golden import GOLDEN

SMALL = LatentDiffusionConfig(
    unet=UNetConfig(
        in_channels=4,
        out_channels=4,
        channels=(8,),
        attention=(True,),
        head_channels=(4,),
        context_features=8,
        residual_blocks=1,
        groups=4,
    ),
    vae=VAEConfig(channels=(8, 8), residual_blocks=1, groups=4),
    text=TextConfig(vocabulary=814, features=8, hidden_features=16, layers=1, heads=2),
    hint=HintConfig(channels=(4, 8)),
    side=16,
)


def filled(network, seed):
    """Return the network, which may be abstract, with weights none of which is zero."""
    draw = np.random.RandomState(seed).standard_normal
    drawn = []
    for path, variable in nnx.to_flat_state(nnx.state(network)):
        shape = variable.shape
        values = draw(shape) * (1.5 / np.sqrt(np.prod(shape[:-1])) if len(shape) > 1 else 0.1)
        values = values + 1 if path[-1] == "scale" else values
        drawn.append((path, variable.replace(jnp.asarray(values, jnp.float32))))
    return nnx.merge(nnx.graphdef(network), nnx.from_flat_state(drawn))


def small_pipeline(tokenizer):
    """Return a model of one resolution, which compiles in seconds."""
    shapes = nnx.eval_shape(
        lambda: (
            TextEncoder(SMALL.text, rngs=nnx.Rngs(0)),
            UNet(SMALL.unet, rngs=nnx.Rngs(0)),
            VAE(SMALL.vae, rngs=nnx.Rngs(0)),
            ControlNet(SMALL.unet, SMALL.hint, rngs=nnx.Rngs(0)),
        )
    )
    return Pipeline(SMALL, tokenizer, *(filled(net, i) for i, net in enumerate(shapes)))


def small_tokenizer(folder):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text(str(GOLDEN[f"file/tokenizer/{name}"]))
    return Tokenizer.from_folder(folder)


def noisy_images(count, side=16):
    return np.random.RandomState(3).random_sample((count, side, side, 3)).astype(np.float32)


SEEDS = [11, 12, 13, 14, 15]
PROMPTS = [f"chest {word}" for word in ("x-ray", "clear", "of a lung", "showing", "and")]
# the few settings that compiled programs differ by
COMMON = {"sampler": "unipc", "steps": 4, "batch_size": 2}
WAYS = {
    "text": {},
    "image": {"image": noisy_images(1)[0], "strength": 0.7},
    "control": {"hint": noisy_images(1)[0]},
}
