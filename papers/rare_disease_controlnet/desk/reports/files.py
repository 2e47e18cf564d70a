"""Readings and findings for programs: CSV that no spreadsheet takes for formulas, and JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from typing import Any

from common.text import spreadsheet
from papers.rare_disease_controlnet.desk.reading.readings import Reading
from papers.rare_disease_controlnet.desk.reports.findings import Findings

COLUMNS = (
    "reader", "experience", "film", "kind", "label", "place", "repeat", "verdict", "score",
    "artefacts", "comment", "origin", "seconds", "changes",
)  # fmt: skip


def table(found: Findings) -> str:
    """Return all readings as CSV; in texts that could be formulas, an apostrophe comes first."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in found.source.rows:
        cells = _cells(row)
        writer.writerow([_guarded(cells[column]) for column in COLUMNS])
    return out.getvalue()


def structured(found: Findings) -> str:
    """Return findings and readings as JSON; what is not defined is null."""
    whole = dataclasses.asdict(found)
    source = whole.pop("source")
    content = {
        "set": source["name"],
        "closed": found.source.closed.isoformat(),
        "films": {"real": found.source.real, "synthetic": found.source.synthetic},
        "findings": whole,
        "readings": [_cells(row) for row in found.source.rows],
    }
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _cells(row: Reading) -> dict[str, Any]:
    return {
        "reader": row.name,
        "experience": row.experience,
        "film": row.item,
        "kind": row.kind,
        "label": row.label,
        "place": row.place + 1,
        "repeat": row.repeat,
        "verdict": row.quality,
        "score": row.score,
        "artefacts": "; ".join(row.artefacts),
        "comment": row.comment,
        "origin": row.origin,
        "seconds": row.seconds,
        "changes": row.changes,
    }


def _guarded(cell: Any) -> Any:
    return spreadsheet(cell) if isinstance(cell, str) else cell
