"""LoRA files of the forms in circulation: diffusers' of several ages, peft's and kohya's.

They give the same matrices many names. Those of a layer ``a.to_q`` of the U-Net are called

    diffusers     unet.a.to_q.lora_A.weight, unet.a.to_q.lora.down.weight
    before that   unet.a.processor.to_q_lora.down.weight, also without ``unet.``
    peft          base_model.model.a.to_q.lora_A.weight, also ``lora_A.default``
    kohya         lora_unet_a_to_q.lora_down.weight: dots are underscores

and the second one ``lora_B`` or ``up``; the text encoder's begin with ``text_encoder.`` and
``lora_te_``. What is written here has diffusers' form of today, with its metadata.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import nnx

from common.errors import InputError
from common.latent_diffusion.configs import read_json
from common.latent_diffusion.lora import (
    Adaptation,
    LoRALinear,
    linear_layers,
    lora_of,
    set_lora,
)
from common.latent_diffusion.names import Part, diffusers_name, from_ours
from common.latent_diffusion.pipeline import Pipeline
from common.nn import by_name
from common.pretrained.registered import registered_path
from common.pretrained.tensor_files import TensorFile, open_tensors, save_tensors

Networks = Pipeline | Mapping[Part, nnx.Module]  # "unet" and "text" of a mapping
_OWNERS: dict[Part, str] = {"unet": "unet", "text": "text_encoder"}  # in diffusers' names
_IN_FOLDERS = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")
_METADATA = "lora_adapter_metadata"  # what diffusers calls peft's settings in a file
_MATRIX = re.compile(
    r"(.+?)[._]lora(?:_linear_layer)?[._](down|up|A|B)(?:\.[^.]+)?\.weight"  # an adapter's name
)
_ALPHA = re.compile(r"(.+?)(?:[._]lora)?\.alpha")
_HALVES = {"down": "down", "A": "down", "up": "up", "B": "up"}
_PREFIX = re.compile(r"(base_model_model_)?(lora_)?(unet_|te_|text_encoder_)?(text_model_)?")
_OLD_TEXT = re.compile(r"(.+_self_attn)_to_(q|k|v|out)")
_FOREIGN = {
    "LoHa": re.compile(r"\bhada_"),
    "LoKr": re.compile(r"\blokr_"),
    "DoRA": re.compile(r"\b(dora_scale|lora_magnitude_vector)\b"),
    "Stable Diffusion XL": re.compile(r"lora_te[12]_|text_encoder_2\."),
}
_LITERAL = re.compile(r"\^?(?:\w|\\?\.)+\$?")


class _Layer(NamedTuple):
    part: Part
    path: by_name.Path
    name: str  # diffusers'
    module: nnx.Linear | LoRALinear


def load_lora(networks: Networks, path: str | Path, *, alpha: float | int | None = None) -> None:
    """Put the adaptations in a file beside the layers of U-Net and text encoder, in place.

    Args:
        networks: without adaptations on what the file adapts.
        path: of the file, of the folder that diffusers or peft saved it in, or the name that it was
            registered under.
        alpha: of the layers whose alpha neither the file says nor an adapter_config.json beside
            it; if None, it is the rank, as in diffusers.

    Raises:
        InputError: before anything is changed, for what a plain LoRA of this model has not.
    """
    with open_tensors(_file(registered_path(path))) as tensors:
        found = _adaptations(tensors, _layers(networks), alpha)
    for part, adaptations in found.items():
        set_lora(_parts(networks)[part], adaptations)


def _file(path: Path) -> Path:
    """Return the file of this path, or in the folder of this path."""
    if not path.is_dir():
        return path
    found = next(filter(Path.is_file, (path / name for name in _IN_FOLDERS)), None)
    if found is None:
        raise InputError(f"{path}: neither {' nor '.join(_IN_FOLDERS)} in it; give a LoRA file")
    return found


def save_lora(networks: Networks, path: Path) -> None:
    """Write the adaptations of U-Net and text encoder as diffusers does, alpha in the metadata.

    diffusers finds it in a folder under the name ``pytorch_lora_weights.safetensors``. The scale
    of use is not kept.
    """
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: LoRA files are written as .safetensors; rename it")
    tensors: dict[str, np.ndarray] = {}
    metadata: dict[str, Any] = {}
    for part, network in _parts(networks).items():
        adaptations = {diffusers_name(part, at): each for at, each in lora_of(network).items()}
        prefix = "unet." if part == "unet" else "text_encoder.text_model."
        for name, adaptation in adaptations.items():
            for half, kernel in (("A", adaptation.a), ("B", adaptation.b)):
                weight = from_ours(f"{name}.weight", ("kernel",), kernel)
                tensors[f"{prefix}{name}.lora_{half}.weight"] = weight
        settings = _settings_of(adaptations) if adaptations else {}
        metadata |= {f"{_OWNERS[part]}.{field}": value for field, value in settings.items()}
    if not tensors:
        raise InputError(f"{path}: the networks have no adaptation; add_lora or load_lora first")
    text = json.dumps(metadata, indent=2, sort_keys=True)
    save_tensors(path, tensors, {"format": "pt", _METADATA: text})


def _parts(networks: Networks) -> dict[Part, nnx.Module]:
    if isinstance(networks, Pipeline):
        return {"unet": networks.unet, "text": networks.text}
    return {part: networks[part] for part in _OWNERS if part in networks}


def _layers(networks: Networks) -> dict[str, _Layer]:
    """Return every linear layer by the key of its names."""
    found = {}
    for part, network in _parts(networks).items():
        for path, module in linear_layers(network):
            name = diffusers_name(part, path)
            found[_key(name)] = _Layer(part, path, name, module)
    return found


def _key(layer: str) -> str:
    """Return what all names of a layer have in common, with underscores as kohya's have."""
    key = _PREFIX.sub("", layer.replace(".", "_"), count=1).replace("_processor_", "_")
    if old := _OLD_TEXT.fullmatch(key):
        return f"{old[1]}_{old[2]}_proj"
    return f"{key}_0" if key.endswith("_to_out") else key


