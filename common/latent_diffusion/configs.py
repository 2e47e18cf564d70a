"""The configs of diffusers' folders, read and written.

A field that asks for something that is not built here is refused by name, so that no file is
computed as something else than it says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.diffusion.unet.unet import UNetConfig
from common.errors import InputError
from common.latent_diffusion.config import HintConfig, ScheduleConfig, TextConfig, VAEConfig

Fields = Mapping[str, Any]
# fields that say something which cannot be chosen here, and what they must say
_UNET_FIXED = {
    "act_fn": "silu",
    "center_input_sample": False,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "downsample_padding": 1,
    "mid_block_scale_factor": 1,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "transformer_layers_per_block": 1,
    "resnet_time_scale_shift": "default",
    "resnet_out_scale_factor": 1.0,
    "time_embedding_type": "positional",
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "attention_type": "default",
    "dropout": 0.0,
}
_CONTROLNET_FIXED = {
    **_UNET_FIXED,
    "controlnet_conditioning_channel_order": "rgb",
    "global_pool_conditions": False,
}
_VAE_FIXED = {
    "act_fn": "silu",
    "use_quant_conv": True,
    "use_post_quant_conv": True,
    "mid_block_add_attention": True,
}
_TEXT_FIXED = {"layer_norm_eps": 1e-5, "attention_dropout": 0.0, "model_type": "clip_text_model"}
_SCHEDULE_FIXED = {
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "skip_prk_steps": True,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "solver_order": 2,
    "solver_type": "bh2",
    "predict_x0": True,
    "lower_order_final": True,
    "final_sigmas_type": "zero",
    "variance_type": "fixed_small",
}
# fields that change nothing in what is computed here
_IGNORED = {
    "sample_size", "force_upcast", "upcast_attention", "use_linear_projection", "layers_per_block",
    "interpolation_type", "latents_mean", "latents_std", "architectures", "bos_token_id",
    "eos_token_id", "pad_token_id", "dtype", "torch_dtype", "initializer_factor",
    "initializer_range", "projection_dim", "transformers_version", "dropout", "use_cache",
    "timestep_spacing", "sample_max_value", "dynamic_thresholding_ratio", "sigma_min", "sigma_max",
    "disable_corrector", "clip_sample_range", "addition_embed_type_num_heads",
    "time_shift_type", "flow_shift", "tie_word_embeddings", "hidden_act",
}  # fmt: skip
SAMPLERS: dict[str, Any] = {
    "PNDMScheduler": "pndm",
    "DDIMScheduler": "ddim",
    "DDPMScheduler": "ddpm",
    "UniPCMultistepScheduler": "unipc",
}
SPACINGS = (None, "leading", "linspace", "trailing")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; raises InputError for any other content."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: no JSON: {error}; fetch the file again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object; fetch the file again")
    return content


class _Reader:
    """The fields of one file, each to be taken or checked; errors name the file."""

    def __init__(self, path: Path):
        self.path, self.fields = path, read_json(path)
        self._taken = {name for name in self.fields if name.startswith("_")} | _IGNORED

    def take(self, name: str, default: Any = None) -> Any:
        self._taken.add(name)
        value = self.fields.get(name, default)
        if value is None:
            raise InputError(f"{self.path}: {name} is missing; fetch the file again")
        return value

    def numbers(self, name: str, default: Any = None) -> tuple[int, ...]:
        value = self.take(name, default)
        if not isinstance(value, list | tuple) or not all(isinstance(n, int) for n in value):
            raise self.refuse(name, "a list of numbers")
        return tuple(value)

    def check(self, fixed: Fields) -> None:
        """Refuse what `fixed` says otherwise, and fields unknown here that say something."""
        for name, expected in fixed.items():
            self._taken.add(name)
            if name in self.fields and self.fields[name] != expected:
                raise self.refuse(name, repr(expected))
        for name, value in self.fields.items():
            if name not in self._taken and value not in (None, False):
                raise self.refuse(name, "none: it is unknown here")

    def refuse(self, name: str, expected: str) -> InputError:
        return InputError(
            f"{self.path}: {name} = {self.fields.get(name)!r}; supported is {expected}"
        )


def read_unet(path: Path, dtype: str) -> UNetConfig:
    """Return the sizes in the config.json of a U-Net."""
    file = _Reader(path)
    config = _unet(file, dtype)
    ups = file.take("up_block_types")
    expected = [block_kind("Up", attends) for attends in reversed(config.attention)]
    if list(ups) != expected:
        raise file.refuse("up_block_types", f"{expected}, the mirror of down_block_types")
    file.take("out_channels", 4)
    file.check(_UNET_FIXED)
    return config


def read_controlnet(path: Path, dtype: str) -> tuple[UNetConfig, HintConfig]:
    """Return the sizes in the config.json of a ControlNet."""
    file = _Reader(path)
    config = _unet(file, dtype)
    hint = HintConfig(
        image_channels=file.take("conditioning_channels", 3),
        channels=file.numbers("conditioning_embedding_out_channels", (16, 32, 96, 256)),
    )
    file.check(_CONTROLNET_FIXED)
    return config, hint


def _unet(file: _Reader, dtype: str) -> UNetConfig:
    channels = file.numbers("block_out_channels")
    downs = file.take("down_block_types")
    kinds = {block_kind("Down", attends): attends for attends in (True, False)}
    if not set(downs) <= set(kinds) or len(downs) != len(channels):
        raise file.refuse("down_block_types", f"{len(channels)} of {', '.join(kinds)}")
    # what is called the heads' width is their number in every Stable Diffusion before XL
    field = (
        "num_attention_heads" if file.fields.get("num_attention_heads") else "attention_head_dim"
    )
    heads = file.take(field, 8)
    file.take("attention_head_dim", 8)
    heads = (heads,) * len(channels) if isinstance(heads, int) else tuple(heads)
    if any(width % count for width, count in zip(channels, heads, strict=True)):
        raise file.refuse("attention_head_dim", f"divisors of {channels}")
    try:
        return UNetConfig(
            in_channels=file.take("in_channels"),
            out_channels=file.fields.get("out_channels", file.take("in_channels")),
            channels=channels,
            attention=tuple(kinds[kind] for kind in downs),
            head_channels=tuple(w // count for w, count in zip(channels, heads, strict=True)),
            context_features=file.take("cross_attention_dim"),
            residual_blocks=file.take("layers_per_block", 2),
            groups=file.take("norm_num_groups", 32),
            epsilon=file.take("norm_eps", 1e-5),
            dtype=dtype,
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"{file.path}: {error}") from error


def block_kind(way: str, attends: bool) -> str:
    """Return what diffusers calls a block of a U-Net."""
    return f"CrossAttn{way}Block2D" if attends else f"{way}Block2D"


def read_vae(path: Path, dtype: str) -> VAEConfig:
    """Return the sizes in the config.json of an autoencoder."""
    file = _Reader(path)
    config = VAEConfig(
        image_channels=file.take("in_channels", 3),
        latent_channels=file.take("latent_channels", 4),
        channels=file.numbers("block_out_channels"),
        residual_blocks=file.take("layers_per_block", 2),
        groups=file.take("norm_num_groups", 32),
        scale=file.take("scaling_factor", 0.18215),
        dtype=dtype,
    )
    levels = len(config.channels)
    for way, kind in (("down", "DownEncoderBlock2D"), ("up", "UpDecoderBlock2D")):
        if list(file.take(f"{way}_block_types")) != [kind] * levels:
            raise file.refuse(f"{way}_block_types", f"{levels} of {kind}")
    file.take("out_channels", 3)
    file.check(_VAE_FIXED)
    return config


def read_text(path: Path, dtype: str) -> TextConfig:
    """Return the sizes in the config.json of a CLIP text encoder."""
    file = _Reader(path)
    config = TextConfig(
        vocabulary=file.take("vocab_size"),
        positions=file.take("max_position_embeddings", 77),
        features=file.take("hidden_size"),
        hidden_features=file.take("intermediate_size"),
        layers=file.take("num_hidden_layers"),
        heads=file.take("num_attention_heads"),
        activation=file.take("hidden_act", "quick_gelu"),
        dtype=dtype,
    )
    if config.activation not in ("quick_gelu", "gelu"):
        raise file.refuse("hidden_act", "quick_gelu or gelu")
    file.check(_TEXT_FIXED)
    return config


def read_schedule(path: Path) -> ScheduleConfig:
    """Return the noise schedule in a scheduler_config.json, and the sampler that it names."""
    file = _Reader(path)
    config = ScheduleConfig(
        steps=file.take("num_train_timesteps", 1000),
        beta_start=file.take("beta_start"),
        beta_end=file.take("beta_end"),
        prediction=file.take("prediction_type", "epsilon"),
        sampler=SAMPLERS.get(file.fields.get("_class_name", ""), "pndm"),
        spacing=file.fields.get("timestep_spacing"),
    )
    if config.spacing not in SPACINGS:
        raise file.refuse("timestep_spacing", ", ".join(str(one) for one in SPACINGS))
    if config.prediction not in ("epsilon", "v_prediction"):
        raise file.refuse("prediction_type", "epsilon or v_prediction")
    file.check(_SCHEDULE_FIXED)
    return config
