"""Weights of either network as PyTorch saves them, for ours.

For networks in PyTorch whose layers are named as ours are: `down.0`, `up.0`, `norms.0`, and so on.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import nnx

from common.nn.by_name import (
    Path,
    from_torch_kernel,
    from_torch_transposed_kernel,
    load_by_name,
)
from common.nn.conv import ConvTranspose

_PARTS = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}


def torch_name(path: Path) -> str:
    """Return what PyTorch calls the parameter or statistic at `path` of our network."""
    return ".".join(_PARTS.get(str(part), str(part)) for part in path)


def from_torch(network: nnx.Module, weights: Mapping[str, np.ndarray]) -> nnx.State:
    """Return the state of `network`, which may be abstract, with weights of PyTorch's `state_dict`.

    Raises InputError where names or shapes do not fit. BatchNorm's `num_batches_tracked` is no
    weight: its moving averages have a momentum.
    """
    modules: Any = nnx.iter_modules(network)
    transposed = {path for path, layer in modules if isinstance(layer, ConvTranspose)}

    def convert(path: Path, weight: np.ndarray) -> np.ndarray:
        if path[-1] != "kernel":
            return weight
        turn = from_torch_transposed_kernel if path[:-1] in transposed else from_torch_kernel
        return turn(weight)

    def is_count(name: str) -> bool:
        return name.endswith("num_batches_tracked")

    return load_by_name(network, weights, torch_name, convert, "weights", ignored=is_count)
