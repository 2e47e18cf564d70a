"""Backups of a desk that runs: of one moment, restored whole on either database."""

from tests.papers.rare_disease_controlnet.desk.backup_made_up import (  # isort: skip
    a_full_desk,
    changed,
    rows,
)

import json
import threading

import pytest
from sqlalchemy import text

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.check import check
from papers.rare_disease_controlnet.corpus.corpus import Corpus, keep
from papers.rare_disease_controlnet.corpus.database import connect
from papers.rare_disease_controlnet.corpus.store import Folder
from papers.rare_disease_controlnet.corpus.tables import Base, Job
from papers.rare_disease_controlnet.desk.audit.log import record
from papers.rare_disease_controlnet.desk.audit.verify import head, verify
from papers.rare_disease_controlnet.desk.backup import LEFT_OUT, backup
from papers.rare_disease_controlnet.desk.migrations import schema
from papers.rare_disease_controlnet.desk.opening import open_desk
from papers.rare_disease_controlnet.desk.restoring import restore
from papers.rare_disease_controlnet.desk.settings import Settings
from papers.rare_disease_controlnet.desk.tables import (
    AuditEntry,
    Preview,
    User,
    UserSession,
)
from tests.papers.rare_disease_controlnet.corpus_made_up import (
    filled,
    film,
    new_database,
    postgresql,
    taken,
)

KINDS = ("sqlite", "postgresql")


@pytest.fixture(scope="module")
def server():
    with postgresql() as folder:
        yield folder


def database(kind: str, request) -> str | None:
    return None if kind == "sqlite" else new_database(request.getfixturevalue("server"))


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("after", KINDS)
def test_a_restored_desk_is_the_same_on_either_database(before, after, request, tmp_path):
    desk = a_full_desk(tmp_path / "before", database(before, request))
    file = tmp_path / "desk.zip"
    manifest = backup(desk, file)
    assert manifest.films == 6
    assert all(manifest.rows[table] for table in manifest.rows), manifest.rows
    assert set(manifest.rows) == set(Base.metadata.tables) - LEFT_OUT
    settings = Settings(tmp_path / "after", database=database(after, request))
    assert restore(settings, file) == manifest
    restored = open_desk(settings)
    expected, found = rows(desk), rows(restored)
    last = found["audit_log"].pop()
    assert found == expected
    assert last[2:4] == ("desk", "backup restored")
    assert check(restored.corpus) == check(desk.corpus)
    with restored.read() as session:
        assert verify(session, [manifest.audit]) == []
        assert session.query(UserSession).count() == 0
        assert session.query(Preview).count() == 0
    ids = filled(restored.corpus, 1)  # keys go on where they were
    assert ids == [6]
    with restored.write() as session:
        record(session, "ada", "set closed")
    with pytest.raises(InputError, match="only ever added"), restored.write() as session:
        session.execute(text("DELETE FROM answers"))


def test_the_same_desk_gives_the_same_bytes_for_its_owner_alone(tmp_path):
    desk = a_full_desk(tmp_path / "before")
    files = [tmp_path / name for name in ("one.zip", "two.zip")]
    for file in files:
        backup(desk, file)
        assert file.stat().st_mode & 0o777 == 0o600
    assert files[0].read_bytes() == files[1].read_bytes()
    with pytest.raises(InputError, match=r"one\.zip: is there already; give another name"):
        backup(desk, files[0])
    assert {path.name for path in tmp_path.iterdir()} == {"before", "one.zip", "two.zip"}


def test_a_backup_is_of_one_moment_while_films_are_kept(tmp_path):
    desk = a_full_desk(tmp_path / "before")
    claimed, stop = taken(desk.corpus), threading.Event()

    def draw() -> None:
        number = 0
        while not stop.is_set() and number < 500:
            keep(desk.corpus, claimed, number, *film(200 + number))
            with desk.write() as session:
                record(session, "worker", "film kept", f"film {number}")
            number += 1

    worker = threading.Thread(target=draw)
    worker.start()
    try:
        for number in range(4):
            file = tmp_path / f"{number}.zip"
            manifest = backup(desk, file)
            settings = Settings(tmp_path / str(number))
            restore(settings, file)
            found = open_desk(settings)
            with found.read() as session:
                drawn = session.query(AuditEntry).filter_by(action="film kept").count()
                kept = session.execute(text("SELECT count(*) FROM films")).scalar_one() - 5
            assert kept - drawn in (0, 1)
            assert manifest.rows["films"] == kept + 5
            wrong = [line for line in check(found.corpus) if "a file of no film" not in line]
            assert wrong == []
    finally:
        stop.set()
        worker.join()
    assert kept > 0


def test_a_damaged_film_is_not_backed_up_as_if_it_were_whole(tmp_path):
    desk = a_full_desk(tmp_path / "before")
    name = digest(film(1)[0])
    (tmp_path / "before" / "films" / name[:2] / f"{name}.png").write_bytes(b"damaged")
    with pytest.raises(InputError, match=rf"{name}\.png: damaged"):
        backup(desk, tmp_path / "desk.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["before"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_of_an_older_revision_is_brought_up_to_date(kind, request, tmp_path):
    """Restored by a program that has since learned of another revision: the rows go up with it."""
    old = connect(f"sqlite:///{tmp_path / 'old' / 'corpus.db'}")
    (tmp_path / "old").mkdir()
    with schema.alone(old) as connection:
        schema.bring(connection, "0001")
    corpus = Corpus(old, Folder(tmp_path / "old" / "films"))
    filled(corpus, 2)
    file = tmp_path / "old.zip"
    full = tmp_path / "full.zip"
    desk = open_desk(Settings(tmp_path / "copy"))
    filled(desk.corpus, 2)
    backup(desk, full)

    def of_the_corpus_alone(members):
        manifest = json.loads(members["manifest.json"])
        tables = ("jobs", "films", "decisions", "snapshots", "snapshot_films")
        for part in ("columns", "rows"):
            manifest[part] = {name: manifest[part][name] for name in tables}
        gone = {name for name in members if name.startswith("tables/")}
        gone -= {f"tables/{name}.jsonl" for name in tables}
        manifest["members"] = {k: v for k, v in manifest["members"].items() if k not in gone}
        manifest["revision"] = "0001"
        left = {name: content for name, content in members.items() if name not in gone}
        return left | {"manifest.json": json.dumps(manifest).encode()}

    changed(full, file, of_the_corpus_alone)
    settings = Settings(tmp_path / "after", database=database(kind, request))
    restore(settings, file)
    restored = open_desk(settings)
    assert check(restored.corpus) == []
    with restored.read() as session:
        assert session.query(User).count() == 0
        assert session.query(Job).count() == 1
        assert head(session).count == 1
