"""What `check` finds, and what is said of disks and databases that cannot be used."""

import errno
import sqlite3
from dataclasses import replace

import pytest
from sqlalchemy import text, update

from common.errors import InputError
from papers.rare_disease_controlnet.corpus import store
from papers.rare_disease_controlnet.corpus.check import check
from papers.rare_disease_controlnet.corpus.corpus import DATABASE, keep, open_corpus
from papers.rare_disease_controlnet.corpus.database import connect
from papers.rare_disease_controlnet.corpus.decisions import films
from papers.rare_disease_controlnet.corpus.queue import enqueue
from papers.rare_disease_controlnet.corpus.tables import Film
from tests.papers.rare_disease_controlnet.corpus_made_up import filled, film, taken


@pytest.fixture
def simple(tmp_path):
    """Return a corpus on SQLite."""
    return open_corpus(tmp_path / "corpus")


def test_check_names_what_does_not_fit(simple):
    filled(simple, 4)
    files = {one.stem: one for one in simple.store.path.glob("*/*.png")}
    names = [film(number)[1].output for number in range(4)]
    files[names[0]].unlink()
    files[names[1]].write_bytes(files[names[1]].read_bytes()[:-1])
    orphan = simple.store.put(film(9)[0])
    (files[names[1]].parent / f".{names[1]}.png.x1").write_bytes(b"half")  # of a killed process
    other = replace(film(2)[1], spec=replace(film(2)[1].spec, structure=orphan[::-1]))
    with simple.write() as session:
        for number, lineage in ((2, other), (3, film(1)[1])):
            change = update(Film).where(Film.number == number).values(lineage=lineage.dumps())
            session.execute(change)
    assert sorted(check(simple)) == sorted(
        [
            f"film 2 of job 1: cannot be drawn again, its structure {orphan[::-1]} is missing",
            f"film 3 of job 1, lineage: is of another film, {names[1]}",
            f"{files[names[0]]}: no such file; restore it or draw it again",
            *[
                line
                for line in check(simple)
                if line.startswith(f"{files[names[1]]}: damaged, its")
            ],
            f"{orphan}: a file of no film",
        ]
    )
    assert len(check(simple)) == 5


def test_a_structure_in_the_store_belongs_to_its_films(simple):
    structure = simple.store.put(film(9)[0])
    content, lineage = film(0)
    of_structure = replace(lineage, spec=replace(lineage.spec, structure=structure))
    keep(simple, taken(simple), 0, content, of_structure)
    assert check(simple) == []


def test_check_names_a_lineage_that_cannot_be_read(simple):
    filled(simple, 1)
    with simple.write() as session:
        session.execute(update(Film).values(lineage='{"format":2}'))
    assert check(simple) == [
        "film 0 of job 1, lineage: format 2, expected 1; give the file of a lineage that this "
        "version of the project wrote"
    ]


def test_a_full_disk_is_one_line_and_leaves_no_half_film(simple, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    claimed = taken(simple)
    with monkeypatch.context() as patched:
        patched.setattr(store, "write_atomic", full)
        with pytest.raises(InputError, match=r"\.png: cannot be written \(No space left on device"):
            keep(simple, claimed, 0, *film(0))
    with simple.read() as session:
        assert films(session) == []
    assert list(simple.store.names()) == []


def test_a_full_database_is_one_line_and_stays_whole(simple):
    with simple.read() as session:  # whose connection is used again
        session.execute(text("PRAGMA max_page_count = 1"))
    with (
        pytest.raises(InputError, match=rf"{DATABASE}: database or disk is full; free some space"),
        simple.write() as session,
    ):
        enqueue(session, {"x": "y" * 10**6}, asked_by="me")
    assert check(open_corpus(simple.store.path.parent)) == []


def test_a_file_that_is_no_database_is_one_line(tmp_path):
    (tmp_path / DATABASE).write_bytes(b"no database at all" * 100)
    with pytest.raises(InputError, match=rf"{DATABASE}: file is not a database; give another file"):
        open_corpus(tmp_path)


def test_a_lock_that_is_never_given_back_is_one_line(simple):
    holder = sqlite3.connect(simple.store.path.parent / DATABASE, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with simple.read() as session:
        session.execute(text("PRAGMA busy_timeout = 10"))
    with (
        pytest.raises(InputError, match="database is locked; another program holds it"),
        simple.write() as session,
    ):
        enqueue(session, {}, asked_by="me")
    holder.close()


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "film.png").touch()
    with pytest.raises(InputError, match=r"film\.png: is a file; give the folder of a corpus"):
        open_corpus(tmp_path / "film.png")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("my secret database", "--database: not an address; write sqlite:///FILE or"),
        ("mysql://me:secret@host/name", "--database mysql: not supported, choose sqlite or"),
    ],
)
def test_an_address_of_no_use_is_refused_without_its_password(address, message):
    with pytest.raises(InputError, match=message) as error:
        connect(address)
    assert "secret" not in str(error.value)


def test_a_server_that_is_not_there_is_one_line_without_its_password(tmp_path):
    pytest.importorskip("psycopg")
    with pytest.raises(InputError, match=r"postgresql\+psycopg://me:\*\*\*@") as error:
        open_corpus(tmp_path, f"postgresql://me:secret@/name?host={tmp_path}")
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert "start the server" in str(error.value)
