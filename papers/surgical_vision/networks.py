"""What a seed trains: eighteen models, and the autoencoder that a latent diffusion model needs."""

from __future__ import annotations

from dataclasses import replace

from common.study.protocol import Network
from papers.surgical_vision.config import Config
from papers.surgical_vision.variants import MODELS, Variant, identity_of

_SHARED = ("augment", "train.dtype")
_AUTOENCODER = "latent_autoencoder"
_LORA = tuple(
    f"diffusion.lora_{name}"
    for name in ("rank", "alpha", "prompt", "epochs", "batch_size", "learning_rate",
                 "weight_decay", "clip")
)  # fmt: skip
_DENOISER = tuple(
    f"diffusion.{name}"
    for name in ("channels", "head_channels", "context", "train_steps", "prompt_dropout")
)
_SAMPLING = ("diffusion.sampling_steps", "diffusion.strength", "diffusion.guidance")


_GENERATORS = {
    "cyclegan": ("cyclegan.filters", "cyclegan.blocks"),
    "stargan": ("stargan.filters", "stargan.blocks"),
    "starganv2": tuple(
        f"starganv2.{name}" for name in ("channels", "widest", "style", "latent", "hidden")
    ),
}  # what an identity depends on
WARM = tuple(_GENERATORS)


def networks(config: Config) -> dict[str, Network]:
    """Return the networks of a seed, in the order in which they are trained."""
    small = not config.diffusion.weights
    named = {}
    if small:
        ignored = tuple(dict.fromkeys((*_LORA, *_SAMPLING, *_DENOISER)))
        named[_AUTOENCODER] = Network(("diffusion", *_SHARED), ignores=ignored)
    for family in WARM if config.warm_start.steps else ():
        named[identity_of(family)] = Network((*_GENERATORS[family], "warm_start", *_SHARED))
    for name, variant in MODELS.items():
        network = _network(variant, small, bool(config.warm_start.steps))
        named[name] = replace(network, measured=True)
    return named


def _network(variant: Variant, small: bool, warm: bool) -> Network:
    if variant.family == "diffusion":
        after = (_AUTOENCODER,) if small else ()
        if variant.lora:
            return Network(("diffusion", *_SHARED), (*after, "stable_diffusion"), _SAMPLING)
        # the prompt's words are among those that the model learns
        ignored = tuple(name for name in _LORA if name != "diffusion.lora_prompt")
        return Network(("diffusion", *_SHARED), after, (*ignored, *_SAMPLING))
    depends, left_out = [variant.family, *_SHARED], list[str]()
    if variant.attention != "none":
        depends.append("attention")
        if variant.attention != "heads":
            left_out.append("attention.heads")
    if variant.family == "autoencoder":
        if not variant.perceptual:
            left_out.append("autoencoder.perceptual")
        if not variant.sampled:
            left_out += ["autoencoder.kl", "autoencoder.reconstruction"]
    if variant.family == "stargan":
        left_out.append(
            "stargan.reconstruction" if variant.raised else "stargan.raised_reconstruction"
        )
    after = ()
    if variant.family in WARM:
        depends.append("warm_start")
        after = (identity_of(variant.family),) if warm else ()
    return Network(tuple(depends), after, tuple(left_out))
