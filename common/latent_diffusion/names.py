"""What diffusers and single files call the tensors of each part.

Every part of the model has its own tensors in diffusers' layout, one folder a part. A single file,
the layout of Rombach et al.'s code, holds all of them under the prefixes below. Names of our
parameters become diffusers', and those the single file's; published files of diffusers' layout
have names of several ages, hence lists of candidates, today's first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

import numpy as np

from common.nn.by_name import Path

Part = Literal["unet", "controlnet", "vae", "text"]
PREFIXES: dict[Part, str] = {
    "unet": "model.diffusion_model.",
    "controlnet": "control_model.",
    "vae": "first_stage_model.",
    "text": "cond_stage_model.transformer.text_model.",
}
_LEAVES = {"kernel": "weight", "scale": "weight", "embedding": "weight"}
_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "out": "to_out.0"}
_RESIDUAL = {"time": "time_emb_proj", "skip": "conv_shortcut"}
# parts of our names -> parts of diffusers'
_UNET = {
    **_LEAVES,
    **_ATTENTION,
    **_RESIDUAL,
    "time1": "time_embedding.linear_1",
    "time2": "time_embedding.linear_2",
    "down": "down_blocks",
    "up": "up_blocks",
    "downsample": "downsamplers.0.conv",
    "upsample": "upsamplers.0.conv",
    "residual": "resnets",
    "attention": "attentions",
    "transformer": "transformer_blocks.0",
    "self_attention": "attn1",
    "cross_attention": "attn2",
    "ff_in": "ff.net.0.proj",
    "ff_out": "ff.net.2",
    "norm_out": "conv_norm_out",
    "hint": "controlnet_cond_embedding",
    "to_skips": "controlnet_down_blocks",
    "to_middle": "controlnet_mid_block",
}
_VAE = {
    **_LEAVES,
    **_ATTENTION,
    **_RESIDUAL,
    "down": "down_blocks",
    "up": "up_blocks",
    "blocks": "resnets",
    "middle": "mid_block",
    "residual1": "resnets.0",
    "residual2": "resnets.1",
    "norm_out": "conv_norm_out",
    "quant": "quant_conv",
    "post_quant": "post_quant_conv",
}
_TEXT = {
    **_LEAVES,
    "tokens": "embeddings.token_embedding",
    "positions": "embeddings.position_embedding",
    "layers": "encoder.layers",
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "attention": "self_attn",
    "query": "q_proj",
    "key": "k_proj",
    "value": "v_proj",
    "out": "out_proj",
    "ff_in": "mlp.fc1",
    "ff_out": "mlp.fc2",
    "norm_out": "final_layer_norm",
}
# names of the VAE's attention before 2023, which published folders still have
_OLD_ATTENTION = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

_SINGLE_RESIDUAL = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_SINGLE_TOP = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "controlnet_mid_block": "middle_block_out.0",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
}
_SINGLE_VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}
# tables of the noise schedule, and others that are no weights of ours
_NO_WEIGHTS = re.compile(
    r"(.*\.)?position_ids$|model_ema\.|(.*_)?alphas_cumprod(_prev)?$|betas$|posterior_\w+$|"
    r"log_one_minus_alphas_cumprod$|logvar$|lvlb_weights$|scale_factor$|global_step$|epoch$|"
    r"cond_stage_model\.(logit_scale|transformer\.text_projection\.weight)$|"
    r"(optimizer_states|lr_schedulers|callbacks|loops)\b"
)


def is_no_weight(name: str) -> bool:
    """Return whether a tensor of this name is a table, or an average, that no part needs."""
    return _NO_WEIGHTS.match(name) is not None


def diffusers_name(part: Part, path: Path) -> str:
    """Return what diffusers (or, of the text encoder, transformers) calls our parameter at `path`.

    The text encoder's name is without the prefix ``text_model.``.
    """
    words = [str(word) for word in path if word != "base"]  # what LoRA is around
    if part == "text":
        return ".".join(_TEXT.get(word, word) for word in words)
    if part == "vae":
        return _vae_name(words)
    name = ".".join(_UNET.get(word, word) for word in words)
    name = re.sub(r"\bblocks\.(\d+)\.(resnets|attentions)\b", r"\2.\1", name)
    name = re.sub(r"^middle\.0\.attentions", "mid_block.attentions.0", name)
    return re.sub(r"^middle\.(\d)\.resnets", r"mid_block.resnets.\1", name)


def _vae_name(words: list[str]) -> str:
    if "resample" in words:
        halves = "downsamplers.0.conv" if words[0] == "encoder" else "upsamplers.0.conv"
        words = [halves if word == "resample" else word for word in words]
    name = ".".join(_VAE.get(word, word) for word in words)
    name = name.replace("mid_block.attention.attention", "mid_block.attentions.0")
    return name.replace("mid_block.attention.norm", "mid_block.attentions.0.group_norm")


def names_in_folder(part: Part, path: Path) -> list[str]:
    """Return the names that our parameter has in folders of diffusers' layout, old and new."""
    name = diffusers_name(part, path)
    if part == "text":
        return [f"text_model.{name}", name]
    if part == "vae" and "attentions" in name:
        for new, old in _OLD_ATTENTION.items():
            if f".{new}." in name:
                return [name, name.replace(f".{new}.", f".{old}.")]
    return [name]


