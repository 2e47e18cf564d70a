"""PyTorch checkpoints read as data: without PyTorch, and without running what a pickle asks for.

A checkpoint is a pickle beside raw tensor bytes. A pickle may name any function to be called; the
unpickler below knows six harmless names and refuses every other. It reads the three containers that
PyTorch has written: the zip archive (since 1.6), the older plain file, and TorchScript archives.
"""

from __future__ import annotations

import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from common.errors import InputError

_MAGIC = 0x1950A86A20F9469CFC6C  # first value in a file of the older format
_ITEM_TYPES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


class _Tensor(NamedTuple):
    """Where a tensor lies: a storage, and offset, shape and strides in items."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Storage(NamedTuple):
    """A run of items of one type, by its key in the file."""

    key: str
    item_type: str


class _ScriptModule:
    """What is kept of a TorchScript module: its attributes."""

    attributes: Mapping[str, Any] = MappingProxyType({})

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.attributes = dict(state)


class _Unpickler(pickle.Unpickler):
    """An unpickler that can make nothing but containers, numbers, strings and the records above.

    What it hands out is made anew for each file, so that no file can change how the next is read.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *rest: _Tensor(
                storage, offset, tuple(shape), tuple(strides)
            )
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *rest: tensor
        if (module, name) == ("torch.jit._pickle", "build_intlist"):
            return lambda numbers: list(numbers)
        if module == "torch" and name in _ITEM_TYPES:
            return _ITEM_TYPES[name]
        if module == "__torch__" or module.startswith("__torch__."):
            return type("ScriptModule", (_ScriptModule,), {})
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which weights do not need")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, item_type, key, *rest = pid
        if kind != "storage" or item_type not in _ITEM_TYPES.values():
            raise pickle.UnpicklingError(f"it holds {kind!r} of type {item_type!r}")
        if len(rest) == 3 and rest[2] is not None:
            raise pickle.UnpicklingError("it holds views of storages")
        return _Storage(str(key), item_type)


def read_torch_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """Return every tensor of a checkpoint by its dotted name, in the order of the file.

    Reads what `torch.save` and `torch.jit.save` write; no code in the file is run. Raises
    InputError for a file that is cut off, is no checkpoint, or asks for anything but tensors.
    """
    try:
        with path.open("rb") as file:
            read = _read_zip if zipfile.is_zipfile(file) else _read_plain
            file.seek(0)
            return read(file)
    except OSError as error:
        raise InputError(f"weights {path}: {error.strerror}") from error
    except Exception as error:  # whatever bytes that are not ours to trust may cause
        raise InputError(
            f"weights {path}: not read as a PyTorch checkpoint: {error}; fetch the file again"
        ) from error


def _read_zip(file: BinaryIO) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        root = next(name for name in names if name.endswith("/data.pkl")).removesuffix("data.pkl")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("its bytes are in big-endian order")
        with archive.open(f"{root}data.pkl") as pickled:
            tensors = dict(_tensors(_Unpickler(pickled).load()))
        storages = {
            tensor.storage: np.frombuffer(
                archive.read(f"{root}data/{tensor.storage.key}"), f"<{tensor.storage.item_type}"
            )
            for tensor in tensors.values()
        }
    return {name: _array(tensor, storages[tensor.storage]) for name, tensor in tensors.items()}


def _read_plain(file: BinaryIO) -> dict[str, np.ndarray]:
    magic, _version, _system = (_Unpickler(file).load() for _ in range(3))
    if magic != _MAGIC:
        raise ValueError("it does not begin as one")
    tensors = dict(_tensors(_Unpickler(file).load()))
    item_types = {tensor.storage.key: tensor.storage.item_type for tensor in tensors.values()}
    storages = {}
    for key in _Unpickler(file).load():
        count = int.from_bytes(file.read(8), "little")
        dtype = np.dtype(f"<{item_types[str(key)]}")
        storages[str(key)] = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
    return {name: _array(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}


def _tensors(value: Any, name: str = "") -> Iterator[tuple[str, _Tensor]]:
    """Yield the tensors in nested containers with their dotted names."""
    if isinstance(value, _Tensor):
        yield name, value
    elif isinstance(value, _ScriptModule):
        yield from _tensors(value.attributes, name)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _tensors(part, f"{name}.{key}" if name else str(key))


def _array(tensor: _Tensor, items: np.ndarray) -> np.ndarray:
    """Return a copy of the part of a storage that a tensor covers."""
    _, offset, shape, strides = tensor
    if len(shape) != len(strides) or min((offset, *shape, *strides)) < 0:
        raise ValueError(f"a tensor of shape {shape} has strides {strides} from {offset}")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    size = math.prod(int(n) for n in shape)
    if size > items.size or (size and last >= items.size):
        raise ValueError(f"a tensor of shape {shape} reaches beyond its {items.size} items")
    steps = [step * items.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(items[offset:], shape, steps, writeable=False).copy()
