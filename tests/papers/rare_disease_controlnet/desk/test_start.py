"""The desk as a process: how it starts and ends, and that nothing is lost when all is killed."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_user, browser  # isort: skip

import multiprocessing
import os
import pty
import random
import re
import signal
import socket
import threading
import time
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import select

from papers.rare_disease_controlnet.corpus.check import check
from papers.rare_disease_controlnet.corpus.tables import Film, Job
from papers.rare_disease_controlnet.desk.access import FORM_TOKEN
from papers.rare_disease_controlnet.desk.accounts import sessions
from papers.rare_disease_controlnet.desk.accounts.people import has_admin
from papers.rare_disease_controlnet.desk.audit.verify import verify
from papers.rare_disease_controlnet.desk.commands.keeper import pause_after
from papers.rare_disease_controlnet.desk.commands.serve import serve
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.jobs.asking import ask
from papers.rare_disease_controlnet.desk.jobs.spec import Asked
from papers.rare_disease_controlnet.desk.opening import open_desk
from papers.rare_disease_controlnet.desk.settings import Limits, Settings
from papers.rare_disease_controlnet.desk.tables import Answer, User, UserSession
from tests.papers.rare_disease_controlnet.desk import quick_worker
from tests.papers.rare_disease_controlnet.desk.made_up_sets import a_key, opened, shown_to
from tests.papers.rare_disease_controlnet.desk.servers import (
    HOST,
    answers,
    command,
    engines,
    free_port,
    kill,
    lives,
    running,
    start,
    wait_for,
)

PASSWORD = "seven green herons wade"  # of a user in a folder that the test deletes
KILLS, FILMS = 5, 40  # of everything, and films of the job that is drawn meanwhile
APP = "papers.rare_disease_controlnet.desk.app"
ALIKE = multiprocessing.get_context("forkserver")  # so that what was killed starts at once
ALIKE.set_forkserver_preload([quick_worker.__name__, APP])


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Let no engine be trained here, and keep no desk from before."""
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "home"))
    for name in ("DESK_DATABASE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)


NEEDS_PROC = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="no /proc to find processes in"
)


@NEEDS_PROC
def test_it_starts_with_a_link_and_an_engine_and_ends_cleanly(tmp_path):
    folder = tmp_path / "desk"
    with running("--folder", str(folder), "--port", "0") as desk:
        address = desk.address
        link = re.search(r"(/set-up/[\w-]+)", desk.says("first admin:"))[1]
        seen: set[int] = set()
        for pause in ("1 s", "2 s"):  # an engine that dies is started again
            wait_for(lambda: set(engines(desk.process.pid)) - seen, 60, "an engine")
            [engine] = engines(desk.process.pid)
            seen.add(engine)
            os.kill(engine, signal.SIGKILL)
            desk.says(f"ended (exit code -9); another is started in {pause}", 20)
        desk.says("waits for jobs", 120)
        [engine] = engines(desk.process.pid)
        found = httpx2.get(f"{address}{link}", headers={"accept": "text/html"}, timeout=60)
        assert found.status_code == 200
        assert "server" not in found.headers
        assert httpx2.get(f"{address}/jobs").status_code == 401
        assert desk.stop() == 0
        desk.says("ended; jobs go on when it is started again", 5)
        assert not lives(engine)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert "Traceback" not in "".join(desk.said)


@NEEDS_PROC
def test_an_engine_ends_with_the_desk_that_is_killed(tmp_path):
    with running("--folder", str(tmp_path / "desk"), "--port", "0") as desk:
        desk.says("waits for jobs", 120)
        [engine] = engines(desk.process.pid)
        os.kill(desk.process.pid, signal.SIGKILL)
        wait_for(lambda: not lives(engine), 30, "the end of the engine's process")


def test_a_worker_by_itself_ends_when_it_is_told(tmp_path):
    with running("worker", "--folder", str(tmp_path / "desk")) as worker:
        worker.says("waits for jobs", 120)
        assert worker.stop(signal.SIGTERM) == 0
        assert len(worker.said) == 1


def test_a_port_that_is_taken_is_one_line(tmp_path):
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        status, said = command("--folder", str(tmp_path / "desk"), "--port", port)
    assert (status, said) == (
        2, f"error: --port {port}: is taken, perhaps by another desk; give another, or 0\n"
    )  # fmt: skip


def test_the_first_admin_is_asked_for_on_a_terminal(tmp_path):
    folder, (ours, theirs) = tmp_path / "desk", pty.openpty()
    process = start(
        "--web-only", "--port", "0", "--folder", str(folder), stdin=theirs, stdout=theirs
    )
    os.close(theirs)
    said = bytearray()

    def listen() -> None:
        try:
            while piece := os.read(ours, 1000):
                said.extend(piece)
        except OSError:  # the other end is closed
            return

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    try:
        for asked, answer in (
            (b"Name [admin]: ", "grace"),
            (b"Password: ", "password"),
            (b"among the first that are guessed", ""),
            (b"Name [admin]: ", "grace"),
            (b"Password: ", PASSWORD),
            (b"Once more: ", PASSWORD),
        ):
            wait_for(lambda asked=asked: asked in said, 60, asked.decode())
            del said[: said.index(asked) + len(asked)]
            if answer:
                os.write(ours, f"{answer}\n".encode())
        wait_for(lambda: b"desk: http://" in said, 30, "the address")
        os.killpg(process.pid, signal.SIGTERM)  # while it still comes up
        assert process.wait(60) == 0
        wait_for(lambda: b"ended; jobs go on" in said, 10, "the last word")
        assert PASSWORD.encode() not in said
    finally:
        kill(process)
        os.close(ours)
    desk = open_desk(Settings(folder))
    with desk.read() as session:
        assert has_admin(session)
        assert session.scalars(select(User.name)).all() == ["grace"]
    form = {"name": "grace", "password": PASSWORD}
    assert browser(desk).post("/login", form).headers["location"] == "/"


