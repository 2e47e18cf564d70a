"""What readers say of films: added version by version, the last one counts.

A film is judged in two steps: its quality, and once that is saved, whether it is taken for real.
Taking an answer back is a version too, after which both steps are done anew. Every form has a key
of its own, so that one which arrives twice counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.canonical import canonical
from papers.rare_disease_controlnet.corpus.decisions import LONGEST
from papers.rare_disease_controlnet.desk.audit import log
from papers.rare_disease_controlnet.desk.reading import drafts
from papers.rare_disease_controlnet.desk.reading.sets import subject, text
from papers.rare_disease_controlnet.desk.tables import (
    Answer,
    Presentation,
    Quality,
    Reader,
    ReadingSet,
    User,
)

Step = Literal["quality", "origin", "done"]  # what is asked next
ARTEFACTS = (
    "bones",
    "lungs or vessels",
    "heart or diaphragm",
    "left or right",
    "tubes or devices",
    "text or markers",
    "blur or noise",
    "edges of the film",
    "other",
)
LONGEST_TIME = 24 * 3600.0  # seconds: what took longer was not measured
_KEY = 16, 64  # characters


@dataclass(frozen=True)
class Verdict:
    """What is said of a film's quality."""

    quality: Quality
    score: int
    artefacts: tuple[str, ...] = ()
    comment: str = ""


@dataclass(frozen=True)
class Showing:
    """A film that is shown to a reader, and the last thing that was said of it."""

    reading_set: ReadingSet
    presentation: Presentation
    last: Answer | None

    @property
    def step(self) -> Step:
        """What is asked next."""
        return step_of(self.last.undone, self.last.origin) if self.last else "quality"


def step_of(undone: bool | None, origin: int | None) -> Step:
    """Return what is asked next, after the last answer; `undone` is None where there is none."""
    if undone is not False:
        return "quality"
    return "origin" if origin is None else "done"


def verdict_of(quality: str, score: str, artefacts: Sequence[str], comment: str) -> Verdict:
    """Return what a form says.

    Raises:
        InputError: a field that is missing, or a value that cannot be.
    """
    if quality not in get_args(Quality):
        raise InputError(f"verdict {quality[:20]!r}: choose legitimate or artefacted")
    if unknown := sorted(set(artefacts) - set(ARTEFACTS)):
        raise InputError(f"artefacts {unknown[0][:20]!r}: choose some of {', '.join(ARTEFACTS)}")
    return Verdict(
        cast(Quality, quality),
        scale("score", score),
        tuple(word for word in ARTEFACTS if word in artefacts),
        text("comment", comment, LONGEST, empty=True),
    )


def scale(field: str, value: str) -> int:
    """Return a place on a scale of five; raises `InputError` for anything else."""
    if value not in ("1", "2", "3", "4", "5"):
        raise InputError(f"{field} {value[:20]!r}: choose one from 1 to 5")
    return int(value)


def last_answers() -> Select[Answer]:
    """Return the query for the last version of every presentation's answer."""
    later = aliased(Answer)
    last = select(func.max(later.version)).where(later.presentation_id == Answer.presentation_id)
    return select(Answer).where(Answer.version == last.scalar_subquery())


def showing(session: Session, user: int, token: str, *, hold: bool = False) -> Showing | None:
    """Return what is shown to a user under a name; None for another's, and before the set opens.

    With `hold` the set and the film stay as they are until the session has written.
    """
    query = (
        select(ReadingSet, Presentation)
        .join(Reader, Reader.set_id == ReadingSet.id)
        .join(Presentation, Presentation.reader_id == Reader.id)
        .where(
            Presentation.token == token,
            Reader.user_id == user,
            ReadingSet.opened.is_not(None),
        )
    )
    if hold:
        query = query.with_for_update(of=(ReadingSet, Presentation))
    found = session.execute(query).first()
    if found is None:
        return None
    reading_set, presentation = found
    own = last_answers().where(Answer.presentation_id == presentation.id)
    return Showing(reading_set, presentation, session.scalar(own))


def judge(
    session: Session, reader: User, shown: Showing, key: str, said: Verdict, seconds: float | None
) -> None:
    """Keep what is said of a film's quality.

    Raises:
        InputError: the set is closed, or the film was judged already.
    """
    if _is_there(session, shown, key):
        return
    _check_step(shown, "quality")
    answer = Answer(
        presentation_id=shown.presentation.id,
        key=key,
        quality=said.quality,
        score=said.score,
        artefacts=canonical(list(said.artefacts), "artefacts"),
        comment=said.comment,
        seconds=seconds if seconds is not None and 0 <= seconds <= LONGEST_TIME else None,
    )
    _add(session, reader, shown, answer, "film judged")
    drafts.discard(session, shown.presentation.id)


def guess(session: Session, reader: User, shown: Showing, key: str, origin: int) -> None:
    """Keep whether a film is taken for real, 1, or synthetic, 5; what was said before stays.

    Raises:
        InputError: the set is closed, or this is not what is asked now.
    """
    if _is_there(session, shown, key):
        return
    _check_step(shown, "origin")
    before = shown.last
    assert before is not None
    answer = Answer(
        presentation_id=shown.presentation.id,
        key=key,
        quality=before.quality,
        score=before.score,
        artefacts=before.artefacts,
        comment=before.comment,
        seconds=before.seconds,
        origin=origin,
    )
    _add(session, reader, shown, answer, "origin guessed")


def take_back(session: Session, reader: User, shown: Showing, key: str) -> None:
    """Take the answer to a film back, and keep what it was as a draft of the next one.

    Raises:
        InputError: the set is closed, or there is no answer.
    """
    if _is_there(session, shown, key):
        return
    if shown.step == "quality":
        raise InputError("undo: this film has no answer that could be taken back; give one")
    _check_open(shown)
    before = shown.last
    assert before is not None
    answer = Answer(presentation_id=shown.presentation.id, key=key, undone=True)
    _add(session, reader, shown, answer, "answer taken back")
    drafts.keep_answer(session, shown.presentation.id, before)


def _is_there(session: Session, shown: Showing, key: str) -> bool:
    """Return whether a form has arrived before.

    Raises:
        InputError: no key, or that of a form for another film.
    """
    shortest, longest = _KEY
    if not shortest <= len(key) <= longest or not key.isascii() or "\0" in key:
        raise InputError("key: missing or not one of the desk's; load the page again")
    owner = session.scalar(select(Answer.presentation_id).where(Answer.key == key))
    if owner not in (None, shown.presentation.id):
        raise InputError("key: is that of a form for another film; load the page again")
    return owner is not None


def _check_open(shown: Showing) -> None:
    if shown.reading_set.closed:
        raise InputError(
            f"set {shown.reading_set.name!r}: is closed, so no answer is taken any more; what was "
            "saved before counts"
        )


def _check_step(shown: Showing, step: Step) -> None:
    _check_open(shown)
    if shown.step != step:
        said = {
            "quality": "its quality is asked first",
            "origin": "its quality is judged already, perhaps in another window, and counts",
            "done": "is answered already, perhaps in another window, and what was saved counts",
        }
        raise InputError(f"this film: {said[shown.step]}; load the page again, or undo")


def _add(session: Session, reader: User, shown: Showing, answer: Answer, action: str) -> None:
    """Add an answer as the next version."""
    answer.version = 1 + (shown.last.version if shown.last else 0)
    session.add(answer)
    session.flush()
    detail = {"place": shown.presentation.place + 1, "version": answer.version}
    log.record(session, reader.name, action, subject(shown.reading_set.id), detail)
