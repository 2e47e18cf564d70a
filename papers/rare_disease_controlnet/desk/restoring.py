"""A desk from its backup: whole, proven and into an empty place, or not at all.

Everything in the file is checked before anything is written. The rows go in at the revision that
they were backed up at, and are then brought to this program's: an old backup is no lost one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    DateTime,
    LargeBinary,
    MetaData,
    Table,
    func,
    inspect,
    select,
)
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.database import connect
from papers.rare_disease_controlnet.corpus.store import is_sha256
from papers.rare_disease_controlnet.corpus.tables import Base, Film
from papers.rare_disease_controlnet.desk.audit.log import DESK, record
from papers.rare_disease_controlnet.desk.audit.verify import Head, verify
from papers.rare_disease_controlnet.desk.backup import FILMS, FORMAT, MANIFEST, TABLES, Manifest
from papers.rare_disease_controlnet.desk.migrations import schema
from papers.rare_disease_controlnet.desk.opening import database_of, prepare_folder
from papers.rare_disease_controlnet.desk.settings import Settings
from papers.rare_disease_controlnet.desk.storage import Keeping, storage_of
from papers.rare_disease_controlnet.desk.tables import SetItem, Upload

Rows = list[dict[str, Any]]
_PIECE = 1 << 20  # bytes read at once
_ROWS = 500  # inserted at once
_FILES = (Film.sha256, Upload.sha256, SetItem.source, SetItem.shown)  # named by rows


def restore(settings: Settings, file: Path) -> Manifest:
    """Make the desk of a backup where these settings say; return what it holds.

    Raises:
        InputError: the file is no backup that is whole, the place is not empty, or what came out
            is not what was backed up. Nothing is changed then.
    """
    with _opened(file) as archive:
        manifest = _checked(archive, file)
        prepare_folder(settings.folder)
        engine = connect(database_of(settings))
        store = storage_of(settings)
        if next(iter(store.names()), None) is not None:
            raise InputError(
                f"{settings.storage or settings.folder}: holds films already; restore into an "
                "empty place"
            )
        with schema.alone(engine) as connection:
            _check_empty(connection)
            schema.adopt(connection)
            schema.bring(connection, manifest.revision)
            try:
                _fill(connection, archive, manifest)
            except (ValueError, KeyError, TypeError, InvalidRequestError):
                raise _damaged(file, "has rows that fit no table") from None
            schema.bring(connection, schema.newest())
            _prove(connection, manifest, file)
            _put_films(archive, manifest, store)  # before the rows can be seen
    return manifest


def manifest_of(file: Path) -> Manifest:
    """Return what a backup says that it holds; its films are not looked at.

    Raises:
        InputError: it is no backup, or damaged.
    """
    with _opened(file) as archive:
        return _manifest(archive, file)


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    """Yield a backup; what cannot be read of it is one line."""
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except FileNotFoundError:
        raise InputError(f"{file}: no such file") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError):
        raise _damaged(file, "is cut off or damaged, or no backup") from None


def _damaged(file: Path, what: str) -> InputError:
    return InputError(f"{file}: {what}; nothing was changed, take another backup")


def _manifest(archive: zipfile.ZipFile, file: Path) -> Manifest:
    if MANIFEST not in archive.namelist():
        raise _damaged(file, "is no backup of a desk")
    try:
        told = json.loads(archive.read(MANIFEST))
        number = told["format"]
        manifest = Manifest(**{**told, "audit": Head(**told["audit"])})
    except (ValueError, KeyError, TypeError):
        raise _damaged(file, "has a manifest that cannot be read") from None
    if number != FORMAT:
        raise InputError(f"{file}: format {number}, this program knows {FORMAT}; update it")
    if manifest.revision not in schema.revisions():
        raise InputError(
            f"{file}: its tables are of a newer program (revision {manifest.revision}); update "
            "this one"
        )
    return manifest


def _checked(archive: zipfile.ZipFile, file: Path) -> Manifest:
    """Return what a backup holds, after every member of it was found to be what it was."""
    manifest = _manifest(archive, file)
    if sorted(archive.namelist()) != sorted([MANIFEST, *manifest.members]):
        raise _damaged(file, "holds other files than its manifest says")
    tables = {f"{TABLES}/{table}.jsonl" for table in manifest.columns}
    for name, sha256 in manifest.members.items():
        if _digest(archive, name) != sha256:
            raise _damaged(file, f"{name} in it is damaged")
        if name not in tables and not (is_sha256(sha256) and name == f"{FILMS}/{sha256}.png"):
            raise _damaged(file, f"{name} in it is nothing that a desk has")
    return manifest


def _digest(archive: zipfile.ZipFile, name: str) -> str:
    found = hashlib.sha256()
    with archive.open(name) as member:
        while piece := member.read(_PIECE):
            found.update(piece)
    return found.hexdigest()


def _put_films(archive: zipfile.ZipFile, manifest: Manifest, store: Keeping) -> None:
    """Keep all films, or none."""
    written: list[str] = []
    try:
        for name, sha256 in manifest.members.items():
            if name.startswith(f"{FILMS}/"):
                written.append(sha256)
                store.put(archive.read(name))
    except BaseException:
        for sha256 in written:
            store.delete(sha256)
        raise


def _check_empty(connection: Connection) -> None:
    """Raise `InputError` where a table has a row."""
    there = set(inspect(connection).get_table_names())
    for table in Base.metadata.sorted_tables:
        if table.name in there and connection.scalar(select(1).select_from(table).limit(1)):
            name = connection.engine.url.render_as_string()
            raise InputError(
                f"{name}: has rows in {table.name} already; restore into an empty place"
            )


def _fill(connection: Connection, archive: zipfile.ZipFile, manifest: Manifest) -> None:
    """Insert all rows, into tables as they are at the backup's revision."""
    there = MetaData()
    there.reflect(connection, only=list(manifest.columns))
    for table in there.sorted_tables:
        with archive.open(f"{TABLES}/{table.name}.jsonl") as lines:
            for rows in _batches(lines, table, manifest.columns[table.name]):
                connection.execute(table.insert(), rows)
        if connection.dialect.name == "postgresql" and "id" in table.columns:
            _go_on_counting(connection, table)


