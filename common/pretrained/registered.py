"""Weights of the user's own, registered under a name: where they lie and what they hash to.

A registered name stands for a file or a folder that stays where it is, untouched: a folder in
diffusers' layout, a checkpoint in one file, a LoRA, an embedding of textual inversion. What was
registered is kept as a record, ``registered/NAME.json`` in the folder of weights.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from common import files, paths
from common.errors import InputError, nearest
from common.pretrained.published_weights import SETS
from common.pretrained.tensor_files import INDEX, SUFFIXES, check_kind, open_tensors

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_CONFIG_SUFFIXES = (".json", ".txt")  # settings, and the vocabulary of a tokenizer
_ENTRIES = 10_000  # of a folder of weights with all below it; a disk has more
_EMBEDDINGS = 8  # tensors at most, in a file of textual inversion

State = Literal["present", "verified", "changed", "gone"]


@dataclass(frozen=True)
class RegisteredFile:
    """A file of registered weights: its path in their folder, bytes and SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Registered:
    """Weights of the user's own; `kind` is what they were taken for, and for reading only."""

    name: str
    kind: str
    path: str
    files: tuple[RegisteredFile, ...]

    @property
    def size(self) -> int:
        """Return the number of bytes of all files."""
        return sum(file.size for file in self.files)


def register(name: str, path: Path) -> Registered:
    """Register the weights at `path` under `name`, and return what was recorded.

    Hashes every file of weights or settings, and writes one record. Raises InputError for a name
    that is none or taken, and for a path without weights or with a weight file that is damaged.
    """
    record = _record(name)
    if name in SETS:
        raise InputError(f"weights {name}: the name of a published set; choose another")
    path = Path(os.path.abspath(os.path.expanduser(path)))
    if record.exists() and (known := _load(record)).path != str(path):
        raise InputError(
            f"weights {name}: registered for {known.path}; weights --remove {name} first"
        )
    kind = _kind(path)
    hashed = tuple(
        RegisteredFile(name, file.stat().st_size, _sha256(file))
        for name, file in _files(path).items()
    )
    made = Registered(name, kind, str(path), hashed)
    files.write_atomic(record, json.dumps(dataclasses.asdict(made), indent=1) + "\n")
    return made


def forget(name: str) -> None:
    """Remove the record of a registered name; the weights stay where they are."""
    try:
        _record(name).unlink()
    except FileNotFoundError:
        raise InputError(f"weights {name}: not registered, {nearest(name, _names())}") from None


def registered() -> list[Registered]:
    """Return all registered weights in the order of their names."""
    return [_load(_record(name)) for name in _names()]


def state_of(weights: Registered, *, verify: bool = False) -> State:
    """Return whether registered weights are as they were, by size or, to `verify`, by SHA-256.

    A folder with another weight or config file than it had is "changed" too.
    """
    path = Path(weights.path)
    if not path.exists():
        return "gone"
    try:
        found = _files(path)
    except InputError:  # among a list of shards, one is missing
        return "changed"
    expected = {file.name: file for file in weights.files}
    if found.keys() != expected.keys():
        return "changed"
    if any(file.stat().st_size != expected[name].size for name, file in found.items()):
        return "changed"
    if not verify:
        return "present"
    whole = all(_sha256(file) == expected[name].sha256 for name, file in found.items())
    return "verified" if whole else "changed"


def registered_path(name_or_path: str | Path) -> Path:
    """Return the path of weights that are registered under a name, or the path itself.

    Raises InputError where it is neither, and for registered weights that are gone or, by the size
    of their files, changed.
    """
    name = str(name_or_path)
    if _NAME.fullmatch(name) and _record(name).exists():
        weights = _load(_record(name))
        state = state_of(weights)
        if state != "present":
            raise InputError(
                f"weights {name}: {weights.path} is {state}; put it back as it was, or "
                f"weights --remove {name} and --add it again"
            )
        return Path(weights.path)
    if name and Path(name).expanduser().exists():
        return Path(name).expanduser()
    names = _names()
    advice = nearest(name, names) if names else "register one by weights --add NAME PATH"
    raise InputError(f"weights {name!r}: no such path or registered name, {advice}")


def _record(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"weights {name!r}: not a name; letters, digits, - and _, at most 64 of them"
        )
    return paths.weights() / "registered" / f"{name}.json"


def _names() -> list[str]:
    return sorted(file.stem for file in (paths.weights() / "registered").glob("[!.]*.json"))


def _load(record: Path) -> Registered:
    try:
        kept: dict[str, Any] = json.loads(record.read_bytes())
        hashed = tuple(RegisteredFile(**file) for file in kept.pop("files"))
        return Registered(**kept, files=hashed)
    except (ValueError, KeyError, TypeError, AttributeError):
        name = record.stem
        raise InputError(
            f"{record}: not a record of weights; weights --remove {name} and --add it again"
        ) from None


def _files(path: Path) -> dict[str, Path]:
    """Return the weight and config files of a path by their names in its folder, in order."""
    if path.name.endswith(INDEX):
        with open_tensors(path) as tensors:
            return {file.name: file for file in tensors.files}
    if path.is_file():
        return {path.name: path}
    found = []
    for count, file in enumerate(_below(path)):
        if count == _ENTRIES:
            raise InputError(
                f"weights {path}: more than {_ENTRIES:,} files; give the folder of one model"
            )
        if file.name.endswith((*SUFFIXES, *_CONFIG_SUFFIXES)):
            found.append(file)
    return {file.relative_to(path).as_posix(): file for file in sorted(found)}


def _below(path: Path) -> Iterator[Path]:
    """Yield the files below a folder; links to folders are not followed, hidden ones left out."""
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(folder, name)
            if not name.startswith(".") and file.is_file():
                yield file


def _kind(path: Path) -> str:
    """Return what weights are, or raise InputError where a path holds none or damaged ones.

    Names and shapes tell it. Of folders, only safetensors files are opened: a pickle in one may be
    a trainer's, and no one's weights.
    """
    if not path.exists():
        raise InputError(f"weights {path}: no such file or folder")
    if not path.is_dir():
        with open_tensors(path) as tensors:
            return _kind_of({name: tensors.shape(name) for name in tensors})
    found = _files(path)
    weights = [file for file in found.values() if file.name.endswith(SUFFIXES)]
    if not weights:
        raise InputError(
            f"weights {path}: no weights in this folder; give one with files "
            f"{', '.join(SUFFIXES)} in it"
        )
    for file in weights:
        check_kind(file)
        if file.suffix == SUFFIXES[0]:
            open_tensors(file).close()
    return "diffusers folder" if "model_index.json" in found else "folder"


def _kind_of(shapes: Mapping[str, tuple[int, ...]]) -> str:
    if any(re.search(r"\blora(_[AB]|_up|_down|)\b", name) for name in shapes):
        return "LoRA"
    if any(name.startswith("model.diffusion_model.") for name in shapes):
        return "checkpoint"
    if len(shapes) <= _EMBEDDINGS and all(len(shape) <= 2 for shape in shapes.values()):
        return "textual inversion"
    return "weights"


def _sha256(file: Path) -> str:
    try:
        return files.sha256(file)
    except OSError as error:
        raise InputError(f"weights {file}: {error.strerror or error}") from error
