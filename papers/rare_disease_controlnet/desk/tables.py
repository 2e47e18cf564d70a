"""The desk's own tables, beside those of the corpus, alike on SQLite and PostgreSQL.

What is decided, answered or done is only ever added to, which triggers see to: answers and the
audit log. Tokens are kept as their SHA-256 alone: who reads the database cannot use one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from papers.rare_disease_controlnet.corpus.tables import Base, now, one_of, only_added_to

Role = Literal["reviewer", "researcher", "admin"]
Quality = Literal["legitimate", "artefacted"]
Kind = Literal["real", "synthetic"]
Progress = Literal["waiting", "running", "done", "failed"]


class User(Base):
    """Somebody who works here; without a password until the one-time link was used."""

    __tablename__ = "users"
    __table_args__ = (one_of("role", Role),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)  # lower case
    role: Mapped[Role] = mapped_column(String(10))
    password: Mapped[str | None]  # Argon2's text
    disabled: Mapped[bool] = mapped_column(default=False)
    link: Mapped[str | None] = mapped_column(String(64), unique=True)  # SHA-256 of a one-time link
    link_until: Mapped[datetime | None]
    created: Mapped[datetime] = mapped_column(default=now)


class UserSession(Base):
    """That somebody is logged in, in one browser."""

    __tablename__ = "user_sessions"

    token: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256 of the cookie
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    form_token: Mapped[str] = mapped_column(String(64))
    created: Mapped[datetime] = mapped_column(default=now)
    seen: Mapped[datetime] = mapped_column(default=now)


class Attempt(Base):
    """A login that failed; too many of them make the next ones wait."""

    __tablename__ = "login_attempts"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(128), index=True)  # "name:…" or "address:…"
    at: Mapped[datetime] = mapped_column(default=now)


class AuditEntry(Base):
    """Who did what, when; each entry's hash includes that of the one before."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
    actor: Mapped[str]  # a user's name, or what the desk itself is called
    action: Mapped[str]  # such as "set closed"
    subject: Mapped[str] = mapped_column(default="")  # such as "set 3"
    detail: Mapped[str] = mapped_column(default="{}")  # canonical JSON
    previous: Mapped[str] = mapped_column(String(64), unique=True)  # so that the chain has no fork
    sha256: Mapped[str] = mapped_column(String(64))


class Upload(Base):
    """A film that somebody brought: re-encoded, its pixels alone."""

    __tablename__ = "uploads"
    __table_args__ = (UniqueConstraint("sha256", "owner"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))  # of the PNG file in the store
    owner: Mapped[int] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]  # of the file, shown and never opened
    width: Mapped[int]
    height: Mapped[int]
    created: Mapped[datetime] = mapped_column(default=now)


class JobDetail(Base):
    """What the desk knows of a job beside its row in the queue."""

    __tablename__ = "job_details"

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    owner: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    films: Mapped[int]  # asked for
    drawn: Mapped[int] = mapped_column(default=0)
    step: Mapped[int] = mapped_column(default=0)  # of the film being drawn
    steps: Mapped[int]
    stage: Mapped[str] = mapped_column(default="")  # what the worker is at, in words
    parent: Mapped[int | None] = mapped_column(ForeignKey("films.id"))  # rejected: drawn again
    generation: Mapped[int] = mapped_column(default=0)  # how often that was
    updated: Mapped[datetime] = mapped_column(default=now)


class Preview(Base):
    """The latest estimate of the film that a job is drawing; gone when the job has ended."""

    __tablename__ = "previews"

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    number: Mapped[int]  # rises with every preview of the job
    film: Mapped[int]  # its number in the job
    step: Mapped[int]
    content: Mapped[bytes] = mapped_column(LargeBinary)  # a PNG file


class Pace(Base):
    """How long a step took, measured: the newest of a kind of engine's work on a kind of device."""

    __tablename__ = "paces"

    id: Mapped[int] = mapped_column(primary_key=True)
    work: Mapped[str] = mapped_column(index=True)  # engine, size, batch, control
    device: Mapped[str]
    start: Mapped[float]  # seconds before the first step
    step: Mapped[float]  # seconds
    at: Mapped[datetime] = mapped_column(default=now)


