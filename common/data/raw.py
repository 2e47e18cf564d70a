"""Reading raw files so that a bad one is named with its reason instead of stopping everything."""

import csv
import zlib
from collections.abc import Iterable
from pathlib import Path

from common.errors import InputError

SEPARATORS = ",;\t"


class BadFile(Exception):
    """A raw file that cannot be used; the message says why, without the file's name."""


def existing(raw: Path) -> Path:
    """Return the raw folder as an absolute path or raise `InputError` where there is none."""
    if not raw.is_dir():
        raise InputError(f"--raw {raw}: no such folder")
    return raw.absolute()


def read_table(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """Return a table's rows as `{column: text}` for the `columns`, named as given here.

    The separator (comma, semicolon or tab) is the one that the header holds most of; the header's
    case and the spaces around cells do not matter; an absent cell is an empty text.
    Raises `InputError` where the file cannot be read or a column is missing.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None
    header = lines[0] if lines else ""
    rows = list(csv.reader(lines, delimiter=max(SEPARATORS, key=header.count)))
    names = [name.strip().lower() for name in rows[0]] if rows else []
    if missing := [name for name in columns if name.lower() not in names]:
        raise InputError(
            f"{path}: no column {missing[0]!r} in its first line {header[:80]!r}; "
            "separate the columns by comma, semicolon or tab"
        )
    places = {name: names.index(name.lower()) for name in columns}
    return [
        {name: row[place].strip() if place < len(row) else "" for name, place in places.items()}
        for row in rows[1:]
        if any(cell.strip() for cell in row)
    ]


def number(text: str, name: str, low: float, high: float) -> float:
    """Return the number that a table's cell holds, from `low` to `high`, or raise `BadFile`."""
    if not text:
        raise BadFile(f"{name} is missing")
    try:
        value = float(text)
    except ValueError:
        raise BadFile(f"{name} {text!r} is not a number") from None
    if not low <= value <= high:
        raise BadFile(f"{name} {text} is outside {low:g} to {high:g}")
    return value


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
