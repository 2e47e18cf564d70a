"""The models of the benchmarks of latent diffusion, with weights from a formula.

Imported after `xla.configure()`.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from common.diffusion.schedule import Schedule
from common.diffusion.unet.unet import UNet, UNetConfig
from common.latent_diffusion import names
from common.latent_diffusion.config import (
    HintConfig,
    LatentDiffusionConfig,
    ScheduleConfig,
    TextConfig,
    VAEConfig,
)
from common.latent_diffusion.configs_out import (
    controlnet_fields,
    schedule_fields,
    unet_fields,
    vae_fields,
)
from common.latent_diffusion.controlnet import ControlNet
from common.latent_diffusion.vae import VAE
from common.latent_diffusion.vocabulary import END, END_OF_WORD, LETTERS, START, Vocabulary
from common.nn.by_name import from_torch_parameter
from experiments.benchmarks.latent_diffusion_sides import weight

Network = TypeVar("Network", bound=nnx.Module)
PIECES = [*LETTERS.values(), *(letter + END_OF_WORD for letter in LETTERS.values()), START, END]
BYTES = Vocabulary({piece: i for i, piece in enumerate(PIECES)}, ranks={})  # nothing is merged
MODELS = {
    "sd15": LatentDiffusionConfig(hint=HintConfig()),
    "tiny": LatentDiffusionConfig(
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
        text=TextConfig(len(PIECES), features=32, hidden_features=64, layers=2, heads=4),
        hint=HintConfig(),
        side=64,
    ),
}


def setting(config: LatentDiffusionConfig) -> dict[str, Any]:
    """Return what diffusers calls the sizes of a model's networks."""
    assert config.hint
    return {
        "unet": unet_fields(config.unet),
        "controlnet": controlnet_fields(config.unet, config.hint),
        "vae": vae_fields(config.vae),
        "scheduler": schedule_fields(ScheduleConfig()),
    }


def filled(part: names.Part, build: Callable[[], Network], dtype: Any = None) -> Network:
    """Return the network that `build` builds with the formula's weights, in `dtype` or its own."""
    network, loaded = nnx.eval_shape(build), []
    for path, variable in nnx.to_flat_state(nnx.state(network)):
        name, shape = names.diffusers_name(part, path), variable.shape
        theirs = names.from_ours(name, path, np.broadcast_to(np.float32(0), shape)).shape
        array = from_torch_parameter(path, weight(name, theirs), len(shape))
        loaded.append((path, variable.replace(jnp.asarray(array, dtype or variable.dtype))))
    return nnx.merge(nnx.graphdef(network), nnx.from_flat_state(loaded))


def unet(config: LatentDiffusionConfig, dtype: Any = None) -> UNet:
    """Return the U-Net."""
    return filled("unet", lambda: UNet(config.unet, rngs=nnx.Rngs(0)), dtype)


def controlnet(config: LatentDiffusionConfig, dtype: Any = None) -> ControlNet:
    """Return the ControlNet; its last layers are drawn too, so that it changes something."""
    hint = config.hint or HintConfig()
    return filled("controlnet", lambda: ControlNet(config.unet, hint, rngs=nnx.Rngs(0)), dtype)


def vae(config: LatentDiffusionConfig, dtype: Any = None) -> VAE:
    """Return the autoencoder."""
    return filled("vae", lambda: VAE(config.vae, rngs=nnx.Rngs(0)), dtype)


def schedule(config: LatentDiffusionConfig) -> Schedule:
    """Return the noise schedule."""
    times = config.schedule
    return Schedule.scaled_linear(times.steps, times.beta_start, times.beta_end)


def size(tree: Any) -> int:
    """Return the bytes of a pytree's arrays."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
