"""Pickled NumPy arrays read as data: without running what the pickle asks for.

A pickle may name any function to be called. The unpickler below knows the three names that an
array is pickled by, answers each with a record of its own, and refuses every other; NumPy is handed
only bytes, a type and a shape that fit each other.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError

_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
_ITEM_TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
_DEPTH = 8  # of nested containers


class _ItemType:
    """What is kept of a pickled `np.dtype`: its code and the order of its bytes."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]


class _Array:
    """What is kept of a pickled array: version, shape, item type, column order, bytes."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    """An unpickler that can make nothing but containers, numbers, strings and the records above.

    What it hands out is made anew for each file, so that no file can change how the next is read.
    """

    def find_class(self, module: str, name: str) -> Any:
        if module in _MODULES and name == "_reconstruct":
            return lambda *_: type("Array", (_Array,), {})()
        if module in _MODULES and name == "ndarray":
            return object()  # only ever an argument of the above
        if module in _MODULES and name == "dtype":
            return type("ItemType", (_ItemType,), {})
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which arrays do not need")


def read_numpy_pickle(path: Path) -> dict[str, np.ndarray]:
    """Return every array in nested dictionaries by its dotted name, in the order of the file.

    No code in the file is run. Raises InputError for a file that is cut off, is no pickle, or asks
    for anything but arrays of numbers.
    """
    try:
        with path.open("rb") as file:
            return dict(_arrays(_Unpickler(file).load()))
    except OSError as error:
        raise InputError(f"weights {path}: {error.strerror}") from error
    except Exception as error:  # whatever bytes that are not ours to trust may cause
        raise InputError(
            f"weights {path}: not read as pickled arrays: {error}; fetch the file again"
        ) from error


def _arrays(value: Any, name: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays in nested dictionaries with their dotted names."""
    if isinstance(value, _Array):
        yield name, _array(value)
    elif isinstance(value, Mapping) and depth:
        for key, part in value.items():
            yield from _arrays(part, f"{name}.{key}" if name else str(key), depth - 1)
    else:
        raise ValueError(f"{name or 'it'} holds {type(value).__name__}, expected arrays")


def _array(pickled: _Array) -> np.ndarray:
    """Return the array of a record whose parts fit each other."""
    _version, shape, item_type, by_columns, content = pickled.state
    if not isinstance(item_type, _ItemType) or item_type.code not in _ITEM_TYPES:
        raise ValueError("an array does not hold numbers")
    if item_type.order not in ("<", ">", "|") or not isinstance(content, bytes):
        raise ValueError("an array does not hold bytes")
    items = np.frombuffer(content, np.dtype(item_type.order + item_type.code))
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError(f"an array has the shape {shape}")
    if math.prod(shape) != items.size:
        raise ValueError(f"an array of shape {shape} has {items.size} items")
    return items.reshape(shape, order="F" if by_columns else "C").copy()
