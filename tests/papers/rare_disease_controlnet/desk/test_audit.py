"""The audit log: every tampering shows, and writers at the same time make no fork."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk  # isort: skip

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from common.errors import InputError
from papers.rare_disease_controlnet.desk.audit.log import FIRST, record, seal
from papers.rare_disease_controlnet.desk.audit.verify import Head, head, verify
from papers.rare_disease_controlnet.desk.tables import AuditEntry
from tests.papers.rare_disease_controlnet.corpus_made_up import new_database, postgresql

ROOT = Path(__file__).parents[4]
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
TRIGGERS = {
    "sqlite": ["DROP TRIGGER audit_log_no_UPDATE", "DROP TRIGGER audit_log_no_DELETE"],
    "postgresql": ["DROP TRIGGER audit_log_no_change ON audit_log"],
}
WRITING = """
import random, sys, time
from pathlib import Path
from papers.rare_disease_controlnet.corpus.corpus import open_corpus
from papers.rare_disease_controlnet.desk.audit.log import record
corpus = open_corpus(Path(sys.argv[1]), sys.argv[2] or None)
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[4])):
    with corpus.write() as session:
        record(session, sys.argv[3], "counted", f"number {number}")
    time.sleep(random.random() / 200)  # or the first takes all turns before the second has one
"""


@pytest.fixture(scope="module")
def server():
    with postgresql() as folder:
        yield folder


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request):
    return new_database(request.getfixturevalue("server")) if request.param != "sqlite" else None


@pytest.fixture
def desk(database, tmp_path):
    return a_desk(tmp_path, database)


def written(desk, count=6):
    """Write entries; return the log's head."""
    with desk.write() as session:
        for number in range(count):
            at = NOON + timedelta(microseconds=number)
            record(session, f"user{number % 2}", "counted", f"number {number}", at=at)
        return head(session)


def tampered(desk, *statements):
    """Return what is wrong with a log of which an attacker owns the database."""
    with desk.write() as session:
        for statement in (*TRIGGERS[session.get_bind().dialect.name], *statements):
            session.execute(text(statement))
    with desk.read() as session:
        return verify(session)


def problems(desk, *heads):
    with desk.read() as session:
        return verify(session, heads)


def test_an_untouched_log_is_whole(desk):
    assert problems(desk, Head(0, FIRST)) == []
    first = written(desk)
    assert problems(desk, Head(0, FIRST), first) == []
    again = written(desk)
    assert again.count == 12
    assert problems(desk, first, again) == []


def test_the_database_refuses_to_change_or_remove_an_entry(desk):
    written(desk)
    for statement in ("UPDATE audit_log SET actor = 'x' WHERE id = 2", "DELETE FROM audit_log"):
        with pytest.raises(InputError, match="only ever added"), desk.write() as session:
            session.execute(text(statement))
    assert problems(desk) == []


@pytest.mark.parametrize(
    "change",
    ["actor = 'root'", "action = 'approved'", "subject = 'number 9'", "detail = '[]'",
     "at = '2026-11-27 12:00:00.000007+00'", "sha256 = previous", "detail = detail || ' '"],
)  # fmt: skip
def test_a_changed_entry_is_named(desk, change):
    written(desk)
    lines = tampered(desk, f"UPDATE audit_log SET {change} WHERE id = 3")
    assert lines[0].startswith("entry 3 (2026-11-27 12:00:00")
    assert lines[0].endswith(": was changed")
    assert len(lines) == (1 if "sha256" not in change else 2)


def test_a_removed_entry_shows(desk):
    written(desk)
    (line,) = tampered(desk, "DELETE FROM audit_log WHERE id = 3")
    assert line.startswith("entry 4")
    assert line.endswith("the entry before it was removed or rewritten")


def test_a_beginning_that_was_cut_off_shows(desk):
    written(desk)
    (line,) = tampered(desk, "DELETE FROM audit_log WHERE id <= 2")
    assert line.startswith("entry 3")


def test_a_gap_closed_by_hand_shows(desk):
    written(desk)
    lines = tampered(
        desk,
        "DELETE FROM audit_log WHERE id = 3",
        "UPDATE audit_log SET previous = (SELECT sha256 FROM audit_log WHERE id = 2) WHERE id = 4",
    )
    assert [line.rpartition(": ")[2] for line in lines] == ["was changed"]


