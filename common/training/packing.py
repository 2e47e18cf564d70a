"""A pytree of arrays as one flat array a dtype, and back."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

Leaf = list  # [name, shape, dtype]: JSON, and equal to what JSON gives back


def describe(tree: PyTree) -> list[Leaf]:
    """Return the name, shape and dtype of every leaf of a tree of arrays or shapes."""
    return [
        [jax.tree_util.keystr(path, simple=True, separator="/"), list(leaf.shape), leaf.dtype.name]
        for path, leaf in jax.tree_util.tree_leaves_with_path(jax.tree.map(_plain, tree))
    ]


def pack(tree: PyTree) -> dict[str, np.ndarray]:
    """Return the leaves of each dtype one after another, fetched from the device."""
    parts: dict[str, list[np.ndarray]] = {}
    for leaf in jax.device_get([_plain(leaf) for leaf in jax.tree.leaves(tree)]):
        parts.setdefault(leaf.dtype.name, []).append(leaf.ravel())
    return {dtype: np.concatenate(arrays) for dtype, arrays in parts.items()}


def unpack(arrays: Mapping[str, np.ndarray], template: PyTree) -> PyTree:
    """Return the tree that was packed, with the structure and the shardings of `template`."""
    read = dict.fromkeys(arrays, 0)
    leaves, structure = jax.tree.flatten(template)
    values = []
    for leaf, (_, shape, dtype) in zip(leaves, describe(template), strict=True):
        start = read[dtype]
        read[dtype] += math.prod(shape)
        values.append(_place(arrays[dtype][start : read[dtype]].reshape(shape), leaf))
    return jax.tree.unflatten(structure, values)


def difference(saved: list[Leaf], ours: list[Leaf]) -> str | None:
    """Return in words the first difference between two lists of leaves, None where they agree."""
    for there, here in zip(saved, ours, strict=False):
        if there != here:
            return f"{' '.join(map(str, there))} there, {' '.join(map(str, here))} here"
    if len(saved) != len(ours):
        return f"{len(saved)} arrays there, {len(ours)} here"
    return None


def digest(array: np.ndarray) -> str:
    """Return a digest of an array's bytes; 100 MB take 0.1 s."""
    content = np.ascontiguousarray(array).view(np.uint8).data
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _place(value: np.ndarray, like: Any) -> Any:
    """Return `value` on the devices of `like`, as a key where that is one."""
    sharding = getattr(like, "sharding", None)
    placed: Any = value
    if sharding is not None:
        placed = jax.make_array_from_callback(value.shape, sharding, lambda index: value[index])
    if _is_key(like):
        return jax.random.wrap_key_data(placed, impl=jax.random.key_impl(like))
    return placed


def _plain(leaf: Any) -> Any:
    """Return a leaf as an array of numbers: the data of a typed PRNG key, a scalar's array."""
    if _is_key(leaf):
        return jax.random.key_data(leaf)
    return leaf if hasattr(leaf, "dtype") else np.asarray(leaf, jnp.result_type(leaf))


def _is_key(leaf: Any) -> bool:
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key)
