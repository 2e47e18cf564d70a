"""Files of named tensors, read tensor by tensor: safetensors, whole or in shards, and checkpoints.

The tensors come as NumPy arrays of the types that they are stored in. A tensor is read when it is
asked for and nothing of it is kept: a model goes to its device through one tensor's worth of host
memory. For that safetensors files are read and not mapped, since mapped pages count as memory.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from common.errors import InputError
from common.files import atomic
from common.pretrained.torch_checkpoint import TorchCheckpoint

INDEX = ".index.json"  # ends the name of a list of shards
CHECKPOINTS = (".ckpt", ".bin", ".pt", ".pth")
SUFFIXES = (".safetensors", *CHECKPOINTS)

_DTYPES = {
    "BOOL": np.dtype("?"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_INDEX_BYTES = 1 << 24  # those of the largest published models have a tenth of it


class _Entry(NamedTuple):
    """A tensor that has not been read yet."""

    file: Path
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


class TensorFile(Mapping[str, np.ndarray]):
    """The tensors of an open file by name, in the order of the file; each access reads one."""

    def __init__(
        self,
        path: Path,
        entries: Mapping[str, _Entry],
        metadata: Mapping[str, str],
        closing: ExitStack,
    ) -> None:
        self.path = path
        self.metadata = metadata  # what a safetensors file says of itself
        self._entries = entries
        self._closing = closing
        self._closed = False

    def __getitem__(self, name: str) -> np.ndarray:
        entry = self._entries[name]
        if self._closed:
            raise ValueError(f"{self.path} is closed")
        return entry.read()

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries  # without reading it

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor without reading it."""
        return self._entries[name].shape

    def file(self, name: str) -> Path:
        """Return the file that a tensor lies in: of several shards, the one."""
        return self._entries[name].file

    @property
    def files(self) -> tuple[Path, ...]:
        """Return every file that the tensors come from, a list of shards before them."""
        return tuple(dict.fromkeys([self.path, *(entry.file for entry in self._entries.values())]))

    def close(self) -> None:
        """Close the files; no tensor is read afterwards."""
        self._closed = True
        self._closing.close()

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_kind(path: Path) -> None:
    """Raise InputError for what often lies under the name of a weight file and is none.

    A folder, an empty file, a pointer of Git LFS, a page that asks for a login; it reads 100 bytes.
    """
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "not a regular file"
        raise InputError(f"weights {path}: {kind}; give a file of weights")
    if not path.name.endswith((INDEX, *SUFFIXES)):
        raise InputError(
            f"weights {path}: no known kind of file; give one of {', '.join(SUFFIXES)}, {INDEX}"
        )
    try:
        with path.open("rb") as file:
            start = file.read(100)
    except OSError as error:
        raise InputError(f"weights {path}: {error.strerror or error}") from error
    if not start:
        raise InputError(f"weights {path}: an empty file; fetch it again")
    if start.startswith(b"version https://git-lfs.github.com/spec"):
        raise InputError(
            f"weights {path}: a pointer of Git LFS in place of the file; run git lfs pull"
        )
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(
            f"weights {path}: a web page in place of the file; fetch it again, logged in where the "
            "publisher asks for it"
        )


def open_tensors(path: Path) -> TensorFile:
    """Open a file of tensors: .safetensors, its list of shards, or a checkpoint of PyTorch.

    Of a checkpoint with a dictionary ``state_dict``, the tensors are what lies in it; no code in
    the file is run (`common.pretrained.torch_checkpoint`). Raises InputError for a file that is
    damaged, cut off, of another kind, or lacks what it lists.
    """
    check_kind(path)
    with ExitStack() as opened:
        metadata: dict[str, str] = {}
        if path.name.endswith(INDEX):
            entries = _shards(path, opened)
        elif path.suffix == ".safetensors":
            entries, metadata = _safetensors(path, opened)
        else:
            entries = _checkpoint(path, opened)
        if not entries:
            raise InputError(f"weights {path}: holds no tensors; give a file of weights")
        return TensorFile(path, entries, metadata, opened.pop_all())