class ReadingSet(Base):
    """Real and synthetic films mixed, to be read blinded."""

    __tablename__ = "reading_sets"
    __table_args__ = (CheckConstraint("repeats BETWEEN 0 AND 0.5", name="repeats"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    instructions: Mapped[str] = mapped_column(default="")
    seed: Mapped[int]
    repeats: Mapped[float] = mapped_column(default=0.1)  # share of films that are shown twice
    made_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created: Mapped[datetime] = mapped_column(default=now)
    opened: Mapped[datetime | None]  # readers may begin; nothing is added from then on
    closed: Mapped[datetime | None]  # nothing is answered from then on, and origins are shown


class SetItem(Base):
    """A film of a set. `kind` and `film_id` never reach a reviewer before the set is closed."""

    __tablename__ = "set_items"
    __table_args__ = (one_of("kind", Kind), UniqueConstraint("set_id", "shown"))

    id: Mapped[int] = mapped_column(primary_key=True)
    set_id: Mapped[int] = mapped_column(ForeignKey("reading_sets.id"), index=True)
    kind: Mapped[Kind] = mapped_column(String(9))
    label: Mapped[str]  # the finding that it is said to show, or "normal"
    film_id: Mapped[int | None] = mapped_column(ForeignKey("films.id"))  # of a synthetic one
    source: Mapped[str]  # SHA-256 of the file as it came
    shown: Mapped[str] = mapped_column(String(64))  # SHA-256 of the file as it is shown


class Reader(Base):
    """Somebody who reads a set, in an order of their own."""

    __tablename__ = "readers"
    __table_args__ = (UniqueConstraint("set_id", "user_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    set_id: Mapped[int] = mapped_column(ForeignKey("reading_sets.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    experience: Mapped[str] = mapped_column(default="")  # such as "resident", for reports
    unblinded: Mapped[bool] = mapped_column(default=False)  # has seen where films came from
    created: Mapped[datetime] = mapped_column(default=now)


class Presentation(Base):
    """That a reader is shown a film, at a place in their order, under a name that tells nothing."""

    __tablename__ = "presentations"
    __table_args__ = (UniqueConstraint("reader_id", "place"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    reader_id: Mapped[int] = mapped_column(ForeignKey("readers.id"), index=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("set_items.id"))
    place: Mapped[int]  # from 0
    repeat: Mapped[bool] = mapped_column(default=False)  # the film was shown before
    token: Mapped[str] = mapped_column(String(43), unique=True)  # random: its name in addresses


class Answer(Base):
    """What a reader says of a film; the highest version of a presentation counts."""

    __tablename__ = "answers"
    __table_args__ = (
        one_of("quality", Quality),
        CheckConstraint("score BETWEEN 1 AND 5", name="score"),
        CheckConstraint("origin BETWEEN 1 AND 5", name="origin"),
        UniqueConstraint("presentation_id", "version"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    presentation_id: Mapped[int] = mapped_column(ForeignKey("presentations.id"), index=True)
    version: Mapped[int]  # from 1
    key: Mapped[str] = mapped_column(String(64), unique=True)  # of the form: sent twice is once
    undone: Mapped[bool] = mapped_column(default=False)  # this version takes the one before back
    quality: Mapped[Quality | None] = mapped_column(String(10))
    score: Mapped[int | None]  # 1 unusable to 5 like a good clinical film
    artefacts: Mapped[str] = mapped_column(default="[]")  # JSON: a list of words
    comment: Mapped[str] = mapped_column(default="")
    origin: Mapped[int | None]  # 1 surely real to 5 surely synthetic; a step after the rest
    seconds: Mapped[float | None]  # from showing the film to answering
    at: Mapped[datetime] = mapped_column(default=now)


class Draft(Base):
    """What a reader has filled in and not yet submitted."""

    __tablename__ = "drafts"

    presentation_id: Mapped[int] = mapped_column(ForeignKey("presentations.id"), primary_key=True)
    content: Mapped[str]  # JSON
    updated: Mapped[datetime] = mapped_column(default=now)


class Likeness(Base):
    """How near a film is to the training film nearest to it: the audit before it is released."""

    __tablename__ = "likenesses"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)  # of the film's file
    distance: Mapped[float]  # root mean square, of 255
    threshold: Mapped[float]  # below it the film counts as a copy
    nearest: Mapped[str] = mapped_column(String(64))  # the training film, in the store
    at: Mapped[datetime] = mapped_column(default=now)


class Retraining(Base):
    """Classifiers trained with a snapshot of the corpus, and what came of it."""

    __tablename__ = "retrainings"
    __table_args__ = (one_of("state", Progress), Index("ix_retrainings_state", "state"))

    id: Mapped[int] = mapped_column(primary_key=True)
    snapshot_id: Mapped[int] = mapped_column(ForeignKey("snapshots.id"))
    asked_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    state: Mapped[Progress] = mapped_column(String(7), default="waiting")
    stage: Mapped[str] = mapped_column(default="")
    worker: Mapped[str | None]
    lease: Mapped[datetime | None]
    attempt: Mapped[int] = mapped_column(default=0)
    metrics: Mapped[str | None]  # JSON
    reason: Mapped[str | None]  # of the failure
    created: Mapped[datetime] = mapped_column(default=now)
    finished: Mapped[datetime | None]


for _table in (AuditEntry, Answer):
    only_added_to(Base.metadata.tables[_table.__tablename__])