def _batches(
    lines: Iterable[bytes], table: Table, columns: list[str]
) -> Iterator[list[dict[str, Any]]]:
    """Yield rows as they are inserted, some at a time."""
    rows: Rows = []
    for line in lines:
        pairs = zip(columns, json.loads(line), strict=True)
        rows.append({name: _value(value, table.columns[name].type) for name, value in pairs})
        if len(rows) == _ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def _value(value: Any, kind: Any) -> Any:
    if value is None:
        return None
    if isinstance(kind, DateTime):
        return datetime.fromisoformat(value)
    return base64.b64decode(value) if isinstance(kind, LargeBinary) else value


def _go_on_counting(connection: Connection, table: Table) -> None:
    """Let PostgreSQL number further rows after those that are there."""
    if (last := connection.scalar(select(func.max(table.columns["id"])))) is not None:
        sequence = func.pg_get_serial_sequence(table.name, "id")
        connection.execute(select(func.setval(sequence, last)))


def _prove(connection: Connection, manifest: Manifest, file: Path) -> None:
    """Raise `InputError` unless the rows are whole, and note in the log that they were restored."""
    with Session(connection) as session:
        wrong = verify(session, [manifest.audit])
        files = set(manifest.members.values())
        for column in _FILES:
            gone = set(session.scalars(select(column))) - files
            wrong += [f"{column}: {name} is not in it" for name in sorted(gone)]
        for table, count in manifest.rows.items():
            found = session.scalar(select(func.count()).select_from(Base.metadata.tables[table]))
            if found != count:
                wrong.append(f"{table}: {found} rows, {count} were backed up")
        if wrong:
            raise _damaged(file, wrong[0])
        told = {"entries": manifest.audit.count, "head": manifest.audit.sha256}
        record(session, DESK, "backup restored", "", told)
        session.flush()
