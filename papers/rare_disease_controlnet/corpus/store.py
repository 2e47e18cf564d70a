"""Films as files that are named by the SHA-256 of their bytes.

A name is all that a row of the database says of a file. Writing one twice is harmless, none is
ever changed, and none needs a lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from common.errors import InputError
from common.files import write_atomic
from papers.rare_disease_controlnet.corpus.canonical import digest

_DIGITS = frozenset("0123456789abcdef")


@runtime_checkable
class Store(Protocol):
    """A folder, or what else keeps files by name, such as an S3 bucket."""

    def put(self, content: bytes) -> str:
        """Keep a file, whole or not at all, and return its name."""

    def get(self, sha256: str) -> bytes:
        """Return the file of this name; raises `InputError` where it is missing or damaged."""

    def names(self) -> Iterator[str]:
        """Yield the name of every file."""


@dataclass(frozen=True)
class Folder:
    """A folder of PNG files, spread over subfolders by the first two digits of their names."""

    path: Path

    def put(self, content: bytes) -> str:
        """Keep a file, whole or not at all, and return its name.

        Raises:
            InputError: the folder cannot be written to, or is full.
        """
        sha256 = digest(content)
        file = self._file(sha256)
        try:
            if not file.exists() or file.read_bytes() != content:
                write_atomic(file, content)
        except OSError as error:
            raise InputError(
                f"{file}: cannot be written ({error.strerror}); free space or give another folder"
            ) from None
        return sha256

    def get(self, sha256: str) -> bytes:
        """Return the file of this name; raises `InputError` where it is missing or damaged."""
        file = self._file(sha256)
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            raise InputError(f"{file}: no such file; restore it or draw it again") from None
        except OSError as error:
            raise InputError(f"{file}: cannot be read ({error.strerror})") from None
        if (found := digest(content)) != sha256:
            raise InputError(
                f"{file}: damaged, its SHA-256 is {found}; restore it, or delete it and draw again"
            )
        return content

    def names(self) -> Iterator[str]:
        """Yield the name of every file, in order; not of what an interrupted write has left."""
        for file in sorted(self.path.glob("??/*.png")):
            if is_sha256(file.stem):
                yield file.stem

    def _file(self, sha256: str) -> Path:
        if not is_sha256(sha256):  # which might lead out of the folder
            raise InputError(f"{self.path}: {sha256!r} names no film; give 64 hexadecimal digits")
        return self.path / sha256[:2] / f"{sha256}.png"


def is_sha256(text: str) -> bool:
    """Return whether a text is a SHA-256 in lower-case hexadecimal."""
    return len(text) == 64 and _DIGITS.issuperset(text)
