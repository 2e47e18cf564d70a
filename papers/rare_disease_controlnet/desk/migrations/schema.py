"""Tables brought to where the program needs them, whatever they were before.

A study's corpus, whose tables nobody migrated, is taken over as it is. Starts at the same time wait
for each other: on SQLite by the right to write, on PostgreSQL by a lock on the table of revisions,
which ends with its transaction and so goes through a pooler.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import IntegrityError, ProgrammingError

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.database import READING, one_line
from papers.rare_disease_controlnet.corpus.tables import Base
from papers.rare_disease_controlnet.desk import tables as desk_tables

HERE = Path(__file__).parent
REVISIONS = "alembic_version"  # the table that holds the revision
_CORPUS = "0001"  # the revision that a study's corpus is of
_CORPUS_TABLES = {"jobs", "films", "decisions", "snapshots", "snapshot_films"}
_MADE = (
    f"CREATE TABLE IF NOT EXISTS {REVISIONS} "
    f"(version_num VARCHAR(32) NOT NULL CONSTRAINT {REVISIONS}_pkc PRIMARY KEY)"
)


def migrate(engine: Engine) -> None:
    """Bring a database to the newest revision, whole or not at all.

    Raises:
        InputError: it cannot be used, is of a newer program, or holds tables of something else.
    """
    with one_line(engine), engine.execution_options(**READING).connect() as connection:
        if revision_of(connection) == newest():
            return
    with alone(engine) as connection:
        adopt(connection)
        bring(connection, newest())


@contextmanager
def alone(engine: Engine) -> Iterator[Connection]:
    """Yield a connection whose changes, of tables too, are kept, all or none; one at a time.

    SQLite changes a table by making it anew, for which references must not be looked at meanwhile;
    they are at the end.
    """
    on_sqlite = engine.dialect.name == "sqlite"
    with one_line(engine):
        if not on_sqlite:
            _make_table_to_lock(engine)
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            if on_sqlite:
                driver.execute("PRAGMA foreign_keys=OFF")  # type: ignore[union-attr]
            try:
                with connection.begin():
                    if not on_sqlite:
                        connection.exec_driver_sql(f"LOCK TABLE {REVISIONS}")
                    yield connection
                    if on_sqlite:
                        _check_references(connection)
            finally:
                if on_sqlite:
                    driver.execute("PRAGMA foreign_keys=ON")  # type: ignore[union-attr]


def bring(connection: Connection, revision: str) -> None:
    """Bring the tables up, or down, to a revision, or to "base": none.

    Raises:
        InputError: they are of a revision that this program does not know.
    """
    config = _config(connection)
    before = revision_of(connection)
    if revision in (*_passed(connection, before), "base"):
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)


def adopt(connection: Connection) -> None:
    """Say which revision tables are of that were made without one, as those of a study's corpus.

    Raises:
        InputError: they are none of ours.
    """
    if revision_of(connection) is not None:
        return
    there = set(inspect(connection).get_table_names()) & set(Base.metadata.tables)
    if not there:
        return
    revision = newest() if desk_tables.User.__tablename__ in there else _CORPUS
    context = MigrationContext.configure(connection)
    ours = there == _CORPUS_TABLES or not compare_metadata(context, Base.metadata)
    if not ours:
        raise InputError(
            f"{_name(connection)}: holds tables of something else, or of another version of the "
            f"desk ({', '.join(sorted(there))}); give an empty database"
        )
    command.stamp(_config(connection), revision)


def revision_of(connection: Connection) -> str | None:
    """Return the revision of the tables; None where none was noted."""
    return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """Return the newest revision that this program knows."""
    return revisions()[0]


@cache
def revisions() -> list[str]:
    """Return all revisions that this program knows, the newest first."""
    return [script.revision for script in ScriptDirectory(str(HERE)).walk_revisions()]


def _passed(connection: Connection, revision: str | None) -> list[str]:
    """Return the revisions before one."""
    if revision is None:
        return []
    known = revisions()
    if revision not in known:
        raise InputError(
            f"{_name(connection)}: its tables are of a newer program (revision {revision}, this "
            f"one knows {newest()}); update this one, nothing was changed"
        )
    return known[known.index(revision) + 1 :]


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _make_table_to_lock(engine: Engine) -> None:
    """Make the table of revisions; of two at the same time PostgreSQL lets one fail."""
    for attempt in range(3):
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql(_MADE)
            return
        except (IntegrityError, ProgrammingError):
            if attempt == 2:
                raise


def _check_references(connection: Connection) -> None:
    if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise InputError(
            f"{_name(connection)}: a row of {broken[0]} refers to one of {broken[2]} that is not "
            "there; restore it from a copy"
        )


def _name(connection: Connection) -> str:
    return connection.engine.url.render_as_string()
