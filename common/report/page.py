"""``results/index.html``: the whole suite on one plain page, laid out in ``page.html.j2``."""

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import jinja2

from common.report.comparison import Comparison, as_tables, compared, not_compared
from common.report.verdicts import Word
from common.results import tables
from common.text import visible


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure's address, relative to the page, and what it shows."""

    address: str
    title: str


@dataclasses.dataclass(frozen=True)
class Section:
    """What the page shows of one experiment."""

    name: str
    anchor: str
    comparison: Comparison
    claims: tables.Table
    numbers: tables.Table  # that can be compared
    not_compared: tuple[str, ...]  # a line for each reason
    deviations: tables.Table
    tally: dict[str, int]  # verdicts by word, in order of appearance
    figures: tuple[Figure, ...]


@dataclasses.dataclass(frozen=True)
class Block:
    """A heading, a paragraph or a table of a benchmark's page; `kind` is the tag."""

    kind: str  # h3 | p | table
    content: str | tables.Table


def suite(comparisons: Sequence[Comparison], folder: Path) -> str:
    """Return the page: every comparison with its tables and figures, then the benchmarks.

    Args:
        comparisons: what to show, in this order.
        folder: where the page will lie; figures are linked relative to it.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_visible,
    )
    environment.filters |= {"cell": tables.text, "numeric": _numeric}
    return environment.get_template("page.html.j2").render(
        sections=[_section(comparison, folder) for comparison in comparisons],
        benchmarks=_benchmarks(folder),
        verdicts=get_args(Word),
    )


def _visible(content: Any) -> Any:
    """Return what a page can hold: texts that are no HTML of its own without hidden characters."""
    plain = isinstance(content, str) and not hasattr(content, "__html__")
    return visible(content, "\n\t") if plain else content


def _section(comparison: Comparison, folder: Path) -> Section:
    shown = as_tables(comparison)
    verdicts = [row.verdict for row in comparison.numbers]
    verdicts += [row.verdict for row in comparison.claims]
    results = folder.parent / "papers" / comparison.study / "results" / comparison.experiment
    return Section(
        name=f"{comparison.study}: {comparison.experiment}",
        anchor=f"{comparison.study}-{comparison.experiment}",
        comparison=comparison,
        claims=shown["claims"],
        numbers=compared(comparison),
        not_compared=tuple(not_compared(comparison)),
        deviations=shown["deviations"],
        tally=dict(Counter(verdict.word for verdict in verdicts)),
        figures=tuple(
            Figure(
                Path(os.path.relpath(figure, folder)).as_posix(),
                f"{figure.stem.replace('_', ' ')}, on {comparison.data}",
            )
            for figure in sorted((results / "figures").glob("*.png"))
        ),
    )


def _numeric(table: tables.Table) -> list[bool]:
    """Return for each column whether it holds numbers only, besides missing values."""
    columns = zip(*table.rows, strict=True) if table.rows else ()
    return [any(column) and all(map(_is_number, column)) for column in columns]


def _is_number(cell: tables.Cell) -> bool:
    if not isinstance(cell, str) or cell in ("", tables.MISSING):
        return True
    try:
        float(cell.removesuffix("%"))
    except ValueError:
        return False
    return True


def _benchmarks(folder: Path) -> list[Block]:
    """Return the pages that the benchmarks wrote: headings, paragraphs and tables of Markdown."""
    files = sorted((folder / "benchmarks").glob("*.md"))
    return [_block(block) for file in files for block in file.read_text().strip().split("\n\n")]


def _block(text: str) -> Block:
    if text.startswith("# "):
        return Block("h3", text[2:])
    if not text.startswith("|"):
        return Block("p", text.replace("**", "").replace("`", ""))
    header, _, *rows = [
        tuple(cell.strip().replace("`", "") for cell in line.strip("|").split("|"))
        for line in text.splitlines()
    ]
    return Block("table", tables.Table("", header, tuple(rows)))
