"""Tables as people save them: CSV of any separator and encoding, and what their cells mean.

The same rules hold for all studies: a cell that is empty, or says NA in one of its spellings, is
not known; 1 or F is female, 2 or M male. What cannot be read is named by file, line and column.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from common.data.raw import BadFile
from common.errors import InputError

SEPARATORS = ",;\t"
UNKNOWN = frozenset(["na", "n/a", "nan", "null", "none", "unknown", "-", "–"])
FEMALE, MALE = 1, 2
SEXES = {"f": FEMALE, "female": FEMALE, "woman": FEMALE, "m": MALE, "male": MALE, "man": MALE}
Value = TypeVar("Value", int, float)
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
BYTE_ORDER_MARKS = {  # the longer one before its beginning
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class Row:
    """A line of a table: the text of its cells by column, spaces around it cut off."""

    table: str
    line: int
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")

    def number(self, column: str, low: float, high: float) -> float | None:
        """Return the number of a cell, from `low` to `high`; None where it is not known.

        Raises `BadFile` for anything else.
        """
        text = self[column]
        if not is_known(text):
            return None
        if not NUMBER.fullmatch(text):
            point = ", write it with a decimal point" if "," in text else ""
            raise self._bad(column, f"{text!r} is not a number{point}")
        if not low <= float(text) <= high:
            raise self._bad(column, f"{text} is outside {low:g} to {high:g}")
        return float(text)

    def sex(self, column: str) -> int | None:
        """Return 1 (female) or 2 (male); None where it is not known.

        Raises `BadFile` for anything else.
        """
        text = self[column].lower()
        if not is_known(text):
            return None
        code = float(text) if NUMBER.fullmatch(text) else SEXES.get(text)
        if code not in (FEMALE, MALE):
            raise self._bad(column, f"is {self[column]!r}, not 1 or F (female), 2 or M (male)")
        return int(code)

    def needed(self, column: str, value: Value | None) -> Value:
        """Return a value that must be known, or raise `BadFile` where it is None."""
        if value is None:
            raise self._bad(column, "is missing")
        return value

    def _bad(self, column: str, what: str) -> BadFile:
        return BadFile(f"{column} {what} (line {self.line} of {self.table})")


class Ids:
    """The rows of a table by whom they are of.

    Ids that differ only in case, or in zeros before a number, are one and the same written in two
    ways: of these, and of ids with several rows, nobody can know which row holds.
    """

    def __init__(
        self, table: str, rows: Iterable[Row], column: str, name: Callable[[str], str] = str
    ):
        self._table = table
        self._rows: dict[str, list[Row]] = {}
        self._spellings: dict[str, set[str]] = {}
        for row in rows:
            own = name(row[column])
            self._rows.setdefault(own, []).append(row)
            self._spellings.setdefault(folded(own), set()).add(own)

    def __iter__(self) -> Iterator[str]:
        """Return the ids in the order of the table."""
        return iter(self._rows)

    def knows(self, name: str) -> bool:
        """Return whether there is a row of `name`, or of another spelling of it."""
        return folded(name) in self._spellings

    def row(self, name: str) -> Row:
        """Return the one row of `name`, or raise `BadFile`."""
        rows = self._rows.get(name, [])
        others = sorted(self._spellings.get(folded(name), set()) - {name})
        if not rows and others:
            raise BadFile(
                f"has no row in {self._table}, but {self._places(others[0])} has {others[0]!r}"
            )
        if not rows:
            raise BadFile(f"has no row in {self._table}")
        if len(rows) > 1:
            raise BadFile(f"has {len(rows)} rows in {self._table}, {self._places(name)}; keep one")
        if others:
            raise BadFile(
                f"has a row in {self._table}, and {self._places(others[0])} has {others[0]!r}; "
                "keep one"
            )
        return rows[0]

    def _places(self, name: str) -> str:
        lines = [str(row.line) for row in self._rows[name]]
        return f"line{'s' * (len(lines) > 1)} {', '.join(lines)}"


@dataclass(frozen=True)
class Table:
    """The rows of a table, and those that do not fit its header, "table: reason"."""

    name: str
    rows: list[Row]
    bad: list[str]

    def by(self, column: str, name: Callable[[str], str] = str) -> Ids:
        """Return the rows by the ids in a column, `name` being what counts of an id."""
        return Ids(self.name, self.rows, column, name)


def is_known(text: str) -> bool:
    """Return whether a cell says something: it is not empty, nor NA in one of its spellings."""
    return bool(text) and text.lower().strip("[]") not in UNKNOWN


def folded(name: str) -> str:
    """Return what two spellings of an id share: letters in lower case, no zeros before numbers."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", name.casefold())


