"""One experiment's results beside what its source reports: rows, tables, Markdown."""

import dataclasses
from pathlib import Path

from common import text
from common.report.reported import Absent, Number
from common.report.verdicts import Verdict
from common.results import tables


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


def write_tables(comparison: Comparison, folder: Path) -> None:
    """Write ``comparison``, ``claims`` and ``deviations`` as CSV and Markdown."""
    for name, table in as_tables(comparison).items():
        tables.write(table, folder, name)


def as_tables(comparison: Comparison) -> dict[str, tables.Table]:
    """Return the comparison as tables of numbers, claims and deviations."""
    on = f"{comparison.study}, {comparison.experiment}, on {comparison.data}"
    numbers = [
        (
            row.number.id,
            row.number.value,
            tables.spread(row.ours) if row.ours else None,
            row.number.unit,
            len(row.ours) or None,
            row.verdict.word,
            "see below" if row.verdict.detail == comparison.incomparable else row.verdict.detail,
        )
        for row in comparison.numbers
    ]
    claims = [(row.text, row.verdict.word, row.verdict.detail) for row in comparison.claims]
    return {
        "comparison": tables.Table(
            f"Reported and ours: {on}",
            ("number", "reported", "ours", "unit", "seeds", "verdict", "detail"),
            tuple(numbers),
        ),
        "claims": tables.Table(f"Claims: {on}", ("claim", "verdict", "detail"), tuple(claims)),
        "deviations": tables.Table(
            f"Deviations from the published configuration: {on}",
            ("field", "published", "ours"),
            comparison.deviations,
        ),
    }


def markdown(comparison: Comparison) -> str:
    """Return one comparison as Markdown."""
    its = {name: text.markdown(value) for name, value in _texts(comparison).items()}
    seeds = ", ".join(map(str, comparison.seeds))
    lines = [
        f"## {its['study']}: {its['experiment']}\n",
        f"{its['title']}. Data: {its['data']}: {its['description']}. Seeds: {seeds}.\n",
        f"Source: {its['source']}. Its data: {its['source_dataset']}.\n",
    ]
    for name, table in as_tables(comparison).items():
        if table.rows:
            lines.append(f"**{text.markdown(table.title)}**\n\n{tables.markdown(table)}")
        if name == "comparison" and comparison.incomparable:
            lines.append(f"Not comparable because {its['incomparable']}.\n")
    for entry in comparison.absent:
        claimed, where = text.markdown(entry.text), text.markdown(entry.source)
        lines.append(f"Claimed without a published measurement: {claimed} ({where}).\n")
    return "\n".join(lines)


def _texts(comparison: Comparison) -> dict[str, str]:
    """Return what others have written of an experiment, by name."""
    its = {field.name: getattr(comparison, field.name) for field in dataclasses.fields(comparison)}
    its["data"] = comparison.data
    return {name: value for name, value in its.items() if isinstance(value, str)}
