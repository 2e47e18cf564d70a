"""Weights of the source's network, as PyTorch saves them, for ours."""

import re
from collections.abc import Mapping

import numpy as np
from flax import nnx

from common.nn.by_name import Path, load_by_name, torch_layout
from papers.camcan_cfg.config import ModelConfig
from papers.camcan_cfg.models.unet import UNet

# parts of our names -> parts of MONAI's
_PARTS = {
    "down": "down_blocks",
    "up": "up_blocks",
    "downsample": "downsampler.op.conv",
    "upsample": "upsampler.conv.conv",
    "residual": "resnets",
    "attention": "attentions",
    "conv1": "conv1.conv",
    "conv2": "conv2.conv",
    "skip": "skip_connection.conv",
    "time": "time_emb_proj",
    "proj_in": "proj_in.conv",
    "proj_out": "proj_out.conv",
    "transformer": "transformer_blocks.0",
    "self_attention": "attn1",
    "cross_attention": "attn2",
    "query": "to_q",
    "key": "to_k",
    "value": "to_v",
    "out": "to_out.0",
    "ff_in": "ff.linear1",
    "ff_out": "ff.linear2",
    "time1": "time_embed.0",
    "time2": "time_embed.2",
    "conv_in": "conv_in.conv",
    "norm_out": "out.0",
    "conv_out": "out.2.conv",
    "kernel": "weight",
    "scale": "weight",
}
_MIDDLE = {
    "middle.0.resnets": "middle_block.resnet_1",
    "middle.0.attentions": "middle_block.attention",
    "middle.1.resnets": "middle_block.resnet_2",
}


def monai_name(path: Path) -> str:
    """Return what MONAI's DiffusionModelUNet calls the parameter at `path` of our UNet."""
    name = ".".join(_PARTS.get(str(part), str(part)) for part in path)
    name = re.sub(r"blocks\.(\d+)\.(resnets|attentions)", r"\2.\1", name)
    return re.sub(r"^middle\.\d\.\w+", lambda match: _MIDDLE[match[0]], name)


def from_monai(weights: Mapping[str, np.ndarray], config: ModelConfig) -> nnx.State:
    """Return the state of `UNet(config)` with the weights of MONAI's DiffusionModelUNet.

    `weights` is its `state_dict()` as numpy arrays; `nnx.update(network, from_monai(...))` loads
    them. Raises InputError where names or shapes do not fit the config.
    """
    network = nnx.eval_shape(lambda: UNet(config, rngs=nnx.Rngs(0)))
    return load_by_name(network, weights, monai_name, torch_layout(network), "checkpoint")
