"""Trained networks in one safetensors file, as they are shipped: in float16, described, sealed.

``FILE.safetensors/NETWORK`` is the place of a network in such a file, and stands wherever the
folder of a trained network may stand. The file's metadata holds what is said of the networks, as
JSON by name, the digest of every array, and one of all that; nothing in it depends on the day or
the machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from common import sealed
from common.errors import InputError
from common.pretrained.tensor_files import open_tensors, save_tensors
from common.training.network_metadata import ARRAYS, KEPT, REMEDY, record_of
from common.training.packing import describe, difference, digest, pack, unpack
from common.training.state import State


def save(
    file: Path,
    states: Mapping[str, State],
    kept: Mapping[str, Sequence[str]],
    described: Mapping[str, Any],
) -> None:
    """Write networks and what is said of them: the same bytes of the same.

    Floating-point numbers become float16, in arrays that it can hold; all else stays as it is.

    Args:
        file: to be written.
        states: of each network by its name.
        kept: of each network which parts of the state are written, as ``params/generator``.
        described: anything that JSON holds, by name.
    """
    arrays = {}
    for network, state in states.items():
        for name, array in _named(_part(state, kept[network])).items():
            arrays[f"{network}/{name}"] = _halved(array)
    record: dict[str, Any] = {
        **described,
        KEPT: {name: list(parts) for name, parts in kept.items()},
        ARRAYS: {name: digest(array) for name, array in sorted(arrays.items())},
    }
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in record.items()}
    save_tensors(file, arrays, {**texts, sealed.DIGEST: sealed.digest(texts)})


def load(place: Path, template: State) -> State:
    """Return the state of the network at a place in a file; parts that were not kept are None.

    Raises:
        InputError: the file is damaged, holds no such network, or one of another model.
    """
    with open_tensors(place.parent) as file:
        record = record_of(file)
        if place.name not in record[KEPT]:
            known = ", ".join(record[KEPT])
            raise InputError(f"{file.path}: no network '{place.name}' there, only {known}")
        wanted = _part(template, record[KEPT][place.name])
        leaves, prefix = describe(wanted), f"{place.name}/"
        types = {name: np.dtype(dtype) for name, _, dtype in leaves}
        there = [name.removeprefix(prefix) for name in file if name.startswith(prefix)]
        saved = [[name, list(file.shape(prefix + name)), str(types.get(name))] for name in there]
        if differing := difference(sorted(saved), sorted(leaves)):
            raise InputError(
                f"{file.path}: {place.name} is of another model: {differing}; {REMEDY}"
            )
        packed: dict[str, list[np.ndarray]] = {}
        for name, _, dtype in leaves:
            array = file[prefix + name]
            if digest(array) != record[ARRAYS].get(prefix + name):
                raise InputError(f"{file.path}: {prefix}{name} is damaged; {REMEDY}")
            packed.setdefault(dtype, []).append(array.astype(types[name]).ravel())
    return unpack({dtype: np.concatenate(parts) for dtype, parts in packed.items()}, wanted)


def _part(state: State, kept: Sequence[str]) -> State:
    """Return a state with None in place of what does not lie below one of the names in `kept`."""

    def chosen(path: tuple[Any, ...], leaf: Any) -> Any:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return leaf if any(f"{name}/".startswith(f"{part}/") for part in kept) else None

    return jax.tree_util.tree_map_with_path(chosen, state)


def _named(state: State) -> dict[str, np.ndarray]:
    """Return the arrays of a state by the names that `describe` gives them."""
    packed, arrays = pack(state), {}
    read = dict.fromkeys(packed, 0)
    for name, shape, dtype in describe(state):
        start, read[dtype] = read[dtype], read[dtype] + int(np.prod(shape))
        arrays[name] = packed[dtype][start : read[dtype]].reshape(shape)
    return arrays


def _halved(array: np.ndarray) -> np.ndarray:
    """Return an array of floating-point numbers as float16, unless one of them is too large."""
    if array.dtype not in (np.float32, np.float64):
        return array
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if np.isfinite(half).all() else array
