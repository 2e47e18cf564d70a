"""Tables written as CSV, for programs, and as Markdown, for people."""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common import text as texts
from common.files import write_atomic
from common.results.metrics_file import value_at

MISSING = "–"


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1) of one value per seed; the deviation is NaN for n < 2."""

    mean: float
    std: float
    n: int


Cell = str | int | float | Spread | None


@dataclass(frozen=True)
class Table:
    """A titled table; rows hold texts, numbers, spreads, or None for a missing value."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    digits: int = 4  # significant digits of numbers in the Markdown form

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table '{self.title}': row {row} for columns {self.columns}")


def spread(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation over seeds."""
    std = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return Spread(float(np.mean(values)) if values else math.nan, std, len(values))


def over_seeds(seeds: Mapping[str, Any], path: str) -> Cell:
    """Return the spread of the metric at a dotted path over seeds, None where none has it."""
    found = [value_at(metrics, path) for _, metrics in sorted(seeds.items())]
    kept = [value for value in found if value is not None]
    return spread(kept) if kept else None


def write(table: Table, folder: Path, name: str) -> None:
    """Write ``<name>.csv`` and ``<name>.md`` into `folder`."""
    write_atomic(folder / f"{name}.csv", comma_separated(table))
    write_atomic(folder / f"{name}.md", f"**{texts.markdown(table.title)}**\n\n{markdown(table)}")


def markdown(table: Table) -> str:
    """Return the table in Markdown, numbers rounded, spreads as mean ± standard deviation."""
    return _laid_out(table, texts.markdown)


def printed(table: Table) -> str:
    """Return the same for a terminal: names as they are, whatever they mean in Markdown."""
    return _laid_out(table, lambda cell: cell.replace("|", "\\|"))


def _laid_out(table: Table, escaped: Callable[[str], str]) -> str:
    body = [[escaped(text(cell, table.digits)) for cell in row] for row in table.rows]
    lines = [list(map(escaped, table.columns)), ["---"] * len(table.columns), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def comma_separated(table: Table) -> str:
    """Return the table as CSV, floats of 9 significant digits, a spread as two columns."""
    double = [
        any(isinstance(row[i], Spread) for row in table.rows) for i in range(len(table.columns))
    ]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    header: list[str] = []
    for column, two in zip(table.columns, double, strict=True):
        header += [f"{column} mean", f"{column} std"] if two else [column]
    writer.writerow([texts.spreadsheet(texts.visible(column)) for column in header])
    for row in table.rows:
        line: list[str] = []
        for cell, two in zip(row, double, strict=True):
            parts = (cell.mean, cell.std) if isinstance(cell, Spread) else (cell, None)
            line += [_exact(part) for part in parts[: 2 if two else 1]]
        writer.writerow(line)
    return out.getvalue()


def text(cell: Cell, digits: int = 4) -> str:
    """Return a cell as people read it: `digits` significant digits, decimals kept together."""
    if isinstance(cell, Spread):
        if not math.isfinite(cell.mean):
            return MISSING
        decimals = _decimals(cell.mean, digits)
        mean = f"{cell.mean:.{decimals}f}"
        return f"{mean} ± {cell.std:.{decimals}f}" if math.isfinite(cell.std) else mean
    if isinstance(cell, float):
        return f"{cell:.{_decimals(cell, digits)}f}" if math.isfinite(cell) else MISSING
    return MISSING if cell is None or cell == "" else texts.visible(str(cell))


def _decimals(value: float, digits: int) -> int:
    exponent = math.floor(math.log10(abs(value))) if value else 0
    return min(max(digits - 1 - exponent, 0), 8)


def _exact(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.9g}" if math.isfinite(cell) else ""
    return "" if cell is None else texts.spreadsheet(texts.visible(str(cell)))
