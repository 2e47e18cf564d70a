"""What a reader is told of their own reading."""

from __future__ import annotations

from dataclasses import dataclass

from papers.rare_disease_controlnet.desk.reports.findings import Findings
from papers.rare_disease_controlnet.desk.reports.parts import Table
from papers.rare_disease_controlnet.desk.reports.power import CHANCE
from papers.rare_disease_controlnet.desk.reports.words import (
    Statement,
    counted,
    number,
    percent,
    plain,
)

WORDS = ("surely real", "rather real", "undecided", "rather synthetic", "surely synthetic")


@dataclass(frozen=True)
class Mine:
    """A reader's own results."""

    title: str
    statement: Statement
    facts: tuple[tuple[str, str], ...]
    answers: Table


def mine(found: Findings) -> Mine:
    """Return the results of the only reader in `found`."""
    return Mine(
        title=found.source.name,
        statement=_statement(found),
        facts=_facts(found),
        answers=_answers(found),
    )


def _statement(found: Findings) -> Statement:
    if not found.readers or found.readers[0].area.value is None:
        return Statement("Too little was read", "You judged no films of both kinds.", "warn")
    one = found.readers[0]
    numbers = (
        f"You were right in {percent(one.detection.accuracy)} of "
        f"{counted(one.origins, 'film')}; an answer in the middle counts as half right."
    )
    if one.area.above(CHANCE):
        return Statement("You told synthetic films from real ones", numbers, "good")
    if one.area.below(CHANCE):
        return Statement("You took synthetic films for the real ones", numbers, "warn")
    return Statement("It is not clear whether you can tell them apart", f"{numbers} That is as "
                     "guessing could give.", "plain")  # fmt: skip


def _facts(found: Findings) -> tuple[tuple[str, str], ...]:
    if not found.readers:
        return ()
    one = found.readers[0]
    facts = [
        ("Synthetic films recognized", percent(one.detection.sensitivity)),
        ("Real films recognized", percent(one.detection.specificity)),
        ("Area under the ROC curve", number(one.area)),
        ("Real films you approved", percent(one.approved_real)),
        ("Synthetic films you approved", percent(one.approved_synthetic)),
        ("Seconds a film, the median", plain(one.seconds, ".0f")),
    ]
    if one.repeats.films:
        same = f"{plain(one.repeats.raw, '.0%')} of {counted(one.repeats.films, 'film')}"
        facts.append(("Same verdict on films shown twice", same))
    return tuple(facts)


def _answers(found: Findings) -> Table:
    rows = [row for row in found.source.rows if not row.repeat and row.origin is not None]
    counts = [
        [sum(row.origin == answer and row.kind == kind for row in rows) for answer in range(1, 6)]
        for kind in ("real", "synthetic")
    ]
    return Table(
        "What you said of where films are from.",
        ("Your answer", "Real films", "Synthetic films"),
        tuple((word, str(counts[0][place]), str(counts[1][place]))
              for place, word in enumerate(WORDS)),
    )  # fmt: skip
