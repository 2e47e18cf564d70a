"""One experiment's results beside what its source reports: rows, tables, Markdown."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from common import text
from common.report.reported import Absent, Number
from common.report.verdicts import Verdict
from common.results import tables

REACHED = ("supported", "contradicted", "inconclusive")  # verdicts that hold where they were tried
DIGITS = 3  # of numbers, for people
NAMED = 6  # numbers that are named where they cannot be compared


@dataclasses.dataclass(frozen=True)
class NumberRow:
    """A reported number, ours of every seed (none if not measured), and the verdict."""

    number: Number
    ours: tuple[float, ...]
    verdict: Verdict


@dataclasses.dataclass(frozen=True)
class ClaimRow:
    """A claim of the source and the verdict."""

    id: str
    text: str
    source: str
    verdict: Verdict


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One experiment's results beside what the source reports."""

    study: str
    experiment: str
    title: str
    scale: str
    dataset: str
    description: str  # of the data set
    stand_in: bool
    seeds: tuple[int, ...]
    source: str
    source_dataset: str
    incomparable: str  # why numbers are not comparable, or ''
    numbers: tuple[NumberRow, ...]
    claims: tuple[ClaimRow, ...]
    absent: tuple[Absent, ...]
    deviations: tuple[tuple[str, str, str], ...]  # field, published, ours

    @property
    def data(self) -> str:
        """Name of the data set, with the word stand-in where it is one."""
        return f"{self.dataset} (stand-in)" if self.stand_in else self.dataset

    def scoped(self, verdict: Verdict) -> str:
        """Return the word of a verdict on a claim, and what it was reached on."""
        return f"{verdict.word}, on {self.data}" if verdict.word in REACHED else verdict.word


def write_tables(comparison: Comparison, folder: Path) -> None:
    """Write ``claims``, ``comparison`` and ``deviations`` as CSV and Markdown."""
    for name, table in as_tables(comparison).items():
        tables.write(table, folder, name)


def as_tables(comparison: Comparison) -> dict[str, tables.Table]:
    """Return the comparison as tables of claims, numbers and deviations."""
    on = f"{comparison.study}, {comparison.experiment}, on {comparison.data}"
    claims = tuple(
        (row.text, comparison.scoped(row.verdict), row.verdict.detail) for row in comparison.claims
    )
    return {
        "claims": tables.Table(f"Claims: {on}", ("claim", "verdict", "detail"), claims),
        "comparison": _numbers(comparison, comparison.numbers),
        "deviations": tables.Table(
            f"Deviations from the published configuration: {on}",
            ("field", "published", "ours"),
            comparison.deviations,
        ),
    }


def _numbers(comparison: Comparison, rows: Sequence[NumberRow]) -> tables.Table:
    """Return a table of some of the numbers."""
    cells = tuple(
        (
            row.number.shown,
            row.number.value,
            tables.spread(row.ours) if row.ours else None,
            row.number.unit,
            len(row.ours) or None,
            row.verdict.word,
            "see below" if row.verdict.detail == comparison.incomparable else row.verdict.detail,
        )
        for row in rows
    )
    return tables.Table(
        f"Reported and ours: {comparison.study}, {comparison.experiment}, on {comparison.data}",
        ("number", "reported", "ours", "unit", "seeds", "verdict", "detail"),
        cells,
        DIGITS,
    )


def compared(comparison: Comparison) -> tables.Table:
    """Return the numbers that can be compared as a table."""
    return _numbers(comparison, [row for row in comparison.numbers if _is_compared(row)])


def not_compared(comparison: Comparison) -> list[str]:
    """Return a line for each reason why numbers cannot be compared, with how many and which."""
    others = [row for row in comparison.numbers if not _is_compared(row)]
    lines = []
    for why in dict.fromkeys(row.verdict.detail for row in others):
        names = [row.number.shown for row in others if row.verdict.detail == why]
        more = ", …" if len(names) > NAMED else ""
        because = "because " if why == comparison.incomparable else ""
        listed = f"{len(names)}: {', '.join(names[:NAMED])}{more}"
        lines.append(f"Numbers not comparable ({listed}): {because}{why}.")
    return lines


def _is_compared(row: NumberRow) -> bool:
    return row.verdict.word != "not comparable"


def markdown(comparison: Comparison) -> str:
    """Return one comparison as Markdown: claims first, then the numbers that can be compared."""
    its = {name: text.markdown(value) for name, value in _texts(comparison).items()}
    seeds = ", ".join(map(str, comparison.seeds))
    lines = [
        f"## {its['study']}: {its['experiment']}\n",
        f"{its['title']}. Data: {its['data']}: {its['description']}. Seeds: {seeds}.\n",
        f"Source: {its['source']}. Its data: {its['source_dataset']}.\n",
    ]
    for table in (as_tables(comparison)["claims"], compared(comparison)):
        if table.rows:
            lines.append(f"**{text.markdown(table.title)}**\n\n{tables.markdown(table)}")
    lines += [f"{text.markdown(line)}\n" for line in not_compared(comparison)]
    for entry in comparison.absent:
        claimed, where = text.markdown(entry.text), text.markdown(entry.source)
        lines.append(f"Claimed without a published measurement: {claimed} ({where}).\n")
    if count := len(comparison.deviations):
        lines.append(
            f"{count} settings deviate from the published configuration: `tables/deviations.md`.\n"
        )
    return "\n".join(lines)


def _texts(comparison: Comparison) -> dict[str, str]:
    """Return what others have written of an experiment, by name."""
    its = {field.name: getattr(comparison, field.name) for field in dataclasses.fields(comparison)}
    its["data"] = comparison.data
    return {name: value for name, value in its.items() if isinstance(value, str)}
