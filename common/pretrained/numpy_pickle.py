"""Pickled NumPy arrays read as data: without running what the pickle asks for.

The three names that an array is pickled by are known here, each answered with a record; every other
is refused, and NumPy is handed only bytes, a type and a shape that fit each other. Reading takes
time and memory in proportion to the file.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.pretrained.pickle_data import Function, Record, Refused, read_pickle

_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
_ITEM_TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
_DEPTH = 8  # of nested containers
_VISITED = 10_000  # entries of them
_COPIES = 8  # how many arrays may share a byte of the file, on average


class _ItemType(Record):
    """What is kept of a pickled `np.dtype`: its code; the state holds the order of its bytes."""

    def __init__(self, code: Any = None, *_: Any) -> None:
        self.code = code


class _Array(Record):
    """What is kept of a pickled array: version, shape, item type, column order, bytes."""


def read_numpy_pickle(path: Path) -> dict[str, np.ndarray]:
    """Return every array in nested dictionaries by its dotted name, in the order of the file.

    No code in the file is run. Raises InputError for a file that is cut off, is no pickle, or asks
    for anything but arrays of numbers.
    """
    try:
        content = path.read_bytes()
        found: dict[str, np.ndarray] = {}
        size = 0
        for count, (name, value) in enumerate(_walk(read_pickle(io.BytesIO(content), _find))):
            if count == _VISITED:
                raise Refused(f"its dictionaries have more than {_VISITED:,} entries")
            if isinstance(value, _Array):
                found[name] = _array(value)
                size += found[name].nbytes
                if size > _COPIES * len(content):
                    raise Refused("its arrays are many times larger than the file")
        return found
    except OSError as error:
        raise InputError(f"weights {path}: {error.strerror}") from error
    except Exception as error:  # whatever bytes that are not ours to trust may cause
        raise InputError(
            f"weights {path}: not read as pickled arrays: {error}; fetch the file again"
        ) from error


def _find(module: str, name: str) -> Any:
    """Return what stands for a name in a pickle."""
    if module in _MODULES and name == "_reconstruct":
        return Function(_Array)
    if module in _MODULES and name == "ndarray":
        return Record()  # only ever an argument of the above
    if module in _MODULES and name == "dtype":
        return Function(_ItemType)
    raise Refused(f"it asks for {module}.{name}, which arrays do not need")


def _walk(value: Any, name: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, Any]]:
    """Yield what nested dictionaries hold, and they themselves, with dotted names."""
    yield name, value
    if isinstance(value, Mapping) and depth:
        for key, part in value.items():
            yield from _walk(part, f"{name}.{key}" if name else str(key), depth - 1)
    elif not isinstance(value, _Array):
        raise ValueError(f"{name or 'it'} holds {type(value).__name__}, expected arrays")


def _array(pickled: _Array) -> np.ndarray:
    """Return the array of a record whose parts fit each other."""
    _version, shape, item_type, by_columns, content = pickled.state
    if not isinstance(item_type, _ItemType) or item_type.code not in _ITEM_TYPES:
        raise ValueError("an array does not hold numbers")
    order = item_type.state[1] if item_type.state else "|"
    if order not in ("<", ">", "|") or not isinstance(content, bytes):
        raise ValueError("an array does not hold bytes")
    items = np.frombuffer(content, np.dtype(order + item_type.code))
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError(f"an array has the shape {shape}")
    if math.prod(shape) != items.size:
        raise ValueError(f"an array of shape {shape} has {items.size} items")
    return items.reshape(shape, order="F" if by_columns else "C").copy()
