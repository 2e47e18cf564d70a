"""Latent diffusion models from files and back: diffusers' folders, and single files.

Tensors are read one after the other and go to the device as they come: beside the model's own
memory, one tensor's is needed. Nothing in a file is executed. Weights that a license gate protects
are the user's to bring: nothing is downloaded here but the tokenizer's vocabulary, which is free.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np
from flax import nnx

from common.diffusion.unet.unet import UNet, UNetConfig
from common.errors import InputError
from common.files import write_atomic
from common.latent_diffusion import configs, configs_out, names
from common.latent_diffusion.clip_text import TextEncoder
from common.latent_diffusion.config import HintConfig, LatentDiffusionConfig
from common.latent_diffusion.controlnet import ControlNet
from common.latent_diffusion.names import PREFIXES, Part
from common.latent_diffusion.pipeline import Pipeline
from common.latent_diffusion.tokenizer import Tokenizer
from common.latent_diffusion.vae import VAE
from common.nn import by_name
from common.pretrained.registered import registered_path
from common.pretrained.tensor_files import TensorFile, open_tensors, save_tensors

Network = TypeVar("Network", bound=nnx.Module)
_FOLDERS: dict[Part, str] = {
    "unet": "unet",
    "vae": "vae",
    "text": "text_encoder",
    "controlnet": "controlnet",
}
_STEMS: dict[Part, str] = dict.fromkeys(_FOLDERS, "diffusion_pytorch_model") | {"text": "model"}
_ENDS = (
    *(".safetensors", ".safetensors.index.json", ".fp16.safetensors"),
    *(".bin", ".bin.index.json", ".fp16.bin"),
)
_INDEX = "model_index.json"


def load(
    weights: str | Path,
    *,
    controlnet: str | Path | None = None,
    config: LatentDiffusionConfig | str | Path | None = None,
    dtype: str = "float32",
    weights_dtype: str | None = None,
) -> Pipeline:
    """Return the model in a folder or a file, or of a registered name, ready to draw.

    Args:
        weights: a folder of diffusers' layout, a single file, or a name given to `just weights`.
        controlnet: the same for a ControlNet; by default the model's own, if it has one.
        config: sizes of a single file, or a folder of diffusers' layout, or its registered name,
            that has them, and the tokenizer; Stable Diffusion 1.5's by default.
        dtype: that layers compute in: float32, bfloat16, float16.
        weights_dtype: that weights are kept in, by default `dtype`.

    Raises:
        InputError: a file or a tensor is missing, unknown, of another shape, or cannot be read.
    """
    path, kept = registered_path(weights), jnp.dtype(weights_dtype or dtype)
    if path.is_dir():
        pipeline, own = _load_folder(path, dtype, kept)
    else:
        if isinstance(config, str | Path):
            sizes, tokenizer = _read_folder(registered_path(config), dtype)
        else:
            sizes, tokenizer = config or LatentDiffusionConfig(), Tokenizer.published()
        pipeline, own = _load_file(path, sizes, tokenizer, dtype, kept)
    if controlnet := controlnet or own:
        pipeline.controlnet, hint = load_controlnet(
            controlnet, pipeline.config.unet, dtype, kept, hint=pipeline.config.hint
        )
        halved = 2 ** (len(hint.channels) - 1)
        if halved != pipeline.config.vae.factor:
            raise InputError(
                f"ControlNet {controlnet}: makes an image {halved} times smaller, the autoencoder "
                f"{pipeline.config.vae.factor} times; give one of this model"
            )
        pipeline.config = replace(pipeline.config, hint=hint)
    return pipeline


def _read_folder(folder: Path, dtype: str) -> tuple[LatentDiffusionConfig, Tokenizer]:
    """Return the sizes and the tokenizer of the model in a folder."""
    if not (folder / _INDEX).is_file():
        raise InputError(f"{folder}: no {_INDEX} in it; give a folder of diffusers' layout")
    unet = folder / _FOLDERS["unet"] / "config.json"
    vae = configs.read_vae(folder / _FOLDERS["vae"] / "config.json", dtype)
    config = LatentDiffusionConfig(
        unet=configs.read_unet(unet, dtype),
        vae=vae,
        text=configs.read_text(folder / _FOLDERS["text"] / "config.json", dtype),
        schedule=configs.read_schedule(folder / "scheduler" / "scheduler_config.json"),
        side=configs.read_sample_size(unet) * vae.factor,
    )
    tokenizer = Tokenizer.from_folder(folder / "tokenizer")
    _check_sizes(folder, config, tokenizer)
    return config, tokenizer


def _load_folder(folder: Path, dtype: str, kept: Any) -> tuple[Pipeline, Path | None]:
    """Return the model in a folder, and its ControlNet's folder if it has one."""
    config, tokenizer = _read_folder(folder, dtype)
    networks = {
        part: _from_folder(part, folder / _FOLDERS[part], network, kept)
        for part, network in _networks(config).items()
    }
    has_own = configs.read_json(folder / _INDEX).get("controlnet") not in (None, [None, None])
    own = folder / _FOLDERS["controlnet"] if has_own else None
    return Pipeline(config, tokenizer, **networks), own


