"""The configs of diffusers' folders, read; `common.latent_diffusion.configs_out` writes them.

A field that asks for something that is not built here is refused by name, so that no file is
computed as something else than it says.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from common import structured
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
# fields that diffusers takes for something else where they are absent
_SCHEDULE_STATED = {
    "pndm": ("beta_schedule", "steps_offset", "skip_prk_steps"),
    "ddim": ("beta_schedule", "steps_offset", "set_alpha_to_one", "clip_sample"),
    "ddpm": ("beta_schedule", "clip_sample"),
    "unipc": ("beta_schedule",),
}
# fields that change nothing in what is computed here
_IGNORED = {
    "sample_size", "force_upcast", "upcast_attention", "use_linear_projection", "layers_per_block",
    "interpolation_type", "latents_mean", "latents_std", "architectures", "bos_token_id",
    "eos_token_id", "pad_token_id", "dtype", "torch_dtype", "initializer_factor",
    "initializer_range", "projection_dim", "transformers_version", "dropout", "use_cache",
    "timestep_spacing", "sample_max_value", "dynamic_thresholding_ratio", "sigma_min", "sigma_max",
    "clip_sample_range", "addition_embed_type_num_heads", "time_shift_type", "flow_shift",
    "tie_word_embeddings", "return_dict", "id2label", "label2id",
}  # fmt: skip
SAMPLERS: dict[str, Any] = {
    "PNDMScheduler": "pndm",
    "DDIMScheduler": "ddim",
    "DDPMScheduler": "ddpm",
    "UniPCMultistepScheduler": "unipc",
}
_NOTHING: tuple[Any, ...] = (None, False, [], {}, "")  # said by fields that say nothing


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; raises InputError for any other content."""
    return structured.read_json(path, "fetch the file again")


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

    def whole(self, name: str, default: Any = None) -> int:
        value = self.take(name, default)
        if type(value) is not int or value < 1:
            raise self.refuse(name, "a whole number from 1 on")
        return value

    def number(self, name: str, default: Any = None) -> float:
        value = self.take(name, default)
        if type(value) not in (int, float) or not value > 0:
            raise self.refuse(name, "a number above 0")
        return float(value)

    def wholes(self, name: str, default: Any = None) -> tuple[int, ...]:
        value = self.take(name, default)
        if not isinstance(value, list | tuple) or not value:
            raise self.refuse(name, "a list of numbers")
        if any(type(n) is not int or n < 1 for n in value):
            raise self.refuse(name, "a list of whole numbers from 1 on")
        return tuple(value)

    def choice(self, name: str, options: Iterable[Any], default: Any = None) -> Any:
        value = self.take(name, default)
        if value not in list(options):
            raise self.refuse(name, f"one of {', '.join(map(str, options))}")
        return value

    def check(self, fixed: Fields) -> None:
        """Refuse what `fixed` says otherwise, and fields unknown here that say something."""
        for name, expected in fixed.items():
            self._taken.add(name)
            if name in self.fields and self.fields[name] != expected:
                raise self.refuse(name, repr(expected))
        for name, value in self.fields.items():
            if name not in self._taken and value not in _NOTHING:
                raise self.refuse(name, "none: it is unknown here")

    def refuse(self, name: str, expected: str) -> InputError:
        return InputError(
            f"{self.path}: {name} = {self.fields.get(name)!r}; supported is {expected}"
        )


def read_unet(path: Path, dtype: str) -> UNetConfig:
    """Return the sizes in the config.json of a U-Net."""
    file = _Reader(path)
    config = _unet(file, dtype, file.whole("out_channels", 4))
    ups = [block_kind("Up", attends) for attends in reversed(config.attention)]
    if file.take("up_block_types") != ups:
        raise file.refuse("up_block_types", f"{ups}, the mirror of down_block_types")
    file.check(_UNET_FIXED)
    return config


def read_sample_size(path: Path) -> int:
    """Return the latents' height and width that the config.json of a U-Net states, or 64."""
    file = _Reader(path)
    return file.whole("sample_size", 64) if file.fields.get("sample_size") is not None else 64


def read_controlnet(path: Path, dtype: str) -> tuple[UNetConfig, HintConfig]:
    """Return the sizes in the config.json of a ControlNet, and of the image that it follows."""
    file = _Reader(path)
    config = _unet(file, dtype, file.whole("in_channels", 4))
    hint = HintConfig(
        image_channels=file.whole("conditioning_channels", 3),
        channels=file.wholes("conditioning_embedding_out_channels", (16, 32, 96, 256)),
    )
    file.check(_CONTROLNET_FIXED)
    return config, hint


