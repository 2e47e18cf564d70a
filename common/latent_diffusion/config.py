"""Sizes of latent diffusion models, and those of Stable Diffusion 1.5.

The U-Net's are `common.diffusion.unet.unet.UNetConfig`; a ControlNet has those of its U-Net.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from common.diffusion.unet.unet import UNetConfig

SD15_UNET = UNetConfig(
    in_channels=4,
    out_channels=4,
    channels=(320, 640, 1280, 1280),
    attention=(True, True, True, False),
    head_channels=(40, 80, 160, 160),  # 8 heads everywhere; the files say `attention_head_dim: 8`
    context_features=768,
    epsilon=1e-5,
)


@dataclass(frozen=True)
class VAEConfig:
    """Sizes of an autoencoder: channels per resolution, the finest first."""

    image_channels: int = 3
    latent_channels: int = 4
    channels: tuple[int, ...] = (128, 256, 512, 512)
    residual_blocks: int = 2  # of a resolution on the way down; the way up has one more
    groups: int = 32
    scale: float = 0.18215  # latents are those of the encoder times this
    dtype: str = "float32"  # that layers compute in

    @property
    def factor(self) -> int:
        """Pixels of an image per latent, along each side."""
        return 2 ** (len(self.channels) - 1)


@dataclass(frozen=True)
class TextConfig:
    """Sizes of a CLIP text encoder."""

    vocabulary: int = 49408
    positions: int = 77
    features: int = 768
    hidden_features: int = 3072
    layers: int = 12
    heads: int = 12
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"
    dtype: str = "float32"  # that layers compute in


@dataclass(frozen=True)
class ScheduleConfig:
    """How images are noised, and what the U-Net predicts."""

    steps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    prediction: Literal["epsilon", "v_prediction"] = "epsilon"
    sampler: Literal["pndm", "ddim", "ddpm", "unipc"] = "pndm"  # unless a caller chooses another
    spacing: Literal["leading", "linspace", "trailing"] | None = None  # of its times; its own


@dataclass(frozen=True)
class HintConfig:
    """Channels of a ControlNet's way from an image to the latents' size, halved once per value."""

    image_channels: int = 3
    channels: tuple[int, ...] = (16, 32, 96, 256)


@dataclass(frozen=True)
class LatentDiffusionConfig:
    """A whole model; the defaults are Stable Diffusion 1.5."""

    unet: UNetConfig = SD15_UNET
    vae: VAEConfig = field(default_factory=VAEConfig)
    text: TextConfig = field(default_factory=TextConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    hint: HintConfig | None = None  # a ControlNet's; None: the model has none
    side: int = 512  # pixels of an image's height and width, unless a caller chooses others
