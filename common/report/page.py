"""``results/index.html``: the whole suite on one plain page."""

import html
import os
from collections.abc import Sequence
from pathlib import Path

from common.report.comparison import Comparison, as_tables
from common.results import tables
from papers import studies

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; display: block; overflow-x: auto; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { border-bottom: 1px solid #8886; padding: .25rem .7rem; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1.5rem 0; } img { max-width: 100%; height: auto; background: white; }
.within, .supported, .better { color: light-dark(#116329, #7ee787); font-weight: 600; }
.outside, .contradicted { color: light-dark(#a40e26, #ffa198); font-weight: 600; }
nav ul { padding-left: 1.2rem; }
"""


def suite(comparisons: Sequence[Comparison], folder: Path) -> str:
    """Return the page: every comparison with its tables and figures, then the benchmarks.

    Args:
        comparisons: what to show, in this order.
        folder: where the page will lie; figures are linked relative to it.
    """
    links = "".join(
        f'<li><a href="#{_anchor(c)}">{html.escape(c.study)}: {html.escape(c.experiment)}</a>'
        f" – {html.escape(_tally(c))}</li>\n"
        for c in comparisons
    )
    sections = "\n".join(_section(comparison, folder) for comparison in comparisons)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Reported and replicated</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Reported and replicated</h1>\n<nav><ul>\n{links}</ul></nav>\n"
        f"{sections}\n{_benchmarks(folder)}</body>\n</html>\n"
    )


def _section(comparison: Comparison, folder: Path) -> str:
    described = (
        f"{comparison.title}. Data: {comparison.data}: {comparison.description}. "
        f"Seeds: {', '.join(map(str, comparison.seeds))}."
    )
    parts = [
        f'<section id="{_anchor(comparison)}">',
        f"<h2>{html.escape(comparison.study)}: {html.escape(comparison.experiment)}</h2>",
        f"<p>{html.escape(described)}</p>",
        f"<p>Source: {html.escape(comparison.source)}. "
        f"Its data: {html.escape(comparison.source_dataset)}.</p>",
    ]
    for name, table in as_tables(comparison).items():
        parts += [_table(table)] if table.rows else []
        if name == "comparison" and comparison.incomparable:
            parts.append(f"<p>Not comparable because {html.escape(comparison.incomparable)}.</p>")
    for entry in comparison.absent:
        claimed = f"{entry.text} ({entry.source})"
        parts.append(f"<p>Claimed without a published measurement: {html.escape(claimed)}.</p>")
    results = studies.folder(comparison.study) / "results" / comparison.experiment
    for figure in sorted((results / "figures").glob("*.png")):
        source = Path(os.path.relpath(figure, folder)).as_posix()
        title = html.escape(f"{figure.stem.replace('_', ' ')}, on {comparison.data}")
        parts.append(
            f'<figure><img src="{html.escape(source)}" alt="{title}" loading="lazy">'
            f"<figcaption>{title}</figcaption></figure>"
        )
    return "\n".join([*parts, "</section>"])


def _table(table: tables.Table) -> str:
    head = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in table.columns)
    caption = f"<caption>{html.escape(table.title)}</caption>\n" if table.title else ""
    rows = "".join(
        f"<tr>{''.join(_cell(cell, table.digits) for cell in row)}</tr>\n" for row in table.rows
    )
    return f"<table>\n{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>"


def _cell(cell: tables.Cell, digits: int) -> str:
    words = ("within", "better", "outside", "supported", "contradicted")
    kind = cell if isinstance(cell, str) and cell in words else ""
    kind = kind if isinstance(cell, str | None) else "number"
    attribute = f' class="{kind}"' if kind else ""
    return f"<td{attribute}>{html.escape(tables.text(cell, digits))}</td>"


def _benchmarks(folder: Path) -> str:
    """Return the pages that the benchmarks wrote: headings, paragraphs and tables of Markdown."""
    files = sorted((folder / "benchmarks").glob("*.md"))
    blocks = [block for file in files for block in file.read_text().strip().split("\n\n")]
    parts = ["<section><h2>Benchmarks</h2>", *map(_block, blocks), "</section>\n"]
    return "\n".join(parts) if blocks else ""


def _block(text: str) -> str:
    """Return a heading, a table or a paragraph of Markdown as HTML."""
    if text.startswith("# "):
        return f"<h3>{html.escape(text[2:])}</h3>"
    if not text.startswith("|"):
        return f"<p>{html.escape(text.replace('**', '').replace('`', ''))}</p>"
    header, _, *rows = [
        tuple(cell.strip().replace("`", "") for cell in line.strip("|").split("|"))
        for line in text.splitlines()
    ]
    return _table(tables.Table("", header, tuple(rows)))


def _tally(comparison: Comparison) -> str:
    verdicts = [row.verdict for row in comparison.numbers]
    verdicts += [row.verdict for row in comparison.claims]
    words = [verdict.word for verdict in verdicts]
    counted = {word: words.count(word) for word in words}  # in order of appearance
    return ", ".join(f"{count} {word}" for word, count in counted.items())


def _anchor(comparison: Comparison) -> str:
    return html.escape(f"{comparison.study}-{comparison.experiment}")
