"""Reading raw files so that a bad one is named with its reason instead of stopping everything."""

import zlib
from collections.abc import Iterable
from pathlib import Path

from common.errors import InputError


class BadFile(Exception):
    """A raw file that cannot be used; the message says why, without the file's name."""


def existing(raw: Path, flag: str = "--raw") -> Path:
    """Return the user's folder as an absolute path or raise `InputError` where there is none."""
    if not raw.is_dir():
        raise InputError(f"{flag} {raw}: no such folder")
    return raw.absolute()


def refusal(where: str, bad: Iterable[str]) -> InputError:
    """Return the error that lists every bad file, each on a line of its own as "name: reason"."""
    bad = list(bad)
    head = f"{where}: {len(bad)} bad; fix them, or skip them with --skip-bad:"
    return InputError("\n  ".join([head, *bad]))


def unreadable(error: Exception) -> BadFile:
    """Return what a reader's error makes of a file, in words that do not speak of the program.

    Messages of OSError and ValueError are kept, their first line; others are about a library's
    inside and mean that the file is damaged.
    """
    if isinstance(error, OSError) and error.strerror:
        return BadFile(f"cannot be read ({error.strerror})")
    first = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, OSError | ValueError | EOFError | zlib.error) and first:
        return BadFile(f"cannot be read ({first[:150]})")
    return BadFile("cannot be read: it is damaged")
