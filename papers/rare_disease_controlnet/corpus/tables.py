"""The tables of the corpus, alike on SQLite and PostgreSQL.

Keys are integers, not UUIDs: one database hands them out, in the order of arrival, which is the
order of the queue too; they are short in messages and indexes, and nothing outside the database
needs to make one up. Nothing outside sees them either: files, exports and lineages are named by
SHA-256, and readers get identifiers of their own, which must tell nothing. Decisions and snapshots
are only ever added to, which triggers see to. Times are UTC; texts of JSON are canonical.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    event,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

State = Literal["queued", "paused", "running", "done", "failed", "cancelled"]
Verdict = Literal["accepted", "rejected", "withdrawn"]  # the last: as if never decided
AUTOMATIC = "automatic"  # the reviewer that is a rule, where others are persons


class Utc(TypeDecorator[datetime]):
    """A time with its zone, kept and returned as UTC; SQLite keeps no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return what is kept."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value}: a time without its zone")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return what was kept."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """What all tables share; every constraint has a name, which migrations need."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map = {datetime: Utc(), str: Text()}  # noqa: RUF012  # SQLAlchemy's own


def one_of(column: str, values: Any) -> CheckConstraint:
    """Return the constraint that a column holds one of a `Literal`'s words."""
    listed = ", ".join(f"'{value}'" for value in values.__args__)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


class Job(Base):
    """Films asked for: what is wanted, how far it is, and who works at it until when."""

    __tablename__ = "jobs"
    __table_args__ = (
        one_of("state", State),
        Index("ix_jobs_next", "state", "priority", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    spec: Mapped[str]  # JSON
    spec_sha256: Mapped[str] = mapped_column(String(64), index=True)
    asked_by: Mapped[str]
    state: Mapped[State] = mapped_column(String(9), default="queued")
    priority: Mapped[int] = mapped_column(default=0)  # the greatest first
    attempt: Mapped[int] = mapped_column(default=0)  # how often it was taken
    worker: Mapped[str | None]  # the last that took it
    lease: Mapped[datetime | None]  # when it may be taken by another
    created: Mapped[datetime] = mapped_column(default=now)
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]
    reason: Mapped[str | None]  # of the failure


class Film(Base):
    """A film that a job has drawn; films with the same bytes share their file and their verdict."""

    __tablename__ = "films"
    __table_args__ = (UniqueConstraint("job_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), index=True)  # of the PNG file: its name
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    number: Mapped[int]  # in the job, from 0
    label: Mapped[str]
    seed: Mapped[int] = mapped_column(BigInteger)  # up to 2^32 - 1
    lineage: Mapped[str]  # JSON
    width: Mapped[int]
    height: Mapped[int]
    created: Mapped[datetime] = mapped_column(default=now)


class Decision(Base):
    """What somebody thinks of a film; a later decision may take the place of it, once."""

    __tablename__ = "decisions"
    __table_args__ = (
        one_of("verdict", Verdict),
        CheckConstraint("score BETWEEN 1 AND 5", name="score"),
        UniqueConstraint("supersedes"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    film_id: Mapped[int] = mapped_column(ForeignKey("films.id"), index=True)
    reviewer: Mapped[str]  # `AUTOMATIC`, or who a person is
    kind: Mapped[str]  # by what it was decided: a rule's name, or "reading"
    verdict: Mapped[Verdict] = mapped_column(String(9))
    score: Mapped[int | None]  # 1 to 5
    reasons: Mapped[str] = mapped_column(default="[]")  # JSON: a list of words
    comment: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime] = mapped_column(default=now)
    supersedes: Mapped[int | None] = mapped_column(ForeignKey("decisions.id"))


class Snapshot(Base):
    """A named set of films, frozen."""

    __tablename__ = "snapshots"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    content: Mapped[str] = mapped_column(String(64))  # the SHA-256 of its films' names
    made_by: Mapped[str]
    created: Mapped[datetime] = mapped_column(default=now)


class SnapshotFilm(Base):
    """That a film belongs to a snapshot."""

    __tablename__ = "snapshot_films"

    snapshot_id: Mapped[int] = mapped_column(ForeignKey("snapshots.id"), primary_key=True)
    film_id: Mapped[int] = mapped_column(ForeignKey("films.id"), primary_key=True)


_SQLITE = (
    "CREATE TRIGGER %(table)s_no_{event} BEFORE {event} ON %(table)s "
    "BEGIN SELECT RAISE(ABORT, '%(table)s: rows are only ever added'); END"
)
_POSTGRESQL = (
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION '%%: rows are only ever added', TG_TABLE_NAME "
    "USING ERRCODE = 'integrity_constraint_violation'; END $$",
    "CREATE TRIGGER %(table)s_no_change BEFORE UPDATE OR DELETE ON %(table)s "
    "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
)


def only_added_to(table: Table) -> None:
    """Let the database refuse to change or delete a row of a table."""
    for kind in ("UPDATE", "DELETE"):
        statement = DDL(_SQLITE.format(event=kind))
        event.listen(table, "after_create", statement.execute_if(dialect="sqlite"))
    for text in _POSTGRESQL:
        event.listen(table, "after_create", DDL(text).execute_if(dialect="postgresql"))


for _name in ("decisions", "snapshots", "snapshot_films"):
    only_added_to(Base.metadata.tables[_name])