class Everything:
    """Pages and a worker as processes, which are killed and started again."""

    def __init__(self, folder: Path):
        self.folder, self.port, self.turn, self.draws = folder, free_port(), 0, True

    def __enter__(self):
        self.turn += 1
        settings = Settings(self.folder, port=self.port)
        self.processes = [ALIKE.Process(target=serve, args=(settings,), kwargs={"worker": False})]
        if self.draws:
            given = (self.folder, None, f"worker {self.turn}")
            self.processes.append(ALIKE.Process(target=quick_worker.main, args=given))
        for process in self.processes:
            process.start()
        wait_for(lambda: answers(f"{self.address}/login"), 120, "the pages")
        return self

    def __exit__(self, *_):
        self.kill()

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join()


def test_nothing_is_lost_when_everything_is_killed_in_a_job_and_in_a_verdict(tmp_path):
    folder, random_ = tmp_path / "desk", random.Random(0)
    desk = open_desk(Settings(folder))
    opened(desk, ("rosalind",))
    places = [one.token for one in shown_to(desk, "rosalind")]
    with desk.write() as session:
        reader = session.scalar(select(User).where(User.name == "rosalind"))
        cookie = sessions.begin(session, reader)
        form_token = session.scalar(select(UserSession.form_token))
    ann = a_user(desk, "ann", "researcher")
    with desk.write() as session:
        wish = Asked("nodule", "a film", steps=50, count=FILMS)
        ask(session, wish, ann, Limits())
    headers = {"cookie": f"{sessions.COOKIE}={cookie}", "sec-fetch-site": "same-origin"}

    def send(address: str, step: str, place: int, key: str) -> int | None:
        form = {FORM_TOKEN: form_token, "key": key, "quality": "legitimate", "score": "4"}
        where = f"{address}/reading/film/{places[place]}/{step}"
        data = form | {"origin": "2"}
        try:
            return httpx2.post(where, data=data, headers=headers, timeout=30).status_code
        except httpx2.TransportError:
            return None

    everything, sent = Everything(folder), []
    for place in range(KILLS):
        everything.draws = place in (0, 2)  # a job that kills its worker thrice is given up
        with everything:
            if everything.draws:
                least = len(films(desk))
                wait_for(lambda least=least: len(films(desk)) > least, 60, "films")
            if place:  # what was cut off is sent again, as a browser does, and the next step
                assert send(everything.address, "quality", place - 1, a_key(place - 1)) == 303
                assert send(everything.address, "origin", place - 1, a_key(100 + place - 1)) == 303
            given = (everything.address, "quality", place, a_key(place))
            verdict = threading.Thread(target=lambda given=given: sent.append(send(*given)))
            verdict.start()
            time.sleep(random_.uniform(0.0, 0.04))
            everything.kill()
            verdict.join()
        assert 0 < len(films(desk)) < FILMS
    assert None in sent  # else no kill met a verdict on its way
    everything.draws = True
    with everything:
        assert send(everything.address, "quality", KILLS - 1, a_key(KILLS - 1)) == 303
        assert send(everything.address, "origin", KILLS - 1, a_key(100 + KILLS - 1)) == 303
        wait_for(lambda: state(desk) == "done", 60, "the end of the job")
    check_whole(desk)


def films(desk: Desk) -> list[int]:
    """Return the seeds of the films that were drawn; the set's own are none of them."""
    with desk.read() as session:
        return list(session.scalars(select(Film.seed).where(Film.label == "nodule")))


def state(desk: Desk) -> str:
    with desk.read() as session:
        return session.scalars(select(Job.state).where(Job.asked_by == "ann")).one()


def check_whole(desk: Desk) -> None:
    """Check that each film and each answer is there, once, and that the log is whole."""
    assert sorted(films(desk)) == list(range(FILMS))
    with desk.read() as session:
        keys = list(session.scalars(select(Answer.key).order_by(Answer.key)))
        assert keys == [a_key(first + n) for first in (0, 100) for n in range(KILLS)]
        assert verify(session) == []
    found = [line for line in check(desk.corpus) if not line.endswith("a file of no film")]
    assert found == []


def test_pauses_between_starts_grow_until_an_engine_stays():
    waits = [0.0]
    for _ in range(8):
        waits.append(pause_after(waits[-1], 3.0))
    assert waits[1:] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause_after(60.0, 61.0) == 1
