"""Texts that others chose, such as names of files and titles, on their way to where they are shown.

Nothing in them may act there: control a terminal, become HTML, end a row of a table, or be run by a
spreadsheet. What cannot be shown is written as an escape, so that it can still be told.
"""

import re
from collections.abc import Mapping
from typing import Any

# Control characters, separators of lines, marks that turn the direction of writing, a byte order
# mark, and surrogates: bytes of a file's name that are no UTF-8.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_FORMULA = re.compile(r"\s*[=+\-@\t\r\n＝＋－＠]")  # what spreadsheets begin to compute at
# In Markdown: emphasis, code, HTML, ends of cells, entities, links, and words in underscores.
_MARKUP = re.compile(
    r"[\\`*<|~]|&(?=#|\w+;)|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])|^[#>]|(?<=!)\[", re.MULTILINE
)


def visible(text: str, keep: str = "") -> str:
    r"""Return a text with what is hidden in it as escapes, such as ``\x1b``, on one line.

    Args:
        text: any text.
        keep: hidden characters that stay, such as a line break.
    """
    return _HIDDEN.sub(lambda one: one[0] if one[0] in keep else _escape(one[0]), text)


def shortened(text: str, most: int = 200) -> str:
    """Return a text of at most `most` characters, the middle of a longer one left out."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def markdown(text: str) -> str:
    """Return a text that Markdown shows as it stands, in a cell of a table as well."""
    return _MARKUP.sub(r"\\\g<0>", visible(text))


def spreadsheet(text: str) -> str:
    """Return a text as a cell that no spreadsheet runs: an apostrophe first, but for numbers."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def cells(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row for a CSV file, its texts such as `visible` and `spreadsheet` make them."""
    return {
        name: spreadsheet(visible(cell)) if isinstance(cell, str) else cell
        for name, cell in row.items()
    }


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
