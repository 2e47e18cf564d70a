"""A report as parts that are alike on the page, in PDF and in LaTeX."""

from __future__ import annotations

from dataclasses import dataclass

from papers.rare_disease_controlnet.desk.reports.findings import Findings
from papers.rare_disease_controlnet.desk.reports.parts import Section
from papers.rare_disease_controlnet.desk.reports.sections import sections
from papers.rare_disease_controlnet.desk.reports.words import (
    POINTS,
    Statement,
    cautions,
    conclusions,
)

METHODS = (
    "Each film counts once a reader, at first sight; films shown again are for agreement of "
    "readers with themselves only. Of answers that were changed, the last counts.",
    "Of one reader: shares with Wilson intervals, areas under ROC curves with DeLong intervals.",
    "Over readers: readers and films both as drawn at random (Gallas 2006, one-shot U-statistic; "
    "Student's t with twice the number of readers less one degrees of freedom). Accuracy weighs "
    "real and synthetic films alike.",
    f"Equivalence: two one-sided tests at 5% against ±{POINTS} points about one half, a margin "
    "that is fixed beforehand; over readers, by accuracy and area alike; of one reader, exact and "
    "by accuracy.",
    "Agreement: Cohen's κ with large-sample intervals, weighted by the squared distance for "
    "scores; Fleiss' κ over films that all readers judged, with a jackknife interval.",
    "Parameters: Spearman's correlation, interval by Bonett and Wright. Intervals are of 95% and "
    "not corrected for their number.",
)


@dataclass(frozen=True)
class Document:
    """A report."""

    title: str
    facts: tuple[tuple[str, str], ...]
    conclusions: tuple[Statement, ...]
    cautions: tuple[str, ...]
    sections: tuple[Section, ...]
    methods: tuple[str, ...]


def document(found: Findings) -> Document:
    """Return the report; where nothing was read, it says only that."""
    source = found.source
    return Document(
        title=source.name,
        facts=(
            ("Films", f"{source.real} real, {source.synthetic} synthetic"),
            ("Readers", f"{len(found.readers)} of {len(source.seats)} read"),
            ("Readings", f"{len(source.rows)}, repeats among them"),
            ("Closed", f"{source.closed:%Y-%m-%d %H:%M} UTC"),
        ),
        conclusions=conclusions(found),
        cautions=cautions(found),
        sections=sections(found) if found.readers else (),
        methods=METHODS,
    )
