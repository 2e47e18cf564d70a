"""Weights of either network as PyTorch saves them, for ours.

For networks in PyTorch whose layers are named as ours are: `down.0`, `up.0`, `norms.0`, and so on.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from common.errors import InputError

_PARTS = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}


def torch_name(path: tuple[Any, ...]) -> str:
    """Return what PyTorch calls the parameter or statistic at `path` of our network."""
    return ".".join(_PARTS.get(str(part), str(part)) for part in path)


def from_torch(network: nnx.Module, weights: Mapping[str, np.ndarray]) -> nnx.State:
    """Return the state of `network`, which may be abstract, with weights of PyTorch's `state_dict`.

    Raises InputError where names or shapes do not fit.
    """
    layers: Any = dict(nnx.iter_modules(network))
    loaded = []
    for path, parameter in nnx.to_flat_state(nnx.state(network)):
        name = torch_name(path)
        if name not in weights:
            raise InputError(f"weights: no {name!r}, which the network has")
        weight = np.asarray(weights[name], np.float32)
        if path[-1] == "kernel" and type(layers[path[:-1]]).__name__ == "ConvTranspose":
            weight = weight[:, :, ::-1, ::-1].transpose(2, 3, 0, 1)  # [in, out, rows, columns]
        elif path[-1] == "kernel":
            weight = weight.transpose(2, 3, 1, 0)  # [out, in, rows, columns]
        if weight.shape != parameter.shape:
            raise InputError(
                f"weights: {name!r} is {weight.shape} in our order of axes, the network's is "
                f"{tuple(parameter.shape)}"
            )
        loaded.append((path, parameter.replace(jnp.asarray(weight))))
    return nnx.from_flat_state(loaded)
