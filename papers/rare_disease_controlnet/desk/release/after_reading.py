"""What follows from a set that is closed: decisions in the corpus, and films drawn again."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.decisions import decide
from papers.rare_disease_controlnet.corpus.tables import Verdict
from papers.rare_disease_controlnet.desk.audit import log
from papers.rare_disease_controlnet.desk.reading.readings import Reading, readings
from papers.rare_disease_controlnet.desk.release.again import all_again
from papers.rare_disease_controlnet.desk.settings import Limits
from papers.rare_disease_controlnet.desk.tables import AuditEntry, Quality, ReadingSet

KIND = "reading"  # of the corpus's decisions
ENTERED = "readings entered"  # the log's word, by which a set is known to be done
VERDICTS: dict[Quality, Verdict] = {"legitimate": "accepted", "artefacted": "rejected"}


def apply(session: Session, set_id: int, actor: str, limits: Limits) -> None:
    """Let what readers said of a set's synthetic films be decided; once, in the same transaction.

    A film that was shown to a reader twice is as the reader saw it last. Films that are rejected
    then are drawn again, as often in a row as the limits say.

    Raises:
        InputError: the set is not closed.
    """
    closed = session.get(ReadingSet, set_id)
    if closed is None or closed.closed is None:
        raise InputError(f"set {set_id}: is not closed, so nothing follows from it yet")
    subject = f"set {set_id}"
    done = select(AuditEntry.id).where(AuditEntry.action == ENTERED, AuditEntry.subject == subject)
    if session.scalar(done.limit(1)) is not None:
        return
    last: dict[tuple[int, str], Reading] = {}
    for row in readings(session, set_id).rows:  # of a reader in the order in which they were shown
        if row.film_id is not None:
            last[row.film_id, row.name] = row
    counts: Counter[str] = Counter()
    for (film, name), row in sorted(last.items()):
        verdict = VERDICTS[row.quality]
        counts[verdict] += 1
        decide(
            session,
            film,
            reviewer=name,
            kind=KIND,
            verdict=verdict,
            score=row.score,
            reasons=row.artefacts,
            comment=row.comment,
        )
    jobs = all_again(session, actor, limits, sorted({film for film, _ in last}))
    log.record(session, actor, ENTERED, subject, {**counts, "drawn again": len(jobs)})