def _check_sizes(path: Path, config: LatentDiffusionConfig, tokenizer: Tokenizer) -> None:
    """Raise InputError where the parts of a model do not fit together."""
    unet, vae, text = config.unet, config.vae, config.text
    if not unet.in_channels == unet.out_channels == vae.latent_channels:
        raise InputError(
            f"{path}: the U-Net takes {unet.in_channels} channels and gives {unet.out_channels}, "
            f"the autoencoder has {vae.latent_channels}; inpainting models are not supported"
        )
    if unet.context_features != text.features:
        raise InputError(
            f"{path}: the U-Net expects {unet.context_features} text features, the text encoder "
            f"has {text.features}; give parts of one model"
        )
    if tokenizer.size > text.vocabulary or tokenizer.length > text.positions:
        raise InputError(
            f"{path}: the tokenizer gives {tokenizer.length} of {tokenizer.size} ids, the text "
            f"encoder has {text.positions} and {text.vocabulary}; give parts of one model"
        )


def _networks(config: LatentDiffusionConfig) -> dict[Part, Any]:
    """Return the parts that every model has, without weights."""
    return {
        "text": _shapes(TextEncoder, config.text),
        "unet": _shapes(UNet, config.unet),
        "vae": _shapes(VAE, config.vae),
    }


@lru_cache(maxsize=8)
def _shapes(network: type, *sizes: Any) -> Any:
    """Return a network without weights; kept, because finding the shapes takes seconds."""
    return nnx.eval_shape(lambda: network(*sizes, rngs=nnx.Rngs(0)))


def _from_folder(part: Part, folder: Path, network: Network, kept: Any) -> Network:
    stems = [_STEMS[part], *(["pytorch_model"] if part == "text" else [])]
    files = [folder / f"{stem}{end}" for end in _ENDS for stem in stems]
    chosen = next(filter(Path.is_file, files), None)
    if chosen is None:
        raise InputError(f"{folder}: no weights in it; expected {files[0].name} or the like")
    with open_tensors(chosen) as tensors:
        return _filled(part, network, tensors, kept, in_single_file=False)


def _load_file(
    path: Path, config: LatentDiffusionConfig, tokenizer: Tokenizer, dtype: str, kept: Any
) -> tuple[Pipeline, Path | None]:
    """Return the model in a single file, and the file again if a ControlNet is in it."""
    config = replace(
        config,
        unet=replace(config.unet, dtype=dtype),
        vae=replace(config.vae, dtype=dtype),
        text=replace(config.text, dtype=dtype),
    )
    _check_sizes(path, config, tokenizer)
    with open_tensors(path) as tensors:
        prefixes = tuple(PREFIXES.values())
        stray = [n for n in tensors if not n.startswith(prefixes) and not names.is_no_weight(n)]
        if stray:
            raise InputError(
                f"{path}: "
                + by_name.listed("tensors of no part of Stable Diffusion 1", [*map(repr, stray)])
                + "; give a file of this model"
            )
        networks = {
            part: _filled(part, network, tensors, kept, in_single_file=True)
            for part, network in _networks(config).items()
        }
        has_own = any(name.startswith(PREFIXES["controlnet"]) for name in tensors)
    return Pipeline(config, tokenizer, **networks), path if has_own else None


