"""What readers have filled in and not submitted: it survives a reload, and logging out."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from papers.rare_disease_controlnet.corpus.canonical import canonical
from papers.rare_disease_controlnet.corpus.tables import now
from papers.rare_disease_controlnet.desk.tables import Answer, Draft

EMPTY: dict[str, Any] = {
    "quality": "",
    "score": "",
    "artefacts": [],
    "comment": "",
    "seconds": 0.0,
}


def keep(session: Session, presentation: int, content: dict[str, Any]) -> None:
    """Keep what is filled in, in place of what was there."""
    own = session.get(Draft, presentation)
    if own is None:
        own = Draft(presentation_id=presentation)
        session.add(own)
    own.content = canonical(EMPTY | content, "draft")
    own.updated = now()
    session.flush()


def keep_answer(session: Session, presentation: int, answer: Answer) -> None:
    """Keep an answer that was taken back, for the next one to begin with."""
    content = {
        "quality": answer.quality or "",
        "score": str(answer.score or ""),
        "artefacts": json.loads(answer.artefacts),
        "comment": answer.comment,
        "seconds": answer.seconds or 0.0,
    }
    keep(session, presentation, content)


def of(session: Session, presentation: int) -> dict[str, Any]:
    """Return what is filled in; nothing where there is no draft."""
    own = session.get(Draft, presentation)
    return EMPTY | (json.loads(own.content) if own else {})


def discard(session: Session, presentation: int) -> None:
    """Forget what is filled in: it was submitted."""
    session.execute(delete(Draft).where(Draft.presentation_id == presentation))
