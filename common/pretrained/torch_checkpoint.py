"""PyTorch checkpoints read as data: without PyTorch, and without running what a pickle asks for.

A checkpoint is a pickle beside raw tensor bytes. Three containers that PyTorch has written are
read: the zip archive (since 1.6), the older plain file, and TorchScript archives. Whatever a file
says of itself, reading it takes time and memory in proportion to its size.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from common.errors import InputError
from common.pretrained.pickle_data import Refused
from common.pretrained.torch_pickle import (
    Storage,
    TensorPart,
    check_tensors,
    named_tensors,
    read_value,
    storage_of,
)

_MAGIC = 0x1950A86A20F9469CFC6C  # first value in a file of the older format
_PICKLE_BYTES = 1 << 26  # that of Stable Diffusion with its optimizer takes 1 MB

_CHUNK = 1 << 20

_Opened = tuple[dict[str, TensorPart], Callable[[Storage], np.ndarray]]


class TorchCheckpoint:
    """The tensors of an open checkpoint, each read when it is asked for.

    Opening and reading raise InputError for a file that is cut off, is no checkpoint, or asks for
    anything but tensors; no code in the file is run.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _explained(path):
            self._file = path.open("rb")
            try:
                opened = _open_zip if zipfile.is_zipfile(self._file) else _open_plain
                self._tensors, self._read_storage = opened(self._file)
                check_tensors(self._tensors, path.stat().st_size)
            except BaseException:
                self._file.close()
                raise

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor by its dotted name, in the order of the file."""
        return {name: tensor.shape for name, tensor in self._tensors.items()}

    def read(self, name: str) -> np.ndarray:
        """Return a tensor."""
        storage, offset, shape, strides = self._tensors[name]
        with _explained(self._path):
            items = self._read_storage(storage)
            steps = [step * items.itemsize for step in strides]
            part = np.lib.stride_tricks.as_strided(items[offset:], shape, steps)
            whole = part.size == items.size and part.flags.c_contiguous
            return part if whole else part.copy()  # which does not hold the storage

    def close(self) -> None:
        """Close the file; no tensor is read afterwards."""
        self._file.close()


def read_torch_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """Return every tensor of a checkpoint by its dotted name, in the order of the file.

    Reads what `torch.save` and `torch.jit.save` write; no code in the file is run. Raises
    InputError for a file that is cut off, is no checkpoint, or asks for anything but tensors.
    """
    checkpoint = TorchCheckpoint(path)
    try:
        return {name: checkpoint.read(name) for name in checkpoint.shapes}
    finally:
        checkpoint.close()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Raise InputError for whatever bytes that are not ours to trust may cause."""
    try:
        yield
    except OSError as error:
        raise InputError(f"weights {path}: {error.strerror or error}") from error
    except Refused as error:
        advice = "use another file, best a .safetensors"
        raise InputError(f"weights {path}: refused, for {_line(error)}; {advice}") from error
    except Exception as error:
        what = f"not read as a PyTorch checkpoint: {_line(error)}"
        raise InputError(f"weights {path}: {what}; fetch the file again") from error


def _line(error: Exception) -> str:
    """Return the words of an error as one line; they may be those of the file."""
    words = str(error)[:300] or type(error).__name__
    return words if words.isprintable() else ascii(words)


def _open_zip(file: BinaryIO) -> _Opened:
    archive = zipfile.ZipFile(file)
    members = {member.filename: member for member in archive.infolist()}
    root = next((name[: -len("data.pkl")] for name in members if name.endswith("/data.pkl")), None)
    if root is None:
        raise ValueError("it holds no data.pkl")

    def member(name: str, size: int | None = None) -> zipfile.ZipInfo:
        """Return a member that holds as many bytes as it takes, `size` where that is known."""
        found = members.get(root + name)
        if found is None:
            raise ValueError(f"it lacks {root}{name}")
        if found.compress_type != zipfile.ZIP_STORED:
            raise Refused(f"{root}{name} is compressed, which PyTorch never does")
        if size is not None and found.file_size != size:
            raise ValueError(f"{root}{name} has {found.file_size} bytes, expected {size}")
        if size is None and found.file_size > _PICKLE_BYTES:
            raise Refused(f"{root}{name} has {found.file_size:,} bytes")
        return found

    if f"{root}byteorder" in members and archive.read(member("byteorder")) != b"little":
        raise ValueError("its bytes are in big-endian order")
    value = read_value(io.BytesIO(archive.read(member("data.pkl"))), storage_of)
    tensors = named_tensors(value)
    storages = [tensor.storage for tensor in tensors.values()]
    parts = {storage: member(f"data/{storage.key}", storage.size) for storage in storages}

    def read(storage: Storage) -> np.ndarray:
        with archive.open(parts[storage]) as opened:
            return _items(opened.read, storage)

    return tensors, read


def _open_plain(file: BinaryIO) -> _Opened:
    file.seek(0)
    start = io.BytesIO(file.read(_PICKLE_BYTES))
    storages: dict[str, Storage] = {}

    def load(pid: Any) -> Storage:
        storage = storage_of(pid)
        return storages.setdefault(storage.key, storage)

    if read_value(start) != _MAGIC:
        raise ValueError("it does not begin as one")
    _version, _system = read_value(start), read_value(start)
    value, keys = read_value(start, load), read_value(start)
    begins: dict[str, int] = {}
    position = start.tell()
    for key in keys:  # before each storage stands the number of its items
        if not isinstance(key, str) or key not in storages:
            raise ValueError("it lists a storage that no tensor uses")
        storage = storages[key]
        file.seek(position)
        if file.read(8) != storage.items.to_bytes(8, "little"):
            raise ValueError(f"it is cut off, or a storage has not {storage.items} items")
        begins[key] = position + 8
        position += 8 + storage.size
    if file.seek(0, io.SEEK_END) < position:
        raise ValueError(f"it is cut off, {position:,} bytes were expected")

    def read(storage: Storage) -> np.ndarray:
        file.seek(begins[storage.key])
        return _items(file.read, storage)

    return named_tensors(value), read


def _items(read: Callable[[int], bytes], storage: Storage) -> np.ndarray:
    """Return the items of a storage from a function that reads on, through no second copy."""
    items = np.empty(storage.items, storage.dtype)
    content = items.view("u1")
    for begin in range(0, storage.size, _CHUNK):
        part = content[begin : begin + _CHUNK]
        part[:] = np.frombuffer(read(part.size), "u1", part.size)
    return items
