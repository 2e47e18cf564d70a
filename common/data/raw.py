"""Reading raw files so that a bad one is named with its reason instead of stopping everything."""

import os
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
    """Return what a reader's error makes of a file: what the system says, else that it is damaged.

    The words of libraries are about their inside; whoever knows better what is wrong says it.
    """
    if not isinstance(error, OSError) or not error.strerror:
        return BadFile("cannot be read: it is damaged, or not as its kind asks for; save it again")
    if isinstance(error, FileNotFoundError) and error.filename and os.path.islink(error.filename):
        target = os.readlink(error.filename)
        how = "git annex get, datalad get" if "annex" in target else "copy the file itself"
        return BadFile(f"cannot be read: it is a link to {target}, which is not there ({how})")
    return BadFile(f"cannot be read ({error.strerror})")