def load_controlnet(
    weights: str | Path,
    unet: UNetConfig,
    dtype: str = "float32",
    kept: Any = None,
    *,
    hint: HintConfig | None = None,
) -> tuple[ControlNet, HintConfig]:
    """Return the ControlNet in a folder or a single file, for a U-Net of these sizes.

    `hint` has the sizes of its image encoder in a single file; a folder states them itself.
    """
    path, hint = registered_path(weights), hint or HintConfig()
    kept = jnp.dtype(kept or dtype)
    if path.is_dir():
        sizes, hint = configs.read_controlnet(path / "config.json", dtype)
        if replace(sizes, out_channels=unet.out_channels) != replace(unet, dtype=dtype):
            raise InputError(f"{path / 'config.json'}: not for this U-Net: {sizes} and {unet}")
    network = _shapes(ControlNet, unet, hint)
    if path.is_dir():
        return _from_folder("controlnet", path, network, kept), hint
    with open_tensors(path) as tensors:
        return _filled("controlnet", network, tensors, kept, in_single_file=True), hint


def _filled(
    part: Part, network: Network, tensors: TensorFile, kept: Any, *, in_single_file: bool
) -> Network:
    """Return an abstract network with its tensors in a file."""
    prefix = PREFIXES[part] if in_single_file else ""
    bare = part == "controlnet" and not any(name.startswith(prefix) for name in tensors)

    def name_of(path: by_name.Path) -> str:
        if in_single_file:
            name = names.single_file_name(part, path)
            return name.removeprefix(prefix) if bare else name
        candidates = names.names_in_folder(part, path)
        return next((name for name in candidates if name in tensors), candidates[0])

    def ignored(name: str) -> bool:
        return names.is_no_weight(name) or not (bare or name.startswith(prefix))

    arguments = (name_of, by_name.torch_layout(network), str(tensors.path))
    state = by_name.load_by_name(network, tensors, *arguments, ignored=ignored, dtype=kept)
    return nnx.merge(nnx.graphdef(network), state)


def save_folder(pipeline: Pipeline, folder: Path) -> None:
    """Write the model as a folder of diffusers' layout, its index last."""
    config, added = pipeline.config, len(pipeline.tokenizer.vocabulary.added)
    # of a model that lay here, what would be read in place of what is written
    (folder / _INDEX).unlink(missing_ok=True)
    (folder / "tokenizer" / "tokenizer.json").unlink(missing_ok=True)
    scheduler = configs_out.schedule_fields(config.schedule)
    unet = configs_out.unet_fields(config.unet)
    parts: dict[Part, tuple[nnx.Module, dict[str, Any]]] = {
        "unet": (pipeline.unet, unet | {"sample_size": config.side // config.vae.factor}),
        "vae": (pipeline.vae, configs_out.vae_fields(config.vae)),
        "text": (pipeline.text, configs_out.text_fields(config.text, added)),
    }
    if pipeline.controlnet is not None and config.hint is not None:
        fields = configs_out.controlnet_fields(config.unet, config.hint)
        parts["controlnet"] = (pipeline.controlnet, fields)
    for part, (network, fields) in parts.items():
        target = folder / _FOLDERS[part]
        _write_json(target / "config.json", fields)
        tensors = {
            name: names.from_ours(name, path, array)
            for path, array in _flat(network)
            for name in names.names_in_folder(part, path)[:1]
        }
        save_tensors(target / f"{_STEMS[part]}.safetensors", tensors, {"format": "pt"})
    _write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
    pipeline.tokenizer.save(folder / "tokenizer")
    index = configs_out.index_fields(scheduler["_class_name"], controlled="controlnet" in parts)
    _write_json(folder / _INDEX, index)


def save_file(pipeline: Pipeline, path: Path) -> None:
    """Write the model, with its ControlNet if it has one, as a single .safetensors file."""
    networks: dict[Part, Any] = {
        "unet": pipeline.unet,
        "vae": pipeline.vae,
        "text": pipeline.text,
        "controlnet": pipeline.controlnet,
    }
    tensors = {}
    for part, network in networks.items():
        for place, array in _flat(network) if network is not None else ():
            name = names.single_file_name(part, place)
            tensors[name] = names.from_ours(name, place, array)
    save_tensors(path, tensors, {"format": "pt"})


def _flat(network: nnx.Module) -> list[tuple[by_name.Path, np.ndarray]]:
    """Return the parameters; an adapted network has to be merged before."""
    flat = nnx.to_flat_state(nnx.state(network))
    if any("base" in path for path, _ in flat):
        raise ValueError("the network has adaptations; merge_lora or remove_lora it first")
    return [(path, np.asarray(variable[...])) for path, variable in flat]


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_atomic(path, json.dumps(content, indent=2) + "\n")
