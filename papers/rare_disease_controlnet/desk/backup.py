"""A desk in one file: the rows of its database and its films, to be restored elsewhere.

A ZIP file, nothing of it compressed: ``tables/<table>.jsonl`` (a row a line, as the same on SQLite
and PostgreSQL, so that either can be restored from the other), ``films/<SHA-256>.png`` and
``manifest.json``, which holds every other member's SHA-256, the revision of the tables, and the
head of the audit log: by it a log shows that was cut off or rewritten later. It is written while
the desk runs: rows are those of one moment, and files come before rows. The same desk gives the
same bytes.

Sessions, failed logins and previews are left out: who restores a desk begins anew with them. What
is in it is as confidential as the desk; its owner alone can read it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, Engine, Table, select
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.canonical import canonical
from papers.rare_disease_controlnet.corpus.database import READING, one_line
from papers.rare_disease_controlnet.corpus.tables import Base
from papers.rare_disease_controlnet.desk.audit.verify import Head, head
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.migrations.schema import revision_of
from papers.rare_disease_controlnet.desk.tables import Attempt, Preview, UserSession

FORMAT = 1
MANIFEST, TABLES, FILMS = "manifest.json", "tables", "films"
LEFT_OUT = {table.__tablename__ for table in (UserSession, Attempt, Preview)}
_TIME = (1980, 1, 1, 0, 0, 0)  # the first that a ZIP file can hold
_MODE = 0o100600 << 16  # a file that its owner alone may read
_UNIX = 3
_ROWS = 500  # fetched at once


@dataclass(frozen=True)
class Manifest:
    """What a backup holds, and what must be true of it."""

    format: int
    revision: str  # of the tables
    audit: Head  # of the log
    columns: dict[str, list[str]]  # of every table, in the order of its rows
    rows: dict[str, int]  # of every table
    members: dict[str, str]  # SHA-256 of every file in it, by name

    def dumps(self) -> str:
        """Return JSON."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @property
    def films(self) -> int:
        """Return how many films it holds."""
        return sum(name.startswith(f"{FILMS}/") for name in self.members)


def backup(desk: Desk, out: Path) -> Manifest:
    """Write a desk into a new file, whole or not at all; return what it holds.

    Raises:
        InputError: the file is there or cannot be written, or a film is missing or damaged.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; give another name")
    members: dict[str, str] = {}
    columns: dict[str, list[str]] = {}
    rows: dict[str, int] = {}
    with _private(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        with _moment(desk.corpus.engine) as connection:
            revision = revision_of(connection)
            assert revision is not None  # an open desk has been migrated
            audit = head(Session(connection))
            for table in tables():
                columns[table.name] = [column.name for column in table.columns]
                name = f"{TABLES}/{table.name}.jsonl"
                counted = _Counted(_lines(connection, table))
                members[name] = _add(archive, name, counted)
                rows[table.name] = counted.count
        for sha256 in sorted(desk.store.names()):  # after the rows, so that no file is too young
            name = f"{FILMS}/{sha256}.png"
            members[name] = _add(archive, name, [desk.store.get(sha256)])
        manifest = Manifest(FORMAT, revision, audit, columns, rows, members)
        _add(archive, MANIFEST, [manifest.dumps().encode()])
    return manifest


def tables() -> list[Table]:
    """Return the tables that are backed up, those that are referred to first."""
    return [table for table in Base.metadata.sorted_tables if table.name not in LEFT_OUT]


@contextmanager
def _moment(engine: Engine) -> Iterator[Connection]:
    """Yield a connection that sees the database at one moment, and keeps nobody waiting."""
    options: dict[str, Any] = {**READING, "yield_per": _ROWS}
    if engine.dialect.name == "postgresql":
        options["isolation_level"] = "REPEATABLE READ"
    with one_line(engine), engine.connect().execution_options(**options) as connection:
        yield connection


def _lines(connection: Connection, table: Table) -> Iterator[bytes]:
    """Yield the rows of a table in the order of their keys, each as a line of JSON."""
    query = select(table).order_by(*table.primary_key.columns)
    for row in connection.execute(query):
        yield f"{canonical([_plain(value) for value in row], table.name)}\n".encode()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


@dataclass
class _Counted:
    """Things that are counted as they pass."""

    things: Iterable[bytes]
    count: int = 0

    def __iter__(self) -> Iterator[bytes]:
        for thing in self.things:
            self.count += 1
            yield thing


def _add(archive: zipfile.ZipFile, name: str, parts: Iterable[bytes]) -> str:
    """Add a file to an archive, bit by bit; return its SHA-256."""
    member = zipfile.ZipInfo(name, _TIME)
    member.create_system, member.external_attr = _UNIX, _MODE
    found = hashlib.sha256()
    with archive.open(member, "w", force_zip64=True) as file:
        for part in parts:
            found.update(part)
            file.write(part)
    return found.hexdigest()


@contextmanager
def _private(out: Path) -> Iterator[BinaryIO]:
    """Yield a file that its owner alone can read, and that is called `out` once all is written."""
    name = None
    try:
        handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); give another") from None
    finally:
        if name is not None:
            Path(name).unlink(missing_ok=True)
