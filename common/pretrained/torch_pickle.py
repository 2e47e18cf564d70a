"""Which tensors the pickle of a PyTorch checkpoint describes, and where they lie in its storages.

The functions that make tensors are known here by name. What callbacks, optimizers and settings
leave beside the weights becomes records that do nothing. Every other name is refused.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from common.pretrained.pickle_data import Function, Record, Refused, dictionary, read_pickle

_DEPTH = 32  # of nested dictionaries
_VISITED = 200_000  # entries of them; a vocabulary among settings has 50,000
_NAME_LENGTH = 1000
_DIMENSIONS = 64
_COPIES = 8  # how many tensors may share a byte of the file, on average
_DTYPES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
_BESIDE_WEIGHTS = re.compile(
    r"numpy\.(_?core\.multiarray\.scalar|dtype)|_codecs\.encode|pytorch_lightning\..+|"
    r"torch\.(Size|device|(b?float|u?int)\d+|bool|serialization\._get_layout)|"
    r"collections\.defaultdict|(__builtin__|builtins)\.(set|dict)"
)


class Storage(NamedTuple):
    """A run of `items` numbers of one type, by its key in the file."""

    key: str
    dtype: np.dtype
    items: int

    @property
    def size(self) -> int:
        """Return its number of bytes."""
        return self.items * self.dtype.itemsize


class TensorPart(NamedTuple):
    """A tensor as a part of a storage: offset, shape and strides in items."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Module(Record):
    """A module; its state is a dictionary of its attributes."""


def read_value(file: io.BytesIO, load: Callable[[Any], Any] | None = None) -> Any:
    """Return what the next pickle of `file` describes; `load` answers for storages."""
    return read_pickle(file, _find, load)


def storage_of(pid: Any) -> Storage:
    """Return the storage that a persistent identifier describes."""
    match pid:
        case ("storage", np.dtype() as dtype, str(key), str(), int(items), *rest):
            if rest not in ([], [None]):
                raise Refused("it holds views of storages")
            if not 0 <= items < 1 << 60:
                raise ValueError(f"storage {key[:20]!r} has a size that no file has")
            return Storage(key, dtype, items)
    raise Refused("it holds what is no storage of numbers in place of one")


def named_tensors(value: Any) -> dict[str, TensorPart]:
    """Return the tensors in nested dictionaries and modules by their dotted names."""
    found: dict[str, TensorPart] = {}
    for count, (name, part) in enumerate(_walk(value, "", _DEPTH)):
        if count == _VISITED:
            raise Refused(f"its dictionaries have more than {_VISITED:,} entries")
        if isinstance(part, TensorPart):
            found[name] = part
    return found


def check_tensors(tensors: Mapping[str, TensorPart], size: int) -> None:
    """Raise an error for tensors beyond their storage, or many times larger than the file."""
    total = 0
    for storage, offset, shape, strides in tensors.values():
        if len(shape) != len(strides) or min((offset, *shape, *strides)) < 0:
            raise ValueError(f"a tensor of shape {shape} has strides {strides} from {offset}")
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        items = math.prod(shape)
        if items > storage.items or (items and last >= storage.items):
            raise ValueError(f"a tensor of shape {shape} reaches beyond its {storage.items} items")
        total += items * storage.dtype.itemsize
    if total > _COPIES * size:
        raise Refused(f"its tensors take {total:,} bytes, the file {size:,}")


def _walk(value: Any, name: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield what nested dictionaries hold, and they themselves, by dotted names."""
    if isinstance(value, _Module):
        value = value.state
        if not isinstance(value, Mapping):
            raise ValueError("a module has no attributes")
    yield name, value
    if isinstance(value, Mapping):
        if not depth:
            raise Refused(f"its dictionaries are nested more than {_DEPTH} deep")
        for key, part in value.items():
            if isinstance(key, str | int):  # no class of a callback
                if isinstance(key, str) and len(name) + len(key) > _NAME_LENGTH:
                    raise Refused(f"it has a name of more than {_NAME_LENGTH} characters")
                yield from _walk(part, f"{name}.{key}" if name else str(key), depth - 1)


def _find(module: str, name: str) -> Any:
    """Return what stands for a name in a pickle."""
    asked = f"{module}.{name}"
    if module == "torch" and name in _DTYPES:
        return _DTYPES[name]
    if asked in _FUNCTIONS:
        return Function(_FUNCTIONS[asked])
    if module == "__torch__" or module.startswith("__torch__."):
        return Function(_Module)
    if _BESIDE_WEIGHTS.fullmatch(asked):
        return Function(Record)
    asked = asked[:100] if asked.isprintable() else ascii(asked[:100])
    raise Refused(f"it asks for {asked}, which weights do not need")


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> TensorPart:
    """Return a tensor whose parts are of the right types; `rest` is of gradients, then of views."""
    if not isinstance(storage, Storage) or rest[2:] not in ((), ({},)):
        raise Refused("it holds a tensor that is not simply a part of a storage")
    if not all(isinstance(sizes, tuple | list) for sizes in (shape, strides)):
        raise ValueError("a tensor has no shape or strides")
    if max(len(shape), len(strides)) > _DIMENSIONS:
        raise ValueError(f"a tensor has more than {_DIMENSIONS} dimensions")
    shape, strides = tuple(shape), tuple(strides)
    if not all(isinstance(n, int) and abs(n) < 1 << 60 for n in (offset, *shape, *strides)):
        raise ValueError("a tensor has sizes that no tensor has")
    return TensorPart(storage, offset, shape, strides)


def _typed_tensor(function: Any, _kind: Any, arguments: Any, *_: Any) -> TensorPart:
    """Return a tensor that PyTorch makes by `function`, then gives a type and attributes."""
    if not isinstance(function, Function) or function.call is not _tensor:
        raise Refused("it holds a tensor that is not simply a part of a storage")
    return _tensor(*arguments[:_DIMENSIONS])


def _ordered(pairs: Any = None) -> dict[Any, Any]:
    """Return a dictionary; Python 2 gave its items here."""
    if pairs is None:
        return {}
    if not isinstance(pairs, list):
        raise TypeError("an OrderedDict of what is no list")
    made = dictionary(pairs)
    pairs.clear()  # else one list could fill a million dictionaries
    return made


def _same(value: Any, *_: Any) -> Any:
    return value


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _same,
    "torch._utils._rebuild_parameter_with_state": _same,
    "torch._tensor._rebuild_from_type_v2": _typed_tensor,
    "torch.Tensor": Record,
    "torch.nn.parameter.Parameter": Record,
    "torch.nn.parameter.Buffer": Record,
    "torch.nn.modules.container.ParameterDict": _Module,
    "torch.jit._pickle.build_intlist": _same,
}