def _adaptations(
    tensors: TensorFile, layers: Mapping[str, _Layer], alpha: float | int | None
) -> dict[Part, dict[by_name.Path, Adaptation]]:
    """Return what a file has for these layers, checked."""
    names, file = _names_by_layer(tensors), tensors.path
    _check_layers(tensors, names, layers)
    settings = _read_settings(tensors)
    found: dict[Part, dict[by_name.Path, Adaptation]] = {}
    for key, of_layer in names.items():
        layer, kernel = layers[key], (*layers[key].path, "kernel")
        a, b = (
            by_name.from_torch_parameter(kernel, tensors[of_layer[half]], 2)
            for half in ("down", "up")
        )
        rank = a.shape[1]
        stated: float | None
        if "alpha" in of_layer:
            stated = _number(file, of_layer["alpha"], tensors[of_layer["alpha"]])
        else:
            stated = _stated_alpha(file, settings.get(layer.part, {}), layer.name, rank)
        if stated is None:
            stated = rank if alpha is None else alpha
        found.setdefault(layer.part, {})[layer.path] = Adaptation(a, b, stated)
    return found


def _names_by_layer(tensors: TensorFile) -> dict[str, dict[str, str]]:
    """Return the names of the tensors of each layer: its "down", its "up", its "alpha"."""
    for kind, pattern in _FOREIGN.items():
        foreign = [name for name in tensors if pattern.search(name)]
        _refuse(tensors, f"tensors of {kind}", foreign, "give a plain LoRA of this model")
    found: dict[str, dict[str, str]] = {}
    strange = []
    for name in tensors:
        if matrix := _MATRIX.fullmatch(name):
            layer, which = matrix[1], _HALVES[matrix[2]]
        elif number := _ALPHA.fullmatch(name):
            layer, which = number[1], "alpha"
        else:
            strange.append(name)
            continue
        of_layer = found.setdefault(_key(layer), {})
        twice = [of_layer[which], name] if which in of_layer else []
        _refuse(tensors, "names of one matrix", twice, "give a file of a single adaptation")
        of_layer[which] = name
    _refuse(tensors, "tensors of no LoRA", strange, "give a file of LoRA weights alone")
    return found


