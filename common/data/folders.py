"""Folders of prepared data: each whole or not there, and made again where it is damaged."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from common import sealed, terminal
from common.errors import InputError
from common.files import sha256, write_atomic
from common.outputs import check_room

RECORD = "prepared.json"  # written last: a folder that has it is whole
_OURS = (RECORD, "dataset_info.json", "features.json")  # the latter two are TFDS's
_PARTS = (".array_record", ".npz")  # of the names of TFDS's files of examples, and of caches


def prepare_once(
    folder: Path, identity: Mapping[str, str], make: Callable[[Path], dict[str, Any]]
) -> dict[str, Any]:
    """Return the record of a prepared folder, made by `make(draft)` unless it is there already.

    `identity` names what the folder must have been made from; of a folder made from anything else
    nothing is kept. `folder` appears under its name only when it is whole, record and all; what
    a killed preparation leaves is thrown away by the next, and processes take turns. One that
    lacks a file, or holds another than was written, is made again.
    Raises `InputError` where `folder` is there and is something else.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _turn(folder):
        found = _whole(folder) if folder.exists() else None
        if found and identity.items() <= found["identity"].items():
            return found["made"]
        check_room(folder)
        draft, old = (folder.parent / f".{folder.name}.{end}" for end in ("incomplete", "old"))
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        try:
            made = make(draft)
            written = {
                path.relative_to(draft).as_posix(): sha256(path)
                for path in sorted(draft.rglob("*"))
                if path.is_file()
            }
            record = {"made": made, "identity": dict(identity), "written": written}
            write_atomic(draft / RECORD, sealed.seal(record))
            if folder.exists():  # under another name first: half of it must not bear this one
                shutil.rmtree(old, ignore_errors=True)
                os.replace(folder, old)
            os.replace(draft, folder)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return record_of(folder)


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Wait for the lock of a folder; none is needed where nothing can be made."""
    if os.access(folder.parent, os.W_OK):
        with FileLock(folder.parent / f".{folder.name}.lock"):
            yield
    else:
        yield


def record_of(folder: Path) -> dict[str, Any]:
    """Return what `make` returned for a prepared folder.

    Raises:
        InputError: the record is damaged or not there.
    """
    return _record(folder)["made"]


def holding(above: Path, content_hash: str) -> tuple[Path, dict[str, Any]] | None:
    """Return the prepared folder below `above` that holds this content, and its record.

    None where there is none; one that is damaged is none.
    """
    for file in sorted(above.glob(f"*/{RECORD}")):
        try:
            record = record_of(file.parent)
        except InputError:
            continue
        if record["content_hash"] == content_hash:
            return file.parent, record
    return None


def _record(folder: Path) -> dict[str, Any]:
    return sealed.read(folder / RECORD, f"delete {folder}, it is prepared again")


def _whole(folder: Path) -> dict[str, Any] | None:
    """Return the record of a prepared folder; None, and say so, where anything is damaged."""
    try:
        record = _record(folder)
        for name, digest in record["written"].items():
            if not (folder / name).is_file():
                raise InputError(f"{folder / name}: missing")
            if sha256(folder / name) != digest:
                raise InputError(f"{folder / name}: damaged")
    except InputError as damage:
        for path in folder.rglob("*"):
            ours = path.name in _OURS or any(part in path.name for part in _PARTS)
            if path.is_file() and not ours:
                raise InputError(
                    f"{folder}: is not a prepared data set, choose another folder"
                ) from None
        terminal.note(f"{str(damage).partition(';')[0]}; the data is prepared again")
        return None
    return record