def test_entries_in_another_order_show(desk):
    written(desk)
    lines = tampered(
        desk,
        "UPDATE audit_log SET id = 99 WHERE id = 3",
        "UPDATE audit_log SET id = 3 WHERE id = 4",
        "UPDATE audit_log SET id = 4 WHERE id = 99",
    )
    assert len(lines) == 3
    assert all(line.endswith("stands in another place than it was written") for line in lines)


def test_an_entry_put_in_between_shows(desk):
    written(desk)
    with desk.read() as session:
        second, third = session.scalars(select(AuditEntry).where(AuditEntry.id.in_([2, 3])))
    told = ("root", "approved", "film 1", "{}")
    forged = seal(second.sha256, NOON, *told)
    lines = tampered(
        desk,
        "UPDATE audit_log SET id = id + 100 WHERE id >= 3",
        f"UPDATE audit_log SET previous = '{forged}' WHERE id = 103",
        "INSERT INTO audit_log (id, at, actor, action, subject, detail, previous, sha256) VALUES "
        f"(3, '2026-11-27 12:00:00.000000+00', 'root', 'approved', 'film 1', '{{}}', "
        f"'{second.sha256}', '{forged}')",
    )
    assert third.previous == second.sha256
    assert [line.rpartition(": ")[2] for line in lines] == ["was changed"]


def test_an_entry_rewritten_with_its_seal_shows_at_the_next(desk):
    written(desk)
    with desk.read() as session:
        entry = session.get_one(AuditEntry, 3)
    forged = seal(entry.previous, entry.at, "root", entry.action, entry.subject, entry.detail)
    (line,) = tampered(
        desk, f"UPDATE audit_log SET actor = 'root', sha256 = '{forged}' WHERE id = 3"
    )
    assert line.startswith("entry 4")


def test_a_cut_or_rewritten_end_shows_beside_a_head_that_was_noted(desk):
    noted = written(desk)
    assert tampered(desk, "DELETE FROM audit_log WHERE id > 4") == []  # so a head is noted
    assert problems(desk, noted) == ["the log had 6 entries and has 4: its end was cut off"]
    written(desk, 2)  # as many as before
    (line,) = problems(desk, noted)
    assert line == "the first 6 entries are not those that were noted: rewritten"


def test_an_emptied_log_shows_beside_a_head(desk):
    noted = written(desk)
    assert tampered(desk, "DELETE FROM audit_log") == []
    assert len(problems(desk, noted)) == 1


def test_what_is_no_time_and_no_text_is_a_line_and_no_crash(tmp_path):
    desk = a_desk(tmp_path)  # PostgreSQL keeps nothing of the wrong type
    written(desk)
    lines = tampered(
        desk,
        "UPDATE audit_log SET at = 'yesterday' WHERE id = 1",
        "UPDATE audit_log SET actor = x'ff' WHERE id = 2",
        "UPDATE audit_log SET previous = x'00' WHERE id = 5",
    )
    assert [line.split()[1] for line in lines] == ["1", "2", "5", "5"]


def test_both_databases_make_the_same_chain(tmp_path, server):
    heads = {written(a_desk(tmp_path / str(one), one)) for one in (None, new_database(server))}
    assert len(heads) == 1


def test_a_time_of_another_zone_and_any_text_are_sealed_as_they_are_read(desk):
    seoul = timezone(timedelta(hours=9))
    whole = datetime(2026, 11, 27, 21, tzinfo=seoul)
    with desk.write() as session:
        record(session, "anna", "counted", at=whole)
        record(session, "anna", "counted", at=whole + timedelta(microseconds=120))
        record(session, "ánna", "“counted”", "\U0001fa7b <b>", {"b": [1.5, None], "a": "\0\n"})
    assert problems(desk) == []


def test_an_entry_is_kept_with_what_it_tells_of_or_not_at_all(desk):
    def fails():
        with desk.write() as session:
            record(session, "anna", "set closed", "set 1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    with desk.read() as session:
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == 0


def test_two_processes_that_write_at_once_make_one_chain(desk, database, tmp_path):
    counts = 60
    arguments = [str(tmp_path), database or ""]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITING, *arguments, name, str(counts)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in ("anna", "emil")
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    assert problems(desk) == []
    with desk.read() as session:
        actors = session.scalars(select(AuditEntry.actor).order_by(AuditEntry.id)).all()
    assert len(actors) == 2 * counts
    turns = sum(before != after for before, after in pairwise(actors))
    assert turns > 1  # else they did not write at once, and the test shows nothing
