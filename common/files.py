"""Files that are either whole or not there."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part.

    Texts are written in UTF-8; what cannot be, such as a byte of a file's name that is none, as an
    escape, which JSON has as well.
    """
    plain = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    with atomic(path) as file:
        file.write(plain)


@contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write into, which takes the place of `path` once all is written.

    Where the block raises, `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays as a compressed ``.npz`` whose bytes depend on nothing but the arrays."""
    import numpy as np  # not for those who print a help text

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as file:
        ordered: dict[str, Any] = {name: np.asarray(arrays[name]) for name in sorted(arrays)}
        np.savez_compressed(file, **ordered)
        file.seek(0)
        write_atomic(path, file.read())
