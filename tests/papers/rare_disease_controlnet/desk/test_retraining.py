"""Retraining: one worker at a time, nothing lost by a kill, and the study learns from the films."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, a_user  # isort: skip

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from common.errors import InputError
from common.pipeline.trained import find
from common.study import config as configs
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.corpus.queue import cancel, enqueue
from papers.rare_disease_controlnet.corpus.tables import Snapshot, now
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.release import engine_run, gate, retraining
from papers.rare_disease_controlnet.desk.tables import AuditEntry, Retraining, User
from papers.rare_disease_controlnet.networks import adaptation
from papers.rare_disease_controlnet.study import STUDY
from tests.papers.rare_disease_controlnet.corpus_made_up import new_database, postgresql
from tests.papers.rare_disease_controlnet.desk.release_made_up import accepted
from tests.papers.rare_disease_controlnet.desk.retraining_made_up import (
    CHILD,
    QUICK,
    Working,
    begun,
    child,
    is_alive,
    until,
)
from tests.papers.rare_disease_controlnet.reviewed_made_up import as_if_trained


@pytest.fixture(scope="module")
def server():
    with postgresql() as folder:
        yield folder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Have no engine but those of a test."""
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "home"))


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request):
    """Return the address of a database, None for SQLite's in the folder."""
    if request.param == "sqlite":
        return None
    return new_database(request.getfixturevalue("server"))


@pytest.fixture
def desk(tmp_path):
    return a_desk(tmp_path / "desk")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "child"
    made.mkdir()
    return made


def ask(desk: Desk, name: str = "v1") -> int:
    """Return a retraining that waits."""
    user = a_user(desk, "kim", "researcher")
    if not any(True for _ in desk.store.names()):
        accepted(desk, 2)
    with desk.write() as session:
        snapshot = gate.freeze(session, name, "kim")
        return retraining.ask(session, snapshot, session.get(User, user.id)).id


def row(desk: Desk, key: int) -> Retraining:
    with desk.read() as session:
        return session.get_one(Retraining, key)


def test_there_is_nothing_to_do_where_nobody_asked(desk, folder):
    assert not retraining.work_once(desk, "w1", command=child(folder))
    assert not (folder / "pid").exists()


def test_it_is_seen_at_work_and_what_comes_of_it_is_kept(desk, folder):
    key = ask(desk)
    working = Working(desk, folder)
    begun(folder)
    until(lambda: row(desk, key).stage == "1 of 2: train classifier_a, seed 0")
    assert (row(desk, key).state, row(desk, key).attempt) == ("running", 1)
    time.sleep(2 * QUICK.total_seconds())  # signs of life hold it for longer than a lease
    assert not retraining.work_once(desk, "w2", command=child(folder))
    (folder / "go").touch()
    assert working.ended()
    found = row(desk, key)
    assert (found.state, found.lease, found.stage) == ("done", None, "")
    assert json.loads(found.metrics) == {"content": "some content"}
    with desk.read() as session:
        actions = [
            one.action for one in session.query(AuditEntry).filter_by(subject="retraining 1")
        ]
    assert actions == ["retraining asked", "retraining done"]


def test_it_says_why_it_failed(desk, folder):
    key = ask(desk)
    (folder / "go").touch()
    (folder / "refuse").touch()
    assert Working(desk, folder).ended()
    found = row(desk, key)
    assert (found.state, found.reason) == ("failed", "the data is gone; bring it back")
    other = ask(desk, "v2")
    assert retraining.work_once(desk, "w1")  # with the study itself, and no engine
    assert row(desk, other).reason.startswith("no engine is trained here")


def test_a_process_that_is_killed_begins_again_three_times_at_most(desk, folder):
    key = ask(desk)
    for attempt in range(1, 4):
        working = Working(desk, folder)
        os.kill(begun(folder), signal.SIGKILL)
        assert working.ended()
        assert (row(desk, key).state, row(desk, key).attempt) == ("waiting", attempt)
        (folder / "pid").unlink()
    assert not retraining.work_once(desk, "w1", command=child(folder))
    found = row(desk, key)
    assert found.state == "failed"
    assert found.reason == "given up after 3 attempts: was killed by signal 9, begins again"


