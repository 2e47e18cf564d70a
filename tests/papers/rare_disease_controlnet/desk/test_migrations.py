"""Tables by migrations: the same as the program's own, up and down, on both databases."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk  # isort: skip

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.check import check
from papers.rare_disease_controlnet.corpus.corpus import Corpus, open_corpus
from papers.rare_disease_controlnet.corpus.database import connect
from papers.rare_disease_controlnet.corpus.decisions import decide
from papers.rare_disease_controlnet.corpus.snapshots import films_of, freeze
from papers.rare_disease_controlnet.corpus.store import Folder
from papers.rare_disease_controlnet.corpus.tables import Base, Film, Job
from papers.rare_disease_controlnet.desk.audit.log import record
from papers.rare_disease_controlnet.desk.migrations import schema
from papers.rare_disease_controlnet.desk.opening import open_desk
from papers.rare_disease_controlnet.desk.settings import Settings
from papers.rare_disease_controlnet.desk.tables import AuditEntry, User
from tests.papers.rare_disease_controlnet.corpus_made_up import (
    filled,
    new_database,
    postgresql,
)
from tests.papers.rare_disease_controlnet.desk.servers import pooler

CORPUS = ("jobs", "films", "decisions", "snapshots", "snapshot_films")


@pytest.fixture(scope="module")
def server():
    with postgresql() as folder:
        yield folder


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'corpus.db'}"
    return new_database(request.getfixturevalue("server"))


@pytest.fixture
def another(address, tmp_path, request):
    if address.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'another.db'}"
    return new_database(request.getfixturevalue("server"))


def triggers(connection) -> list[str]:
    """Return the triggers, word by word."""
    if connection.dialect.name == "sqlite":
        query = "SELECT sql FROM sqlite_master WHERE type = 'trigger'"
    else:
        query = (
            "SELECT replace(pg_get_triggerdef(t.oid), current_schema() || '.', '') FROM pg_trigger "
            "t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT tgisinternal "
            "AND c.relnamespace = current_schema()::regnamespace"
        )
    return sorted(connection.exec_driver_sql(query).scalars())


def described(engine) -> dict:
    """Return all that a database says of its tables, except for which migrations made them."""
    with engine.connect() as connection:
        asked = inspect(connection)
        tables = set(asked.get_table_names()) - {schema.REVISIONS}
        made = {
            table: [
                [(one["name"], str(one["type"]), one["nullable"])
                 for one in asked.get_columns(table)],
                asked.get_pk_constraint(table),
                sorted(map(str, asked.get_foreign_keys(table))),
                sorted(map(str, asked.get_indexes(table))),
                sorted(map(str, asked.get_unique_constraints(table))),
                sorted(map(str, asked.get_check_constraints(table))),
            ]
            for table in tables
        }  # fmt: skip
        return made | {"triggers": triggers(connection)}


def differences(engine) -> list:
    with engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection), Base.metadata)


def test_migrated_tables_are_those_of_the_program(address, another):
    migrated, made = connect(address), connect(another)
    schema.migrate(migrated)
    Base.metadata.create_all(made)
    assert differences(migrated) == []
    found = described(migrated)
    assert set(found) == {*Base.metadata.tables, "triggers"}
    assert len(found["triggers"]) == (10 if migrated.dialect.name == "sqlite" else 5)
    assert found == described(made)


def test_they_go_down_and_up_again(address):
    engine = connect(address)
    schema.migrate(engine)
    with engine.begin() as connection:
        connection.execute(
            Job.__table__.insert(),
            {"spec": "{}", "spec_sha256": "0" * 64, "asked_by": "x", "state": "paused"},
        )
    newest = described(engine)
    with schema.alone(engine) as connection:
        schema.bring(connection, "0001")
    assert set(described(engine)) == {*CORPUS, "triggers"}
    with engine.begin() as connection:
        assert connection.scalar(select(Job.state)) == "queued"
        job = Job.__table__.update().values(state="paused")
        with pytest.raises(Exception, match="ck_jobs_state"), connection.begin_nested():
            connection.execute(job)
    schema.migrate(engine)
    assert described(engine) == newest
    with schema.alone(engine) as connection:
        schema.bring(connection, "base")
    assert set(described(engine)) == {"triggers"}
    schema.migrate(engine)
    assert described(engine) == newest


def test_rows_that_nobody_may_change_are_guarded_after_migrations(address):
    engine = connect(address)
    schema.migrate(engine)
    corpus = Corpus(engine, Folder(Path()))
    with corpus.write() as session:
        record(session, "ada", "set closed")
    for change in ("UPDATE audit_log SET actor = 'eve'", "DELETE FROM audit_log"):
        refused = pytest.raises(InputError, match="audit_log: rows are only ever added")
        with refused, corpus.write() as session:
            session.execute(text(change))
    with corpus.read() as session:
        assert session.scalar(select(AuditEntry.actor)) == "ada"


def test_the_corpus_of_a_study_is_taken_over_without_loss(address, tmp_path):
    engine = connect(address)
    with schema.alone(engine) as connection:  # as it was before there was a desk
        schema.bring(connection, "0001")
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE {schema.REVISIONS}")
    before = Corpus(engine, Folder(tmp_path / "films"))
    ids = filled(before, 3)
    with before.write() as session:
        decide(session, ids[0], reviewer="ada", kind="reading", verdict="accepted", score=4)
        freeze(session, "first", "ada")
    schema.migrate(engine)
    assert differences(engine) == []
    after = Corpus(engine, before.store)
    assert check(after) == []
    with after.read() as session:
        assert [film.id for film in films_of(session, "first")] == ids[:1]
        assert session.query(Film).count() == 3
        assert session.query(User).count() == 0
    with pytest.raises(InputError, match="only ever added"), after.write() as session:
        session.execute(text("DELETE FROM decisions"))


def test_a_desk_whose_tables_were_made_at_once_is_taken_over(address, tmp_path):
    made = a_desk(tmp_path, address).corpus
    before = described(made.engine)
    schema.migrate(made.engine)
    assert described(made.engine) == before
    with made.engine.connect() as connection:
        assert schema.revision_of(connection) == schema.newest()


def test_a_newer_database_is_refused_and_left_as_it_is(address):
    engine = connect(address)
    schema.migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {schema.REVISIONS} SET version_num = '9999'")
    before = described(engine)
    with pytest.raises(InputError, match=r"newer program \(revision 9999.*update this one") as one:
        schema.migrate(engine)
    assert "\n" not in str(one.value)
    assert described(engine) == before


def test_tables_of_another_program_are_refused_and_left_as_they_are(address):
    engine = connect(address)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE users (id INTEGER PRIMARY KEY)")
    before = described(engine)
    with pytest.raises(InputError, match=r"tables of something else.*\(users\); give an empty"):
        schema.migrate(engine)
    assert described(engine) == before


def test_a_step_that_fails_changes_nothing(address):
    engine = connect(address)
    with schema.alone(engine) as connection:
        schema.bring(connection, "0001")
    before = described(engine)
    failing = type("Failing", (Exception,), {})

    def stopped() -> None:
        with schema.alone(engine) as connection:
            schema.bring(connection, schema.newest())
            raise failing

    with pytest.raises(failing):
        stopped()
    assert described(engine) == before


def together(opened: Callable[[], object]) -> list[BaseException]:
    """Do something in several threads at once; return what went wrong."""
    wrong: list[BaseException] = []
    gate = threading.Barrier(4)

    def one() -> None:
        gate.wait()
        try:
            opened()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def test_starts_at_the_same_time_make_the_tables_once(address, tmp_path):
    assert together(lambda: open_desk(Settings(tmp_path, database=address))) == []
    assert differences(connect(address)) == []


def test_it_works_through_a_pooler_that_gives_no_sessions(server):
    with pooler(server) as address:
        assert together(lambda: schema.migrate(connect(address))) == []
        engine = connect(address)
        assert differences(engine) == []
        corpus = Corpus(engine, Folder(Path()))
        with corpus.write() as session:
            record(session, "ada", "set closed")
        with schema.alone(engine) as connection:
            schema.bring(connection, "base")
        schema.migrate(engine)
        assert differences(engine) == []
        engine.dispose()


def test_opening_a_migrated_desk_as_a_corpus_changes_nothing(tmp_path):
    engine = connect(f"sqlite:///{tmp_path / 'corpus.db'}")
    schema.migrate(engine)
    before = described(engine)
    open_corpus(tmp_path)
    assert described(engine) == before