def _check_layers(
    tensors: TensorFile, names: Mapping[str, Mapping[str, str]], layers: Mapping[str, _Layer]
) -> None:
    """Raise InputError for what does not fit the layers."""
    convolutions, unknown, halves, misfits, adapted = [], [], [], [], []
    for key, of_layer in names.items():
        first = next(iter(of_layer.values()))
        shapes = {which: tensors.shape(of_layer[which]) for which in of_layer if which != "alpha"}
        if any(math.prod(shape[2:]) != 1 for shape in shapes.values()):
            convolutions.append(first)
        elif key not in layers:
            unknown.append(first)
        elif len(shapes) < 2:
            halves.append(first)
        elif not _fits(shapes["down"], shapes["up"], layers[key].module):
            down, up = shapes["down"], shapes["up"]
            misfits.append(f"{of_layer['down']} {down} with {of_layer['up']} {up}")
        elif isinstance(layers[key].module, LoRALinear):
            adapted.append(first)
    plain, other = "give a LoRA of linear layers alone", "give a LoRA of this model"
    _refuse(tensors, "tensors of a convolution larger than 1x1", convolutions, plain)
    _refuse(tensors, "tensors of no linear layer in the networks", unknown, other)
    _refuse(tensors, "tensors without their other half", halves, "fetch the file again")
    _refuse(tensors, "pairs of other shapes than their layers", misfits, other)
    advice = "merge_lora or remove_lora the networks first"
    _refuse(tensors, "tensors of layers that have an adaptation already", adapted, advice)


def _fits(down: Sequence[int], up: Sequence[int], layer: nnx.Linear | LoRALinear) -> bool:
    base = layer.base if isinstance(layer, LoRALinear) else layer
    if len(down) < 2 or len(up) < 2:
        return False
    return 0 < down[0] == up[1] and (down[1], up[0]) == (base.in_features, base.out_features)


def _refuse(tensors: TensorFile, fault: str, names: Sequence[str], advice: str) -> None:
    if names:
        listed = by_name.listed(fault, [repr(name[:200]) for name in names])
        raise InputError(f"{tensors.path}: {listed}; {advice}")


def _read_settings(tensors: TensorFile) -> dict[Part, dict[str, Any]]:
    """Return peft's settings of each part: from the file's metadata, or from beside it."""
    beside = tensors.path.with_name("adapter_config.json")
    if text := tensors.metadata.get(_METADATA):
        try:
            fields = dict(json.loads(text))
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(
                f"{tensors.path}: its {_METADATA} is no JSON object ({error}); fetch it again"
            ) from None
        return {
            part: {
                name.removeprefix(f"{owner}."): value
                for name, value in fields.items()
                if name.startswith(f"{owner}.")
            }
            for part, owner in _OWNERS.items()
        }
    if tensors.path.name.startswith("adapter_model.") and beside.exists():
        return dict.fromkeys(_OWNERS, read_json(beside))
    return {}


def _stated_alpha(file: Path, settings: Mapping[str, Any], name: str, rank: int) -> float | None:
    """Return the alpha of a layer by peft's settings, None where they say nothing of it."""
    alpha, patterns = settings.get("lora_alpha"), settings.get("alpha_pattern") or {}
    if not isinstance(patterns, dict):
        raise InputError(f"{file}: alpha_pattern {patterns!r}: expected an object; fetch it again")
    for pattern, value in patterns.items():
        if not _LITERAL.fullmatch(pattern):
            raise InputError(f"{file}: alpha_pattern {pattern!r}: name the layers one by one")
        if f".text_model.{name}".endswith("." + pattern.strip("^$").replace("\\", "")):
            alpha = value
            break
    if alpha is None:
        return None
    alpha = _number(file, "lora_alpha", alpha)
    return alpha * math.sqrt(rank) if settings.get("use_rslora") else alpha


def _number(file: Path, name: str, value: Any) -> float:
    try:
        number = np.asarray(value, np.float64).reshape(()).item()
    except (ValueError, TypeError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{file}: {name!r} is {str(value)[:100]}, expected one finite number")
    return number


def _settings_of(adaptations: Mapping[str, Adaptation]) -> dict[str, Any]:
    """Return peft's settings for layers by their names."""
    ranks = {name: each.a.shape[1] for name, each in adaptations.items()}
    alphas = {name: each.alpha for name, each in adaptations.items()}
    rank, alpha = (Counter(each.values()).most_common(1)[0][0] for each in (ranks, alphas))
    return {
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {name: each for name, each in ranks.items() if each != rank},
        "alpha_pattern": {name: each for name, each in alphas.items() if each != alpha},
        "target_modules": sorted(adaptations),
    }
