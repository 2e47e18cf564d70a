"""Jobs: one worker each, whatever happens to it, on SQLite and on PostgreSQL."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.corpus import keep, kept, open_corpus
from papers.rare_disease_controlnet.corpus.queue import (
    ATTEMPTS,
    LEASE,
    LostClaim,
    cancel,
    claim,
    enqueue,
    fail,
    finish,
    renew,
)
from papers.rare_disease_controlnet.corpus.tables import Film, Job
from tests.papers.rare_disease_controlnet.corpus_made_up import film, new_database, postgresql

ROOT = Path(__file__).parents[3]
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
OPENING = """
import sys
from pathlib import Path
from papers.rare_disease_controlnet.corpus.corpus import open_corpus
from papers.rare_disease_controlnet.corpus.queue import claim, enqueue, finish
corpus = open_corpus(Path(sys.argv[1]), sys.argv[2] or None)
print("ready", flush=True)
sys.stdin.readline()
"""
WORKING = (
    OPENING
    + """
while True:
    with corpus.write() as session:
        taken = claim(session, sys.argv[3])
    if taken is None:
        break
    print(taken.job, flush=True)
    with corpus.write() as session:
        finish(session, taken)
"""
)
HANGING = (
    OPENING
    + """
import time
with corpus.write() as session:
    taken = claim(session, sys.argv[3])
    enqueue(session, {}, asked_by="nobody")
    print(taken.job, flush=True)
    time.sleep(600)
"""
)


@pytest.fixture(scope="module")
def server():
    with postgresql() as folder:
        yield folder


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request):
    """Return the address of an empty database; of SQLite none, it lies in the corpus's folder."""
    return new_database(request.getfixturevalue("server")) if request.param != "sqlite" else None


@pytest.fixture
def corpus(database, tmp_path):
    return open_corpus(tmp_path, database)


def process(program: str, folder: Path, database: str | None, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder), database or "", name],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()


def add(corpus, *priorities: int) -> list[int]:
    with corpus.write() as session:
        return [enqueue(session, {"n": p}, asked_by="me", priority=p).id for p in priorities]


def take(corpus, worker="worker", at=NOON):
    with corpus.write() as session:
        return claim(session, worker, at=at)


def job(corpus, number: int) -> Job:
    with corpus.read() as session:
        return session.get_one(Job, number)


def test_a_job_goes_through_its_states(corpus):
    (number,) = add(corpus, 0)
    waiting = job(corpus, number)
    assert (waiting.state, waiting.spec, waiting.asked_by) == ("queued", '{"n":0}', "me")
    assert waiting.created.utcoffset() == timedelta(0)
    claimed = take(corpus)
    assert (claimed.job, claimed.attempt, claimed.spec) == (number, 1, {"n": 0})
    running = job(corpus, number)
    assert (running.state, running.worker, running.lease) == ("running", "worker", NOON + LEASE)
    assert take(corpus) is None
    with corpus.write() as session:
        finish(session, claimed, at=NOON)
    done = job(corpus, number)
    assert (done.state, done.started, done.finished, done.lease) == ("done", NOON, NOON, None)


def test_equal_specs_have_one_hash_whatever_their_order(corpus):
    with corpus.write() as session:
        one = enqueue(session, {"a": 1, "b": [2.5, "é"]}, asked_by="me")
        two = enqueue(session, {"b": [2.5, "é"], "a": 1}, asked_by="me")
        other = enqueue(session, {"b": [2.5, "è"], "a": 1}, asked_by="me")
    assert one.spec == two.spec == '{"a":1,"b":[2.5,"é"]}'
    assert one.spec_sha256 == two.spec_sha256 != other.spec_sha256


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, "\ud800"])
def test_a_spec_that_json_cannot_hold_is_refused(corpus, value):
    with pytest.raises(InputError, match=r"spec: cannot be kept as JSON \("), corpus.write() as s:
        enqueue(s, {"a": value}, asked_by="me")
    assert take(corpus) is None


def test_jobs_come_by_priority_then_by_arrival(corpus):
    low, first, second, high = add(corpus, -1, 0, 0, 5)
    assert [take(corpus).job for _ in range(4)] == [high, first, second, low]


def test_a_silent_workers_job_goes_to_another_and_the_first_changes_nothing(corpus):
    (number,) = add(corpus, 0)
    first = take(corpus, "first")
    assert take(corpus, "second", NOON + LEASE) is None  # not yet over
    second = take(corpus, "second", NOON + 2 * LEASE)
    assert (second.job, second.attempt) == (number, 2)
    for action in (renew, finish, lambda s, c: fail(s, c, "late")):
        with (
            pytest.raises(LostClaim, match=rf"job {number}: no longer of first, attempt 1"),
            corpus.write() as session,
        ):
            action(session, first)
    with pytest.raises(LostClaim):
        keep(corpus, first, 0, *film(0))
    with corpus.read() as session:
        assert session.scalars(select(Film)).all() == []
    assert (job(corpus, number).state, job(corpus, number).worker) == ("running", "second")