def save_tensors(
    path: Path, arrays: Mapping[str, Any], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named arrays, NumPy's or JAX's, as a safetensors file that is whole or not there.

    One array after another is copied to host memory, and none if it lies there as it is written.
    Raises InputError for an array of a type that the format has no code for.
    """
    order, header = _header(arrays, metadata)
    with atomic(path) as file:
        file.write(header)
        for name, dtype in order.items():
            file.write(np.asarray(arrays[name], dtype).reshape(-1).view("u1").data)


def _header(
    arrays: Mapping[str, Any], metadata: Mapping[str, str] | None
) -> tuple[dict[str, np.dtype], bytes]:
    """Return types by name in the order of the data, and what stands before the data."""
    shapes, dtypes = {}, {}
    for name, array in arrays.items():
        shapes[name], dtypes[name] = array.shape, np.dtype(array.dtype).newbyteorder("<")
        if dtypes[name] not in _CODES or name == "__metadata__":
            raise InputError(f"array {name!r} of type {array.dtype}: no safetensors file holds it")
    # larger items first, so that each lies at a multiple of its size
    order = {name: dtypes[name] for name in sorted(dtypes, key=lambda n: (-dtypes[n].itemsize, n))}
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    end = 0
    for name, dtype in order.items():
        begin, end = end, end + math.prod(shapes[name]) * dtype.itemsize
        shape = list(shapes[name])
        header[name] = {"dtype": _CODES[dtype], "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return order, len(text).to_bytes(8, "little") + text


def _safetensors(path: Path, opened: ExitStack) -> tuple[dict[str, _Entry], dict[str, str]]:
    try:
        file = opened.enter_context(safe_open(path, "numpy", backend="pread"))
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error
    # the package has checked types, shapes and offsets; not that names are different
    with path.open("rb") as raw:
        length = int.from_bytes(raw.read(8), "little")
        header = _json(path, raw.read(length))
    metadata = header.pop("__metadata__", None) or {}
    entries = {
        name: _Entry(path, tuple(found["shape"]), partial(_read, path, file, name, found["dtype"]))
        for name, found in header.items()
    }
    return entries, metadata


def _read(path: Path, file: Any, name: str, code: str) -> np.ndarray:
    if code not in _DTYPES:
        raise InputError(
            f"weights {path}: tensor {name!r} has the type {code}, which is not read; "
            "convert it to F16, BF16 or F32"
        )
    try:
        return file.get_tensor(name)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    said = str(error).removeprefix("Error while deserializing header: ")[:200]
    said = said if said.isprintable() else ascii(said)
    return InputError(f"weights {path}: not a whole safetensors file: {said}; fetch it again")


def _json(path: Path, text: bytes) -> dict[str, Any]:
    """Return the object of a JSON text that names nothing twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, value in pairs:
            if name in made:
                raise InputError(f"weights {path}: has {name[:200]!r} twice; fetch it again")
            made[name] = value
        return made

    try:
        made = json.loads(text, object_pairs_hook=unique)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"weights {path}: not JSON: {error}; fetch it again") from error
    if not isinstance(made, dict):
        raise InputError(f"weights {path}: not a JSON object; fetch it again")
    return made


def _shards(path: Path, opened: ExitStack) -> dict[str, _Entry]:
    with path.open("rb") as file:
        listed = _json(path, file.read(_INDEX_BYTES)).get("weight_map")
    if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
        raise InputError(f"weights {path}: has no weight_map of file names; fetch it again")
    shards = {}
    for name in dict.fromkeys(listed.values()):
        if Path(name).name != name or not name.endswith(SUFFIXES):
            raise InputError(f"weights {path}: lists {name[:200]!r}, no file of weights beside it")
        if not (path.parent / name).exists():
            raise InputError(f"weights {path}: its shard {name} is missing; fetch it too")
        shards[name] = opened.enter_context(open_tensors(path.parent / name))
    entries = {}
    for tensor, name in listed.items():
        if tensor not in shards[name]:
            raise InputError(f"weights {path}: {name} lacks {tensor[:200]!r}; fetch both again")
        entries[tensor] = shards[name]._entries[tensor]
    return entries


def _checkpoint(path: Path, opened: ExitStack) -> dict[str, _Entry]:
    checkpoint = TorchCheckpoint(path)
    opened.callback(checkpoint.close)
    prefix = "state_dict."
    shapes = checkpoint.shapes
    if not any(name.startswith(prefix) for name in shapes):
        prefix = ""
    return {
        name.removeprefix(prefix): _Entry(path, shape, partial(checkpoint.read, name))
        for name, shape in shapes.items()
        if name.startswith(prefix)
    }
