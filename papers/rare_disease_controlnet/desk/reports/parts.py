"""What a report consists of: sections with texts, figures and tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of texts; the first `texts` columns are words, the others numbers."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1


@dataclass(frozen=True)
class Figure:
    """A figure that `figures` draws, with what somebody who can't see it must know."""

    name: str
    caption: str
    alternative: str


@dataclass(frozen=True)
class Section:
    """A part of a report."""

    title: str
    text: str
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