def single_file_name(part: Part, path: Path) -> str:
    """Return the name that our parameter has in a single file."""
    name = diffusers_name(part, path)
    if part == "vae":
        name = _single_vae(name)
    elif part != "text":
        name = _single_unet(name)
    return PREFIXES[part] + name


def _single_unet(name: str) -> str:
    for ours, theirs in _SINGLE_TOP.items():
        if name.startswith(f"{ours}."):
            return theirs + name.removeprefix(ours)
    rules: list[tuple[str, Callable[[re.Match], str]]] = [
        (
            r"down_blocks\.(\d+)\.(resnets|attentions)\.(\d+)",
            lambda m: f"input_blocks.{1 + 3 * int(m[1]) + int(m[3])}.{_second(m[2])}",
        ),
        (
            r"down_blocks\.(\d+)\.downsamplers\.0\.conv",
            lambda m: f"input_blocks.{3 * int(m[1]) + 3}.0.op",
        ),
        (r"mid_block\.resnets\.(\d)", lambda m: f"middle_block.{2 * int(m[1])}"),
        (r"mid_block\.attentions\.0", lambda m: "middle_block.1"),
        (
            r"up_blocks\.(\d+)\.(resnets|attentions)\.(\d+)",
            lambda m: f"output_blocks.{3 * int(m[1]) + int(m[3])}.{_second(m[2])}",
        ),
        (
            # behind the attention, where the level has it: all but the coarsest
            r"up_blocks\.(\d+)\.upsamplers\.0\.conv",
            lambda m: f"output_blocks.{3 * int(m[1]) + 2}.{1 if m[1] == '0' else 2}.conv",
        ),
        (r"controlnet_down_blocks\.(\d+)", lambda m: f"zero_convs.{m[1]}.0"),
        (
            r"controlnet_cond_embedding\.blocks\.(\d+)",
            lambda m: f"input_hint_block.{2 + 2 * int(m[1])}",
        ),
        (r"controlnet_cond_embedding\.conv_out", lambda m: "input_hint_block.14"),
    ]
    for pattern, replacement in rules:
        changed = re.sub(f"^{pattern}", replacement, name)
        if changed != name:
            return _replace_word(changed, _SINGLE_RESIDUAL) if ".resnets." in name else changed
    return name


def _single_vae(name: str) -> str:
    name = re.sub(r"down_blocks\.(\d+)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d+)\.resnets", lambda m: f"up.{3 - int(m[1])}.block", name)
    name = re.sub(
        r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample", name
    )
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    if "mid_block.attentions.0." in name:
        name = name.replace("mid_block.attentions.0.", "mid.attn_1.")
        return _replace_word(name, _SINGLE_VAE_ATTENTION)
    return name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")


def _second(kind: str) -> int:
    return int(kind == "attentions")


def _replace_word(name: str, words: dict[str, str]) -> str:
    for ours, theirs in words.items():
        if f".{ours}." in name:
            return name.replace(f".{ours}.", f".{theirs}.")
    return name


def from_ours(name: str, path: Path, array: np.ndarray) -> np.ndarray:
    """Return our parameter at `path` as the tensor of PyTorch's layout that `name` names."""
    if path[-1] != "kernel":
        return array
    weight = np.moveaxis(array, (-1, -2), (0, 1))
    return weight[:, :, None, None] if weight.ndim == 2 and _ONE_BY_ONE.search(name) else weight


# linear layers of ours that are 1x1 convolutions in files
_ONE_BY_ONE = re.compile(
    r"(^|\.)(conv_shortcut|proj_in|quant_conv|post_quant_conv|skip_connection|nin_shortcut|"
    r"controlnet_mid_block|controlnet_down_blocks\.\d+|middle_block_out\.0|zero_convs\.\d+\.0|"
    r"attn_1\.[qkv]|proj_out)\.weight$"
)
