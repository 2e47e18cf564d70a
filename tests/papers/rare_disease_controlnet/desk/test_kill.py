"""Workers and databases that are killed at any moment: no job is lost, none is done twice."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_user  # isort: skip

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.check import check
from papers.rare_disease_controlnet.corpus.corpus import open_corpus
from papers.rare_disease_controlnet.corpus.tables import Film, Job
from papers.rare_disease_controlnet.desk.jobs.asking import ask
from papers.rare_disease_controlnet.desk.jobs.spec import Asked
from papers.rare_disease_controlnet.desk.jobs.worker import ATTEMPTS
from papers.rare_disease_controlnet.desk.settings import Limits
from papers.rare_disease_controlnet.desk.tables import AuditEntry, JobDetail, Preview
from tests.papers.rare_disease_controlnet import corpus_made_up
from tests.papers.rare_disease_controlnet.corpus_made_up import new_database, postgresql
from tests.papers.rare_disease_controlnet.desk import quick_worker
from tests.papers.rare_disease_controlnet.desk.quick_worker import film, main, opened
from tests.papers.rare_disease_controlnet.desk.servers import pooler

FILMS = 2  # of a job
LIMITS = Limits(queued_jobs=1000, jobs_an_hour=1000)
ALIKE = multiprocessing.get_context("forkserver")  # so that a new worker starts at once
ALIKE.set_forkserver_preload([quick_worker.__name__])


class Workers:
    """Two workers, each started again when it was killed."""

    def __init__(self, folder: Path, database: str | None, seed: int):
        self.folder, self.database = folder, database
        self.random, self.started = random.Random(seed), 0
        self.processes = [self.start() for _ in range(2)]

    def start(self):
        self.started += 1
        name = f"worker {self.started}"
        given = (self.folder, self.database, name)
        process = ALIKE.Process(target=main, args=given, name=name, daemon=True)
        process.start()
        return process

    def kill_one(self, desk) -> None:
        """Kill a worker at random; none whose job was hit so often that it would be given up."""
        place = self.random.randrange(2)
        own = select(Job.attempt).where(Job.worker == self.processes[place].name)
        with desk.read() as session:
            if session.scalar(own.where(Job.state == "running")) == ATTEMPTS:
                place = 1 - place
        os.kill(self.processes[place].pid, signal.SIGKILL)
        self.processes[place].join()
        self.processes[place] = self.start()

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.join(20)
            if process.is_alive():
                process.kill()

    def said(self) -> str:
        return "".join(file.read_text() for file in self.folder.glob("worker *.log"))


def ask_for(desk, count: int, films: int = FILMS) -> None:
    people = [a_user(desk, name, "researcher") for name in ("ann", "bob", "cid")]
    with desk.write() as session:
        for number in range(count):
            wish = Asked("nodule", "a film", steps=20, seed=FILMS * number, count=films)
            ask(session, wish, people[number % 3], LIMITS)


def counts(desk) -> dict[str, int]:
    with desk.read() as session:
        found = session.execute(select(Job.state, func.count()).group_by(Job.state))
        return dict(found.all())


def check_all(desk, count: int, said: str) -> None:
    """Check that every job is done once, its films there as they were asked for, and no more."""
    assert counts(desk) == {"done": count}, said
    with desk.read() as session:
        films = session.execute(select(Film.seed, Film.number, Film.sha256).order_by(Film.seed))
        expected = [(n, n % FILMS, digest(film(n))) for n in range(FILMS * count)]
        assert [tuple(one) for one in films] == expected
        details = session.execute(select(JobDetail.drawn, JobDetail.step, JobDetail.stage))
        assert {tuple(one) for one in details} == {(FILMS, 0, "")}
        assert session.scalars(select(Preview.job_id)).all() == []
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == count
    assert check(desk.corpus) == []


def run(folder: Path, database: str | None, jobs: int, kills: int, seed: int = 0) -> int:
    """Do so many jobs with so many kills; return how many jobs were taken more than once."""
    open_corpus(folder, database)
    desk = opened(folder, database)
    ask_for(desk, jobs)
    workers = Workers(folder, database, seed)
    end = time.monotonic() + 120
    try:
        for turn in range(kills):
            while counts(desk).get("done", 0) < jobs * turn // (kills + 1):
                assert time.monotonic() < end, workers.said()
                time.sleep(0.02)
            time.sleep(workers.random.uniform(0, 0.1))
            workers.kill_one(desk)
        while counts(desk) != {"done": jobs}:
            assert time.monotonic() < end, (counts(desk), workers.said())
            time.sleep(0.05)
    finally:
        workers.stop()
    check_all(desk, jobs, workers.said())
    with desk.read() as session:
        return session.scalar(select(func.count()).select_from(Job).where(Job.attempt > 1)) or 0


@pytest.fixture(scope="module")
def server():
    with postgresql() as folder:
        yield folder


def test_150_jobs_survive_20_kills_on_sqlite(tmp_path):
    assert run(tmp_path, None, 150, 20) > 0  # else no kill met a worker at work


def test_150_jobs_survive_20_kills_on_postgresql(tmp_path, server):
    assert run(tmp_path, new_database(server), 150, 20) > 0


def test_60_jobs_survive_8_kills_through_a_pooler(tmp_path, server):
    with pooler(server) as address:
        assert run(tmp_path, address, 60, 8) > 0


def test_jobs_survive_the_database_being_killed(tmp_path):
    """A server that keeps its promises (fsync) is stopped as by a power cut, three times."""
    with postgresql() as folder:
        database = f"postgresql+psycopg://postgres@/postgres?host={folder}"
        control = corpus_made_up._programs() / "pg_ctl"
        options = f"-k {folder} -c listen_addresses='' -c fsync=on"
        corpus_made_up._run(control, "-D", f"{folder}/data", "-m", "fast", "stop")

        def start() -> None:
            corpus_made_up._run(
                control, "-D", f"{folder}/data", "-o", options, "-l", f"{folder}/log", "-w", "start"
            )

        start()
        open_corpus(tmp_path, database)
        desk = opened(tmp_path, database)
        ask_for(desk, 40)
        workers = Workers(tmp_path, database, 0)
        end = time.monotonic() + 90
        try:
            for turn in range(1, 4):
                while counts(desk).get("done", 0) < 10 * turn:
                    assert time.monotonic() < end, workers.said()
                    time.sleep(0.02)
                corpus_made_up._run(control, "-D", f"{folder}/data", "-m", "immediate", "stop")
                time.sleep(0.3)
                start()
            while counts(desk) != {"done": 40}:
                assert time.monotonic() < end, (counts(desk), workers.said())
                time.sleep(0.05)
        finally:
            workers.stop()
        check_all(desk, 40, workers.said())


def test_a_worker_that_is_asked_to_end_ends_and_its_job_goes_on_at_once(tmp_path):
    open_corpus(tmp_path)
    desk = opened(tmp_path, None)
    ask_for(desk, 1, films=60)
    workers = Workers(tmp_path, None, 0)
    end = time.monotonic() + 20
    while counts(desk) != {"running": 1} and time.monotonic() < end:
        time.sleep(0.02)
    workers.stop()
    with desk.read() as session:
        job = session.scalars(select(Job)).one()
    assert (job.state, job.attempt, job.lease) == ("queued", 0, None)
    assert 0 in [one.exitcode for one in workers.processes]  # the other may not have begun
