"""The worker: films come about, are seen, and are drawn once, whatever stops it on the way."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, a_user  # isort: skip

import json
import threading
import time
from datetime import timedelta
from threading import Event

import pytest
from sqlalchemy import select

from common.errors import InputError
from papers.rare_disease_controlnet.corpus import queue
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.queue import LostClaim
from papers.rare_disease_controlnet.corpus.tables import Film, Job
from papers.rare_disease_controlnet.desk.jobs import progress
from papers.rare_disease_controlnet.desk.jobs.asking import act, ask
from papers.rare_disease_controlnet.desk.jobs.spec import Asked
from papers.rare_disease_controlnet.desk.jobs.worker import ATTEMPTS, in_plain_words, work
from papers.rare_disease_controlnet.desk.settings import Limits
from papers.rare_disease_controlnet.desk.tables import JobDetail, Pace, Preview
from tests.papers.rare_disease_controlnet.desk.quick_worker import LEASE, Quick, film


class Watched(Quick):
    """An engine beside which something happens at each look at a film."""

    def __init__(self, happens=lambda seen: None, **options):
        super().__init__(**options)
        self.happens, self.seen = happens, 0

    def draw(self, asked, number, watch):
        def look(step, estimate):
            watch(step, estimate)
            self.seen += 1
            self.happens(self.seen)

        return super().draw(asked, number, look)


@pytest.fixture
def desk(tmp_path):
    return a_desk(tmp_path)


def asked(count=1, seed=7, **changes) -> Asked:
    values = {"label": "nodule", "prompt": "a film", "steps": 20, "count": count, "seed": seed}
    return Asked(**values | changes)


def add(desk, wish=None) -> int:
    ann = a_user(desk, "ann", "researcher")
    with desk.write() as session:
        return ask(session, wish or asked(), ann, Limits()).id


def until_idle(desk, engine, name="worker", lease=LEASE, stop=None) -> None:
    """Work until the queue is empty, or `stop` is set by something else."""
    stop = stop or Event()
    engine.rest = lambda worker, stopped: bool(stop.set())
    work(desk, engine, name, stop, lease=lease, pause=0.01)


def state(desk, number):
    with desk.read() as session:
        return session.get_one(Job, number), session.get_one(JobDetail, number)


def films(desk) -> list[tuple[int, int, str]]:
    with desk.read() as session:
        rows = session.scalars(select(Film).order_by(Film.job_id, Film.number))
        return [(one.job_id, one.number, one.sha256) for one in rows]


def test_films_are_drawn_each_by_its_own_seed_and_its_speed_is_measured(desk):
    number = add(desk, asked(3))
    engine = Quick()
    until_idle(desk, engine)
    job, detail = state(desk, number)
    assert (job.state, detail.drawn, detail.step, detail.stage) == ("done", 3, 0, "")
    names = [digest(film(7 + i)) for i in range(3)]
    assert films(desk) == [(number, i, name) for i, name in enumerate(names)]
    assert [desk.store.get(name) for name in names] == [film(7 + i) for i in range(3)]
    assert engine.compared == names
    with desk.read() as session:
        assert session.scalars(select(Preview)).all() == []
        (pace,) = session.scalars(select(Pace)).all()
    assert (pace.work, pace.device) == ("quick", "cpu")
    assert 0.001 < pace.step < 0.1


def test_every_look_is_a_preview_with_a_number_that_rises(desk):
    number = add(desk, asked(2))
    seen = []

    def look(_):
        with desk.read() as session:
            one, detail = session.get_one(Preview, number), session.get_one(JobDetail, number)
        seen.append((one.number, one.film, one.step, detail.step, detail.stage, len(one.content)))

    until_idle(desk, Watched(look))
    numbers = [one[0] for one in seen]
    assert numbers == sorted(set(numbers))
    assert [one[1:5] for one in seen] == [
        (i, step, step, f"drawing film {i + 1} of 2") for i in range(2) for step in (5, 10, 15, 20)
    ]
    assert {one[5] for one in seen} == {len(film(0))}


def test_a_preview_drawn_after_a_retry_is_not_taken_for_an_older_one(desk):
    number = add(desk)
    ann = a_user(desk, "ann", "researcher")
    seen = []

    def look(count):
        with desk.read() as session:
            seen.append(session.get_one(Preview, number).number)
        if count == 3:
            with desk.write() as session:
                act(session, ann, number, "cancel", Limits())
            with desk.write() as session:
                act(session, ann, number, "retry", Limits())

    until_idle(desk, Watched(look, pause=0.11))
    assert state(desk, number)[0].state == "done"
    assert len(seen) == 7
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("action", ["cancel", "pause"])
def test_who_stops_a_running_job_stops_the_drawing_at_its_next_step(desk, action):
    number = add(desk, asked(3))
    ann = a_user(desk, "ann", "researcher")

    def stop(seen):
        if seen == 6:
            with desk.write() as session:
                act(session, ann, number, action, Limits())

    engine = Watched(stop)
    until_idle(desk, engine)
    assert (engine.seen, engine.drawn) == (6, [7])
    assert state(desk, number)[0].state == {"cancel": "cancelled", "pause": "paused"}[action]
    assert [one[1] for one in films(desk)] == [0]
    back = {"cancel": "retry", "pause": "resume"}[action]
    with desk.write() as session:
        act(session, ann, number, back, Limits())
    again = Quick()
    until_idle(desk, again)
    assert again.drawn == [8, 9]  # what was kept is not drawn again
    assert state(desk, number)[0].state == "done"


def test_a_worker_that_ends_hands_its_job_back_at_once_and_no_attempt_is_counted(desk):
    number = add(desk, asked(2))
    stop = Event()
    for _ in range(2 * ATTEMPTS):
        until_idle(desk, Watched(lambda seen: stop.set()), stop=stop)
        job, _ = state(desk, number)
        assert (job.state, job.attempt, job.lease) == ("queued", 0, None)
        stop.clear()
    until_idle(desk, Quick(), "another")
    assert state(desk, number)[0].state == "done"


def test_a_worker_that_lost_its_job_changes_nothing_any_more(desk):
    number = add(desk)

    def lose(seen):
        if seen == 2:
            with desk.write() as session:
                later = queue.now() + 2 * LEASE
                assert queue.claim(session, "second", at=later, lease=timedelta(minutes=9))

    engine = Watched(lose)
    until_idle(desk, engine)
    job, _ = state(desk, number)
    assert (job.state, job.worker, job.attempt) == ("running", "second", 2)
    assert (engine.seen, films(desk)) == (2, [])


def test_a_silent_engine_holds_its_job_but_not_for_ever(desk):
    number = add(desk)
    with desk.write() as session:
        claimed = queue.claim(session, "worker", lease=timedelta(seconds=0.3))
    with progress.held(desk, claimed, patience=timedelta(seconds=0.9)) as pulse:
        time.sleep(0.7)
        with desk.write() as session:
            assert queue.claim(session, "second") is None
        pulse.beat()
        time.sleep(1.8)
        with desk.write() as session:
            assert queue.claim(session, "second").job == number
        pulse.beat()  # it has stopped looking
    with desk.write() as session, pytest.raises(LostClaim):
        progress.tell(session, claimed, step=3)


def test_a_job_lost_during_silence_is_known_at_the_next_word(desk):
    number = add(desk)
    with desk.write() as session:
        claimed = queue.claim(session, "worker", lease=timedelta(seconds=0.3))
    with progress.held(desk, claimed) as pulse:
        with desk.write() as session:
            queue.cancel(session, number)
        time.sleep(0.5)
        with pytest.raises(LostClaim):
            pulse.beat()


def test_why_a_job_failed_is_said_in_plain_words(desk):
    wrong = add(desk, asked(seed=1))
    broken = add(desk, asked(seed=2))

    def draw(wish, number, watch):
        if wish.seed == 1:
            raise InputError("label nodule: not learned, did you mean 'normal'?")
        raise ZeroDivisionError("division by zero\nsecond line")

    engine = Quick()
    engine.draw = draw
    until_idle(desk, engine)
    assert state(desk, wrong)[0].reason == "label nodule: not learned, did you mean 'normal'?"
    assert state(desk, broken)[0].reason.startswith(
        "the engine failed unexpectedly (ZeroDivisionError: division by zero); try again"
    )
    assert state(desk, broken)[0].state == "failed"
    assert in_plain_words(RuntimeError("RESOURCE_EXHAUSTED: 3 GB")).startswith(
        "the engine ran out of memory; try again when"
    )


def test_a_spec_that_is_none_of_the_desks_fails_with_its_reason(desk):
    with desk.write() as session:
        number = queue.enqueue(session, {"film": "any"}, asked_by="study").id
    until_idle(desk, Quick())
    with desk.read() as session:
        job = session.get_one(Job, number)
    assert job.state == "failed"
    assert job.reason.startswith("film: the desk knows no such wish")


def test_a_comparison_that_fails_takes_nothing_from_the_films(desk):
    number = add(desk)
    engine = Quick()
    engine.compare = lambda names: 1 / 0
    until_idle(desk, engine)
    assert state(desk, number)[0].state == "done"
    assert len(films(desk)) == 1


def test_without_an_engine_jobs_wait(desk):
    number = add(desk)
    stop, engine = Event(), Quick(ready=False)
    worker = threading.Thread(
        target=work, args=(desk, engine, "worker", stop), kwargs={"pause": 0.01}
    )
    worker.start()
    time.sleep(0.2)
    assert (state(desk, number)[0].state, state(desk, number)[0].attempt) == ("queued", 0)
    engine.ready = True
    for _ in range(300):
        if state(desk, number)[0].state == "done":
            break
        time.sleep(0.01)
    stop.set()
    worker.join()
    assert state(desk, number)[0].state == "done"


def test_a_spec_in_the_queue_is_what_was_asked_for(desk):
    wish = asked(2, extent=0.25, side="left")
    number = add(desk, wish)
    assert Asked(**json.loads(state(desk, number)[0].spec)) == wish
