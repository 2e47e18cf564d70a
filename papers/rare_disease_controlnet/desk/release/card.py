"""What goes out with a snapshot: a card that says what its films are, and readers without names."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from statistics import median

from sqlalchemy import select
from sqlalchemy.orm import Session

from papers.rare_disease_controlnet.corpus.decisions import standing_by_file
from papers.rare_disease_controlnet.corpus.snapshots import films_of
from papers.rare_disease_controlnet.corpus.tables import AUTOMATIC, Decision, Film, Snapshot
from papers.rare_disease_controlnet.desk.release.shelf import counted
from papers.rare_disease_controlnet.desk.tables import Likeness

NAME = "data_card.md"
NOT_FOR = (
    "Diagnosis, treatment, or any other use with patients.",
    "Showing that a classifier works: test on real films alone.",
    "Learning how often a finding is, where it is, or in whom: prompts decided that, not nature.",
    "Teaching people what a finding looks like, unless each film is marked as synthetic.",
    "Passing films off as real ones.",
)


def data_card(session: Session, snapshot: Snapshot) -> str:
    """Return the data card of a snapshot, in Markdown; the same for the same decisions."""
    films = films_of(session, snapshot.name)
    standing = standing_by_file(session)
    found = {film.sha256: standing.get(film.sha256, []) for film in films}
    return "\n".join(
        [
            f"# Synthetic chest films: {snapshot.name}",
            "",
            "Every film here is synthetic: drawn by a diffusion model, of no patient.",
            "",
            f"- Films: {len(films)}",
            *(f"- {label}: {count}" for label, count in _labels(films)),
            f"- Frozen: {snapshot.created:%Y-%m-%d}; later decisions do not change the set",
            f"- Content: SHA-256 {snapshot.content} over the names of all files",
            "",
            "## How they were made",
            "",
            *_engines(films),
            "",
            "Each film's metadata holds all that makes it again, and the SHA-256 that has to come "
            "out.",
            "",
            "## Who judged them",
            "",
            *_judged(list(found.values())),
            "",
            "## How near they come to patients' films",
            "",
            *_audit(session, films),
            "",
            "## License",
            "",
            "This file grants none. Whoever hands the films on says under which license, and may "
            "only as far as the terms of the data that the engine learned from, and of the "
            "weights that it began with, admit it.",
            "",
            "## What they are not for",
            "",
            *(f"- {line}" for line in NOT_FOR),
            "",
        ]
    )


def pseudonyms(session: Session) -> dict[str, str]:
    """Return what each reader is called outside the desk, the same in every export of it."""
    query = select(Decision.reviewer).where(Decision.reviewer != AUTOMATIC).order_by(Decision.id)
    readers = dict.fromkeys(session.scalars(query))
    return {name: f"Reader {number}" for number, name in enumerate(readers, 1)}


def _labels(films: Sequence[Film]) -> list[tuple[str, int]]:
    return sorted(Counter(film.label for film in films).items())


def _engines(films: Sequence[Film]) -> list[str]:
    """Return a line for each engine that drew some of the films."""
    lines: Counter[str] = Counter()
    for film in films:
        made = json.loads(film.lineage)
        keys = ", ".join(
            f"{network['name']} {network['key'] or 'without name'}"
            for network in made["engine"]["networks"]
        )
        lines[
            f"engine {made['engine']['study']} ({keys}), learned from data of SHA-256 "
            f"{made['engine']['data']}, code {made['code']['digest'][:12]}"
        ] += 1
    return [f"- {count} films: {line}" for line, count in sorted(lines.items())]


def _judged(decisions: Sequence[list[Decision]]) -> list[str]:
    opinions = [counted(one) for one in decisions]
    readers = [one.legitimate + one.artefacted for one in opinions]
    scores = [one.score for one in opinions if one.score is not None]
    automatic = sum(any(one.reviewer == AUTOMATIC for one in some) for some in decisions)
    lines = [
        "- A film is accepted if at least one reader, blinded among real films, calls it "
        "legitimate and none calls it artefacted.",
        f"- Readers of a film: {min(readers)} to {max(readers)}",
    ]
    if scores:
        lines.append(
            f"- Score, 1 unusable to 5 like a good clinical film: mean "
            f"{sum(scores) / len(scores):.2f} of {len(scores)} films"
        )
    if automatic:
        lines.append(f"- Judged by a rule of the program too: {automatic} films")
    later = sum(one.artefacted > 0 for one in opinions)
    return [*lines, f"- Rejected since it was frozen: {later} films"] if later else lines


def _audit(session: Session, films: Sequence[Film]) -> list[str]:
    query = select(Likeness).where(Likeness.sha256.in_([film.sha256 for film in films]))
    rows = session.scalars(query).all()
    if not rows:
        return ["- Not measured."]
    distances = [row.distance for row in rows]
    limits = sorted({round(row.threshold, 2) for row in rows})
    return [
        "- Compared by root mean square of gray levels, 0 to 255, with every film that the engine "
        "may have learned from.",
        f"- Nearest: {min(distances):.2f}; median: {median(distances):.2f}",
        f"- Held back at or below: {', '.join(f'{one:.2f}' for one in limits)}, which real films "
        "of other patients rarely come below",
        "- This bounds copies, not every way to learn of a patient from a model.",
    ]
