"""What revisions are put together from. Revisions lie in the past: add here, change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

_SQLITE = (
    "CREATE TRIGGER {table}_no_{event} BEFORE {event} ON {table} "
    "BEGIN SELECT RAISE(ABORT, '{table}: rows are only ever added'); END"
)
_POSTGRESQL = (
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION '%: rows are only ever added', TG_TABLE_NAME "
    "USING ERRCODE = 'integrity_constraint_violation'; END $$"
)


def key() -> sa.Column[Any]:
    """Return the column of a table's key."""
    return sa.Column("id", sa.Integer, primary_key=True)


def text(name: str, nullable: bool = False, **options: Any) -> sa.Column[Any]:
    """Return a column of texts."""
    return sa.Column(name, sa.Text, nullable=nullable, **options)


def short(name: str, length: int, nullable: bool = False, **options: Any) -> sa.Column[Any]:
    """Return a column of texts up to a length, such as 64 for a SHA-256."""
    return sa.Column(name, sa.String(length), nullable=nullable, **options)


def whole(name: str, nullable: bool = False) -> sa.Column[Any]:
    """Return a column of integers."""
    return sa.Column(name, sa.Integer, nullable=nullable)


def real(name: str, nullable: bool = False) -> sa.Column[Any]:
    """Return a column of numbers."""
    return sa.Column(name, sa.Double, nullable=nullable)


def flag(name: str) -> sa.Column[Any]:
    """Return a column of true or false."""
    return sa.Column(name, sa.Boolean, nullable=False)


def time(name: str, nullable: bool = False) -> sa.Column[Any]:
    """Return a column of times."""
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def of(name: str, other: str, nullable: bool = False, **options: Any) -> sa.Column[Any]:
    """Return a column that refers to rows of another table."""
    return sa.Column(name, sa.Integer, sa.ForeignKey(f"{other}.id"), nullable=nullable, **options)


def one_of(column: str, *words: str) -> sa.CheckConstraint:
    """Return the constraint that a column holds one of these words."""
    listed = ", ".join(f"'{word}'" for word in words)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def only_added_to(tables: Sequence[str]) -> None:
    """Let the database refuse to change or delete rows of tables.

    To be called again for a table that a batch has made anew: SQLite drops its triggers with it.
    """
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    if not on_sqlite:
        op.execute(_POSTGRESQL)
    for table in tables:
        if on_sqlite:
            for event in ("UPDATE", "DELETE"):
                op.execute(_SQLITE.format(table=table, event=event))
        else:
            op.execute(
                f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
            )
