"""The configs of diffusers' folders, written; `common.latent_diffusion.configs` reads them."""

from __future__ import annotations

from typing import Any

from common.diffusion.unet.unet import UNetConfig
from common.latent_diffusion.config import HintConfig, ScheduleConfig, TextConfig, VAEConfig
from common.latent_diffusion.configs import SAMPLERS, block_kind


def index_fields(scheduler: str, *, controlled: bool) -> dict[str, Any]:
    """Return the model_index.json of a model: the class of each part."""
    name = "StableDiffusionControlNetPipeline" if controlled else "StableDiffusionPipeline"
    return {
        "_class_name": name,
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", scheduler],
        **({"controlnet": ["diffusers", "ControlNetModel"]} if controlled else {}),
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
    }


def unet_fields(config: UNetConfig) -> dict[str, Any]:
    """Return the config.json of a U-Net."""
    down = [block_kind("Down", attends) for attends in config.attention]
    up = [block_kind("Up", attends) for attends in reversed(config.attention)]
    return {
        "_class_name": "UNet2DConditionModel",
        **_encoder_fields(config),
        "out_channels": config.out_channels,
        "down_block_types": down,
        "up_block_types": up,
    }


def controlnet_fields(config: UNetConfig, hint: HintConfig) -> dict[str, Any]:
    """Return the config.json of a ControlNet."""
    return {
        "_class_name": "ControlNetModel",
        **_encoder_fields(config),
        "down_block_types": [block_kind("Down", attends) for attends in config.attention],
        "conditioning_channels": hint.image_channels,
        "conditioning_embedding_out_channels": list(hint.channels),
    }


def _encoder_fields(config: UNetConfig) -> dict[str, Any]:
    heads = [w // head for w, head in zip(config.channels, config.head_channels, strict=True)]
    return {
        "in_channels": config.in_channels,
        "block_out_channels": list(config.channels),
        "attention_head_dim": heads[0] if len(set(heads)) == 1 else heads,
        "cross_attention_dim": config.context_features,
        "layers_per_block": config.residual_blocks,
        "norm_num_groups": config.groups,
        "norm_eps": config.epsilon,
    }


def vae_fields(config: VAEConfig) -> dict[str, Any]:
    """Return the config.json of an autoencoder."""
    levels = len(config.channels)
    return {
        "_class_name": "AutoencoderKL",
        "in_channels": config.image_channels,
        "out_channels": config.image_channels,
        "latent_channels": config.latent_channels,
        "block_out_channels": list(config.channels),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": config.residual_blocks,
        "norm_num_groups": config.groups,
        "scaling_factor": config.scale,
    }


def text_fields(config: TextConfig, added: int = 0) -> dict[str, Any]:
    """Return the config.json of a text encoder, whose last `added` words a user brought."""
    return {
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.positions,
        "hidden_size": config.features,
        "intermediate_size": config.hidden_features,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "hidden_act": config.activation,
        "bos_token_id": config.vocabulary - added - 2,
        "eos_token_id": config.vocabulary - added - 1,
    }


def schedule_fields(config: ScheduleConfig) -> dict[str, Any]:
    """Return the scheduler_config.json of a noise schedule."""
    names = {sampler: name for name, sampler in SAMPLERS.items()}
    spacing = {"timestep_spacing": config.spacing} if config.spacing else {}
    return {
        "_class_name": names[config.sampler],
        "num_train_timesteps": config.steps,
        "beta_start": config.beta_start,
        "beta_end": config.beta_end,
        "beta_schedule": "scaled_linear",
        "prediction_type": config.prediction,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
        "trained_betas": None,
        **spacing,
    }