def alike(names: Iterable[str]) -> dict[str, str]:
    """Return the names of which there is another spelling, each with that one."""
    first: dict[str, str] = {}
    found: dict[str, str] = {}
    for name in names:
        other = first.setdefault(folded(name), name)
        if other != name:
            found |= {name: other, other: name}
    return found


def read_text(path: Path) -> str:
    """Return a text file's content: UTF-8, what its byte order mark says, else Windows-1252.

    Raises `InputError` where it cannot be read, or is no text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    marked = (name for mark, name in BYTE_ORDER_MARKS.items() if content.startswith(mark))
    encodings = (next(marked, "utf-8"), "cp1252")
    for encoding in encodings if encodings[0] == "utf-8" else encodings[:1]:
        try:
            text = content.decode(encoding)
        except UnicodeError:
            continue
        if "\0" in text:
            line = text[: text.index("\0")].count("\n") + 1
            raise InputError(f"{path}: line {line} holds NUL, which is no text; save it as UTF-8")
        return text
    raise InputError(f"{path}: cannot be read as text; save it as UTF-8")


def read_table(path: Path, columns: Iterable[str], optional: Iterable[str] = ()) -> Table:
    """Return a table's rows with the cells of `columns`, named as given here.

    The separator (comma, semicolon or tab) is the one that the header holds most of; the header's
    case and the spaces around cells do not matter, nor do empty cells at the end of a line. Bad is
    a row of more or fewer cells than the header, and one that a quote makes several lines long.
    Raises `InputError` where the file cannot be read, or a column is missing or there twice.
    """
    text = read_text(path)
    header, _, _ = text.partition("\n")
    separator = max(SEPARATORS, key=header.count)
    records = _records(path, text, separator)
    names = [name.lower() for name in next(records, (1, 1, [""]))[2]]
    columns = list(columns)
    if missing := [name for name in columns if name.lower() not in names]:
        raise InputError(
            f"{path}: no column {missing[0]!r} in its first line {header.strip()[:80]!r}; "
            "separate the columns by comma, semicolon or tab"
        )
    wanted = columns + [name for name in optional if name.lower() in names]
    if twice := [name for name in wanted if names.count(name.lower()) > 1]:
        raise InputError(f"{path}: its first line has the column {twice[0]!r} twice; rename one")
    places = {name: names.index(name.lower()) for name in wanted}
    rows, bad = [], []
    for first, last, cells in records:
        if not any(cells):
            continue
        if last > first:
            bad.append(f"{path.name}: a quote in line {first} is closed in line {last} only")
        elif len(cells) != len(names):
            bad.append(f"{path.name}: line {first} has {len(cells)} cells, its header {len(names)}")
        else:
            own = {name: cells[place] for name, place in places.items()}
            rows.append(Row(path.name, first, own))
    return Table(path.name, rows, bad)


def _records(path: Path, text: str, separator: str) -> Iterator[tuple[int, int, list[str]]]:
    """Yield the numbers of first and last line of each record, and its cells.

    Empty cells that the header does not have are cut off at the end.
    """
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=separator, strict=True)
    count, start = 0, 1
    try:
        for record in reader:
            cells = [cell.strip() for cell in record]
            while cells and not cells[-1] and len(cells) > count:
                cells.pop()
            count = count or len(cells)
            yield start, reader.line_num, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}: line {start}: {_explained(str(error))}") from None


def _explained(error: str) -> str:
    if "unexpected end" in error or "field limit" in error:
        return "a quote is never closed"
    return f"a quote ends within a cell ({error}); write it twice"