def test_a_worker_that_is_killed_takes_its_process_along_and_another_goes_on(desk, folder):
    key = ask(desk)
    code = (
        "import sys; from datetime import timedelta; from pathlib import Path\n"
        "import papers.rare_disease_controlnet.desk.tables\n"
        "from papers.rare_disease_controlnet.corpus.corpus import open_corpus\n"
        "from papers.rare_disease_controlnet.desk.desk import Desk\n"
        "from papers.rare_disease_controlnet.desk.settings import Settings\n"
        "from papers.rare_disease_controlnet.desk.release import retraining\n"
        "folder = Path(sys.argv[1]); desk = Desk(Settings(folder), open_corpus(folder))\n"
        "retraining.work_once(desk, 'w1', lease=timedelta(seconds=2), pulse=0.1,\n"
        "    command=lambda *_: [sys.executable, '-c', sys.argv[3], sys.argv[2]])\n"
    )
    words = [sys.executable, "-c", code, str(desk.settings.folder), str(folder), CHILD]
    worker = subprocess.Popen(words)
    process = begun(folder)
    worker.kill()
    worker.wait()
    until(lambda: not is_alive(process), 10)
    assert row(desk, key).state == "running"  # nobody could say anything
    (folder / "pid").unlink()
    (folder / "go").touch()
    until(lambda: retraining.work_once(desk, "w2", command=child(folder)))
    found = row(desk, key)
    assert (found.state, found.worker, found.attempt) == ("done", "w2", 2)
    assert (folder / "done").read_text() == "x"  # once


def test_it_can_be_stopped_and_its_process_ends(desk, folder):
    key = ask(desk)
    working = Working(desk, folder)
    process = begun(folder)
    with desk.write() as session:
        retraining.stop(session, key, "kim")
    assert working.ended()
    assert not is_alive(process)
    assert (row(desk, key).state, row(desk, key).reason) == ("failed", "stopped by kim")


def test_it_makes_way_for_films_and_for_the_end_of_its_worker(desk, folder):
    key = ask(desk)
    working = Working(desk, folder)
    process = begun(folder)
    with desk.write() as session:
        job = enqueue(session, {"label": "normal"}, asked_by="kim").id
    assert working.ended()
    assert not is_alive(process)
    found = row(desk, key)
    assert (found.state, found.attempt, found.stage) == ("waiting", 0, "films are drawn first")
    with desk.write() as session:
        cancel(session, job)
    (folder / "pid").unlink()
    end = threading.Event()
    working = Working(desk, folder, stopped=end.is_set)
    begun(folder)
    end.set()
    assert working.ended()
    assert (row(desk, key).state, row(desk, key).attempt) == ("waiting", 0)


def test_of_many_workers_one_has_it(tmp_path, address):
    desk = a_desk(tmp_path / "desk", address)
    key = ask(desk)
    got, start = [], threading.Barrier(5)

    def take(name: str) -> None:
        start.wait()
        with desk.write() as session:
            got.append(retraining.claim(session, name))

    threads = [threading.Thread(target=take, args=(f"w{number}",)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (claimed,) = [one for one in got if one]
    with desk.write() as session:
        assert retraining.claim(session, "late") is None
        later = retraining.claim(session, "later", at=now() + timedelta(hours=1))
    assert (later.id, later.attempt, later.worker) == (key, 2, "later")
    retraining._say(desk, claimed, {"state": "done"})  # it wakes up, and changes nothing
    assert row(desk, key).state == "running"


# With the study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return a home with a run whose engine is as if it were trained, the run, and its data."""
    home = tmp_path_factory.mktemp("study")
    return home, *as_if_trained(home)


@pytest.fixture
def own(study, monkeypatch):
    """Return the engine of the run, whose home is ours."""
    monkeypatch.setenv("REPLICATIONS_HOME", str(study[0]))
    return find(study[1].seed_folder(0), STUDY.name, Config())


def test_the_engines_run_is_planned_again_with_the_films(own, study):
    _, run, prepared = study
    planned = engine_run.run_of(own, "ab" * 32)
    assert planned.config == configs.override(run.config, {"synthesis.corpora": ["ab" * 32]})
    assert (planned.seeds, planned.experiment.name) == ((0,), "smoke")
    name = adaptation(4)
    assert planned.unit(prepared, 0, name).folder == run.unit(prepared, 0, name).folder
    moved = replace(own, folders={**own.folders, name: run.work})
    with pytest.raises(InputError, match="was trained elsewhere, or by another version"):
        engine_run.run_of(moved, "ab" * 32)


def test_the_snapshot_is_kept_for_training_before_it_starts(own, study, desk):
    key = ask(desk)
    with desk.write() as session:
        claimed = retraining.claim(session, "w1")
        made = session.get(Snapshot, row(desk, key).snapshot_id)
    words = retraining.command_of(desk, claimed)
    assert words[-1] == made.content
    assert Path(words[-2]).samefile(own.source)
    assert (study[0] / "corpora" / made.content / "manifest.csv").is_file()


def test_the_process_itself_refuses_in_one_line(own, study, desk):
    """Its films are of 16 pixels, the engine's of 32: found in the first that is trained."""
    key = ask(desk)
    assert retraining.work_once(desk, "w1", pulse=0.2)
    found = row(desk, key)
    assert found.state == "failed"
    assert "films of (16, 16) pixels, expected (32, 32)" in found.reason
