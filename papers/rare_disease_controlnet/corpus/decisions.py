"""What was decided about films: added to, never changed.

A decision stands until another takes its place. A film is accepted if a standing decision accepts
it and none rejects it, whoever decided: so neither a rule nor a person is outvoted, and overruling
one is a decision of its own, which names the one that it supersedes. Films of the same bytes, as
two jobs may draw them, share what was decided about any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, and_, exists, func, not_, select
from sqlalchemy.orm import Session, aliased

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.canonical import canonical
from papers.rare_disease_controlnet.corpus.tables import Decision, Film, Verdict, now

Standing = Literal["accepted", "rejected", "undecided"]
LONGEST = 4000  # characters of a comment


def decide(
    session: Session,
    film: int,
    *,
    reviewer: str,
    kind: str,
    verdict: Verdict,
    score: int | None = None,
    reasons: Sequence[str] = (),
    comment: str = "",
    supersedes: int | None = None,
    at: datetime | None = None,
) -> Decision:
    """Add a decision about a film.

    Args:
        session: one that writes.
        film: its key.
        reviewer: `AUTOMATIC`, or who the person is.
        kind: by what it is decided: the name of a rule, or "reading".
        verdict: "withdrawn" takes back what was decided before.
        score: 1 (unusable) to 5 (as good as a clinical film), or None.
        reasons: words, such as artefacts.
        comment: at most `LONGEST` characters.
        supersedes: whose place it takes; None: the reviewer's own of this kind, if there is one.
        at: the time, if it is not now.

    Raises:
        InputError: no such film, a value out of its range, or a decision to supersede that is
            about another film or has been superseded.
    """
    # holds the row, so that two decisions about a film are made one after the other
    there = session.scalar(select(Film.id).where(Film.id == film).with_for_update())
    if there is None:
        raise InputError(f"film {film}: there is no such film")
    if score is not None and not 1 <= score <= 5:
        raise InputError(f"film {film}: score {score}, expected from 1 to 5")
    if len(comment) > LONGEST or "\0" in comment:
        raise InputError(
            f"film {film}: a comment of {len(comment)} characters, expected at most {LONGEST} and "
            "no NUL among them"
        )
    standing = {one.id: one for one in standing_decisions(session, film)}
    if supersedes is None:
        own = [id for id, one in standing.items() if (one.reviewer, one.kind) == (reviewer, kind)]
        supersedes = max(own, default=None)
    elif supersedes not in standing:
        raise InputError(
            f"film {film}: decision {supersedes} is none of those that stand "
            f"({', '.join(map(str, standing)) or 'there is none'}); look again"
        )
    decision = Decision(
        film_id=film,
        reviewer=reviewer,
        kind=kind,
        verdict=verdict,
        score=score,
        reasons=canonical(list(reasons), "reasons"),
        comment=comment,
        created=at or now(),
        supersedes=supersedes,
    )
    session.add(decision)
    session.flush()
    return decision


def standing_decisions(session: Session, film: int) -> list[Decision]:
    """Return the decisions about a film that none has superseded, in order."""
    query = select(Decision).where(Decision.film_id == film, _not_superseded())
    return list(session.scalars(query.order_by(Decision.id)))


def standing_by_file(
    session: Session, among: Sequence[str] | None = None
) -> dict[str, list[Decision]]:
    """Return the decisions that none has superseded, by the film's file, in order.

    Args:
        session: one that reads.
        among: the files that are meant; None: all.
    """
    found: dict[str, list[Decision]] = {}
    query = select(Film.sha256, Decision).join(Film, Decision.film_id == Film.id)
    if among is not None:
        query = query.where(Film.sha256.in_(among))
    for sha256, decision in session.execute(query.where(_not_superseded()).order_by(Decision.id)):
        found.setdefault(sha256, []).append(decision)
    return found


def films(session: Session, standing: Standing | None = None) -> list[Film]:
    """Return the films of which this holds, or all, in order; of equal ones the first only."""
    first = select(func.min(Film.id)).group_by(Film.sha256)
    query = select(Film).where(Film.id.in_(first))
    if standing:
        query = query.where(holds(standing))
    return list(session.scalars(query.order_by(Film.id)))


def holds(standing: Standing) -> ColumnElement[bool]:
    """Return whether this holds of a film, for queries of `Film`."""
    if standing == "rejected":
        return _decided("rejected")
    accepted = _decided("accepted")
    return and_(accepted if standing == "accepted" else not_(accepted), not_(_decided("rejected")))


def _decided(verdict: Verdict) -> ColumnElement[bool]:
    """Return whether this stands of a film, or of one of the same bytes."""
    equal = aliased(Film)
    query = select(equal.sha256).join(Decision, Decision.film_id == equal.id)
    return Film.sha256.in_(query.where(Decision.verdict == verdict, _not_superseded()))


def _not_superseded() -> ColumnElement[bool]:
    later = aliased(Decision)
    return not_(exists().where(later.supersedes == Decision.id))
