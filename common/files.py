"""Files that are either whole or not there."""

import fcntl
import hashlib
import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from common.errors import InputError


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part.

    Texts are written in UTF-8; what cannot be, such as a byte of a file's name that is none, as an
    escape, which JSON has as well.
    """
    with atomic(path) as file:
        file.write(_encoded(content))


def update(path: Path, content: bytes | str) -> None:
    """Write `content` as `write_atomic` does, unless `path` holds it already."""
    if not path.exists() or path.read_bytes() != _encoded(content):
        write_atomic(path, content)


@contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write into, which takes the place of `path` once all is written.

    Where the block raises, `path` is as it was. An `OSError` of writing names `path`.
    """
    try:
        with partial(path) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(_part(path))):
            error.filename = str(path)
        raise


@contextmanager
def partial(path: Path) -> Iterator[BinaryIO]:
    """Yield an empty file beside `path`; it is gone afterwards, unless it was moved.

    All who write `path` take turns at this one file, so that what a killed process left of it goes
    with the next. It is made with the permissions that the user's umask leaves.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part(path)
    with _alone(part) as file:
        try:
            yield file
        finally:
            if _is_at(file, part):
                part.unlink()


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name[:50]}.part")  # no longer than a name may be


def _alone(part: Path) -> BinaryIO:
    """Open a file that no other process or thread has open here; it is empty."""
    while True:
        handle = os.open(str(part), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        file = open(part, "r+b", opener=lambda *_, handle=handle: handle)  # noqa: SIM115
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_at(file, part):  # whoever had it may have moved it meanwhile
                file.truncate()
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False


def _encoded(content: bytes | str) -> bytes:
    return content.encode(errors="backslashreplace") if isinstance(content, str) else content


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays as a compressed ``.npz`` whose bytes depend on nothing but the arrays."""
    import numpy as np  # not for those who print a help text

    ordered: dict[str, Any] = {name: np.asarray(arrays[name]) for name in sorted(arrays)}
    with atomic(path) as file:
        np.savez_compressed(file, **ordered)


def load_arrays(path: Path) -> dict[str, Any]:
    """Return the arrays of an ``.npz`` by name, each checked by its checksum.

    Raises:
        InputError: the file is damaged, or not there.
    """
    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive:
            contents = {name: archive.read(name) for name in archive.namelist()}
        return {
            name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(content))
            for name, content in contents.items()
        }
    except FileNotFoundError:
        raise InputError(f"{path}: missing") from None
    except OSError:
        raise
    except Exception:  # whatever damaged bytes lead zipfile, zlib and NumPy to
        raise InputError(f"{path}: damaged") from None