def _unet(file: _Reader, dtype: str, out_channels: int) -> UNetConfig:
    channels, downs = file.wholes("block_out_channels"), file.take("down_block_types")
    kinds = {block_kind("Down", attends): attends for attends in (True, False)}
    if not isinstance(downs, list) or any(kind not in list(kinds) for kind in downs):
        raise file.refuse("down_block_types", f"{len(channels)} of {', '.join(kinds)}")
    if len(downs) != len(channels):
        raise file.refuse("down_block_types", f"{len(channels)}, one for each block_out_channels")
    # what is called the heads' width is their number in every Stable Diffusion before XL
    stated = file.fields.get("num_attention_heads") is not None
    field = "num_attention_heads" if stated else "attention_head_dim"
    one = isinstance(file.take(field, 8), int)
    heads = (file.whole(field, 8),) * len(channels) if one else file.wholes(field)
    file.take("attention_head_dim", 8)
    divided = len(heads) == len(channels) and not any(map(operator.mod, channels, heads))
    if not divided:
        raise file.refuse(field, f"divisors of {channels}")
    try:
        return UNetConfig(
            in_channels=file.whole("in_channels", 4),
            out_channels=out_channels,
            channels=channels,
            attention=tuple(kinds[kind] for kind in downs),
            head_channels=tuple(map(operator.floordiv, channels, heads)),
            context_features=file.whole("cross_attention_dim"),
            residual_blocks=file.whole("layers_per_block", 2),
            groups=file.whole("norm_num_groups", 32),
            epsilon=file.number("norm_eps", 1e-5),
            dtype=dtype,
        )
    except ValueError as error:
        raise (
            error if isinstance(error, InputError) else InputError(f"{file.path}: {error}")
        ) from error


def block_kind(way: str, attends: bool) -> str:
    """Return what diffusers calls a block of a U-Net."""
    return f"CrossAttn{way}Block2D" if attends else f"{way}Block2D"


def read_vae(path: Path, dtype: str) -> VAEConfig:
    """Return the sizes in the config.json of an autoencoder."""
    file = _Reader(path)
    config = VAEConfig(
        image_channels=file.whole("in_channels", 3),
        latent_channels=file.whole("latent_channels", 4),
        channels=file.wholes("block_out_channels"),
        residual_blocks=file.whole("layers_per_block", 2),
        groups=file.whole("norm_num_groups", 32),
        scale=file.number("scaling_factor", 0.18215),
        dtype=dtype,
    )
    levels = len(config.channels)
    for way, kind in (("down", "DownEncoderBlock2D"), ("up", "UpDecoderBlock2D")):
        if file.take(f"{way}_block_types") != [kind] * levels:
            raise file.refuse(f"{way}_block_types", f"{levels} of {kind}")
    if any(width % config.groups for width in config.channels):
        raise file.refuse("block_out_channels", f"multiples of norm_num_groups = {config.groups}")
    file.check({**_VAE_FIXED, "out_channels": config.image_channels})
    return config


def read_text(path: Path, dtype: str) -> TextConfig:
    """Return the sizes in the config.json of a CLIP text encoder."""
    file = _Reader(path)
    config = TextConfig(
        vocabulary=file.whole("vocab_size"),
        positions=file.whole("max_position_embeddings", 77),
        features=file.whole("hidden_size"),
        hidden_features=file.whole("intermediate_size"),
        layers=file.whole("num_hidden_layers"),
        heads=file.whole("num_attention_heads"),
        activation=file.choice("hidden_act", ("quick_gelu", "gelu"), "quick_gelu"),
        dtype=dtype,
    )
    if config.features % config.heads:
        raise file.refuse("num_attention_heads", f"a divisor of hidden_size = {config.features}")
    file.check(_TEXT_FIXED)
    return config


def read_schedule(path: Path) -> ScheduleConfig:
    """Return the noise schedule in a scheduler_config.json, and the sampler that it names."""
    file = _Reader(path)
    sampler = SAMPLERS[file.choice("_class_name", SAMPLERS)]
    spacing = None
    if file.fields.get("timestep_spacing") is not None:
        spacings = ("leading", "linspace", "trailing") if sampler == "unipc" else ("leading",)
        spacing = file.choice("timestep_spacing", spacings)
    config = ScheduleConfig(
        steps=file.whole("num_train_timesteps", 1000),
        beta_start=file.number("beta_start"),
        beta_end=file.number("beta_end"),
        prediction=file.choice("prediction_type", ("epsilon", "v_prediction"), "epsilon"),
        sampler=sampler,
        spacing=spacing,
    )
    for name in _SCHEDULE_STATED[sampler]:
        file.take(name)
    file.check(_SCHEDULE_FIXED)
    return config