def test_the_same_worker_under_an_older_attempt_changes_nothing(corpus):
    add(corpus, 0)
    before = take(corpus)
    take(corpus, at=NOON + 2 * LEASE)
    with pytest.raises(LostClaim), corpus.write() as session:
        finish(session, before)


def test_a_sign_of_life_holds_a_job(corpus):
    add(corpus, 0)
    claimed = take(corpus)
    with corpus.write() as session:
        renew(session, claimed, at=NOON + LEASE)
    assert take(corpus, "second", NOON + 1.5 * LEASE) is None
    assert take(corpus, "second", NOON + 2.5 * LEASE) is not None


def test_a_film_that_is_kept_is_a_sign_of_life_and_is_not_drawn_again(corpus):
    (number,) = add(corpus, 0)
    claimed = take(corpus)
    key = keep(corpus, claimed, 0, *film(0))
    assert job(corpus, number).lease > NOON + LEASE
    again = take(corpus, "second", job(corpus, number).lease + LEASE)
    with corpus.read() as session:
        assert kept(session, number) == {0: film(0)[1].output}
    assert keep(corpus, again, 0, *film(0)) == key
    with pytest.raises(InputError, match=rf"film 0 of job {number}: is there with another SHA-256"):
        keep(corpus, again, 0, *film(1))


def test_a_job_that_no_worker_survives_fails_and_the_next_one_comes(corpus):
    number, next_ = add(corpus, 1, 0)
    times = [NOON + 2 * LEASE * i for i in range(ATTEMPTS + 1)]
    claims = [take(corpus, f"worker {i}", at) for i, at in enumerate(times)]
    assert [one.job for one in claims] == [number] * ATTEMPTS + [next_]
    failed = job(corpus, number)
    assert (failed.state, failed.finished) == ("failed", times[-1])
    assert failed.reason == f"given up after 3 attempts: worker {ATTEMPTS - 1} fell silent"


def test_a_failure_has_its_reason(corpus):
    (number,) = add(corpus, 0)
    with corpus.write() as session:
        fail(session, take_in(session), "out of memory\0 at step 3")
    assert job(corpus, number).state == "failed"
    assert job(corpus, number).reason == "out of memory� at step 3"
    assert take(corpus) is None


def take_in(session):
    claimed = claim(session, "worker")
    assert claimed
    return claimed


def test_a_cancelled_job_is_nobodys(corpus):
    first, second = add(corpus, 1, 0)
    claimed = take(corpus)
    with corpus.write() as session:
        cancel(session, first)
        cancel(session, second)
    with pytest.raises(LostClaim), corpus.write() as session:
        renew(session, claimed)
    assert take(corpus, at=NOON + 9 * LEASE) is None
    with (
        pytest.raises(InputError, match=rf"job {first}: is cancelled, too late to cancel it"),
        corpus.write() as session,
    ):
        cancel(session, first)
    with pytest.raises(InputError, match="job 99: there is no such job"), corpus.write() as session:
        cancel(session, 99)


def test_four_processes_do_two_hundred_jobs_once_each(corpus, database, tmp_path):
    numbers = add(corpus, *range(200))
    workers = [process(WORKING, tmp_path, database, f"worker {i}") for i in range(4)]
    assert [line(one) for one in workers] == ["ready"] * 4
    for one in workers:
        go(one)
    done = [[int(word) for word in one.communicate(timeout=120)[0].split()] for one in workers]
    assert [one.returncode for one in workers] == [0] * 4
    assert sorted(number for numbers in done for number in numbers) == numbers
    assert sum(bool(numbers) for numbers in done) > 1  # so that there was a race
    with corpus.read() as session:
        states = session.execute(select(Job.state, Job.attempt).distinct()).all()
    assert [tuple(state) for state in states] == [("done", 1)]


def test_four_processes_open_a_new_corpus_at_once(tmp_path):
    workers = [process(WORKING, tmp_path / "new", None, f"worker {i}") for i in range(4)]
    assert [line(one) for one in workers] == ["ready"] * 4
    for one in workers:
        one.communicate("go\n", timeout=120)
    assert [one.returncode for one in workers] == [0] * 4


def test_a_worker_killed_within_a_transaction_leaves_nothing(corpus, database, tmp_path):
    (number,) = add(corpus, 0)
    worker = process(HANGING, tmp_path, database, "killed")
    assert line(worker) == "ready"
    go(worker)
    assert line(worker) == str(number)
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    assert take(corpus).attempt == 1
    assert take(corpus) is None
