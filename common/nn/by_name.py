"""Weights of another library's network, by the names it gives them, for a network of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from common.errors import InputError

Path = tuple[Any, ...]
Convert = Callable[[Path, np.ndarray], np.ndarray]
_LISTED = 3  # names that an error line lists


def load_by_name(
    network: nnx.Module,
    arrays: Mapping[str, np.ndarray],
    name_of: Callable[[Path], str],
    convert: Convert,
    what: str,
    *,
    ignored: Callable[[str], bool] = lambda name: False,
    dtype: Any = None,
) -> nnx.State:
    """Return the state of `network`, which may be abstract, with the array that each path names.

    `convert` brings an array into our layout, and may fail for one of other dimensions. What an
    `ignored` name names is no weight. The arrays become of `dtype`, or of the network's own types,
    one after the other: of a mapping that reads them when asked, no more than one is held twice.
    Raises InputError, beginning with `what`, for names that are missing, names that are not used,
    and shapes that do not fit: all in one line.
    """
    flat = [
        (path, name_of(path), variable) for path, variable in nnx.to_flat_state(nnx.state(network))
    ]
    used = {name for _, name, _ in flat}
    missing = [repr(name) for _, name, _ in flat if name not in arrays]
    unused = [repr(name) for name in arrays if name not in used and not ignored(name)]
    loaded, misfits = [], []
    for path, name, variable in flat:
        if name not in arrays:
            continue
        array = _converted(convert, path, arrays[name])
        if array is not None and array.shape == variable.shape:
            # cast on the host: on the device each shape would be compiled, and both types be held
            array = array.astype(dtype or variable.dtype, order="C", copy=False)
            loaded.append((path, variable.replace(jnp.asarray(array))))
        else:
            shapes = f"{np.shape(arrays[name])}, the network's is {tuple(variable.shape)} (ours)"
            misfits.append(f"{name!r} is {shapes}")
    faults = {"missing": missing, "unused": unused, "of another shape": misfits}
    if lines := [listed(fault, items) for fault, items in faults.items() if items]:
        raise InputError(f"{what}: {'; '.join(lines)}; check the config of the network")
    return nnx.from_flat_state(loaded)


def _converted(convert: Convert, path: Path, array: np.ndarray) -> np.ndarray | None:
    try:
        return convert(path, np.asarray(array))
    except (ValueError, IndexError):  # another number of dimensions
        return None


def listed(fault: str, items: Sequence[str]) -> str:
    """Return how many items have a fault, and the first of them, as a part of an error line."""
    more = ", ..." if len(items) > _LISTED else ""
    return f"{len(items)} {fault}: {', '.join(items[:_LISTED])}{more}"


def torch_layout(network: nnx.Module) -> Convert:
    """Return what brings tensors of PyTorch's layout into that of the network's parameters."""
    dimensions = {path: len(v.shape) for path, v in nnx.to_flat_state(nnx.state(network))}
    return lambda path, array: from_torch_parameter(path, array, dimensions[path])


def from_torch_parameter(path: Path, array: np.ndarray, dimensions: int) -> np.ndarray:
    """Return a tensor of PyTorch's as our parameter at `path`, which has so many dimensions.

    A 1x1 convolution of theirs may be a linear layer of ours.
    """
    if path[-1] != "kernel":
        return array
    kernel = from_torch_kernel(array)
    return kernel[0, 0] if kernel.ndim > dimensions and kernel.shape[:2] == (1, 1) else kernel


def from_torch_kernel(weight: np.ndarray) -> np.ndarray:
    """Return a linear or convolution weight [out, in, ...] of PyTorch's as ours, [..., in, out]."""
    return np.moveaxis(weight, (0, 1), (-1, -2))


def from_torch_transposed_kernel(weight: np.ndarray) -> np.ndarray:
    """Return PyTorch's transposed convolution weight [in, out, rows, columns] as ours.

    [rows, columns, in, out], to be slid over the input and not laid about each of its pixels, and
    so reversed.
    """
    return np.moveaxis(weight[:, :, ::-1, ::-1], (0, 1), (-2, -1))
