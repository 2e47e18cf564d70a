"""Who comes next: in turns between those who ask, within the limits of each."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, a_user  # isort: skip

import time
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import HTTPException
from sqlalchemy import func, select

from common.errors import InputError
from papers.rare_disease_controlnet.corpus import queue
from papers.rare_disease_controlnet.corpus.queue import LEASE, LostClaim
from papers.rare_disease_controlnet.corpus.tables import Job
from papers.rare_disease_controlnet.desk.jobs.asking import act, ask
from papers.rare_disease_controlnet.desk.jobs.spec import Asked
from papers.rare_disease_controlnet.desk.settings import Limits
from papers.rare_disease_controlnet.desk.tables import AuditEntry, JobDetail
from tests.papers.rare_disease_controlnet.corpus_made_up import new_database, postgresql

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WISH = Asked(label="nodule", prompt="a film")


@pytest.fixture(scope="module")
def server():
    with postgresql() as folder:
        yield folder


@pytest.fixture(params=["sqlite", "postgresql"])
def desk(request, tmp_path):
    sqlite = request.param == "sqlite"
    return a_desk(tmp_path, None if sqlite else new_database(request.getfixturevalue("server")))


def add(desk, *names: str) -> list[int]:
    with desk.write() as session:
        return [queue.enqueue(session, {}, asked_by=name).id for name in names]


def take(desk, at, worker="worker"):
    with desk.write() as session:
        return queue.claim(session, worker, at=at)


def taken(desk, count: int, done: bool = True) -> list[int]:
    """Return the jobs that one worker takes in a row, or that as many take at once."""
    jobs = []
    for turn in range(count):
        claimed = take(desk, NOON + turn * SECOND, "worker" if done else f"worker {turn}")
        jobs.append(claimed.job)
        if done:
            with desk.write() as session:
                queue.finish(session, claimed, at=NOON + turn * SECOND)
    return jobs


@pytest.mark.parametrize("done", [True, False])
def test_a_hundred_jobs_of_one_user_do_not_hold_up_anothers(desk, done):
    many = add(desk, *["ann"] * 100)
    bob = add(desk, "bob", "bob")
    cid = add(desk, "cid")
    expected = [many[0], bob[0], cid[0], many[1], bob[1], many[2], many[3]]
    assert taken(desk, 7, done) == expected


def test_who_has_the_fewest_running_comes_before_who_waits_longest(desk):
    ann, bob = add(desk, "ann", "ann", "ann"), add(desk, "bob", "bob")
    first, second = take(desk, NOON), take(desk, NOON + SECOND)
    assert [first.job, second.job] == [ann[0], bob[0]]
    with desk.write() as session:
        queue.finish(session, second)
    assert take(desk, NOON + 2 * SECOND).job == bob[1]  # ann has one running, bob none


def test_a_job_whose_worker_fell_silent_does_not_count_as_running(desk):
    ann, bob = add(desk, "ann", "ann"), add(desk, "bob")
    take(desk, NOON)
    take(desk, NOON + SECOND)
    late = NOON + 2 * LEASE
    assert take(desk, late).job == ann[0]
    assert take(desk, late + SECOND).job == bob[0]
    assert take(desk, late + 2 * SECOND).job == ann[1]


def test_a_priority_orders_ones_own_jobs_alone(desk):
    ann = add(desk, "ann", "ann", "ann")
    bob = add(desk, "bob", "bob")
    with desk.write() as session:
        queue.reorder(session, [ann[2], ann[0], ann[1]])
        assert queue.waiting_of(session, "ann") == [ann[2], ann[0], ann[1]]
    late = add(desk, "ann")
    order = [ann[2], bob[0], ann[0], bob[1], ann[1], late[0]]
    assert taken(desk, 6) == order


def test_people_move_their_own_jobs(desk):
    ann, bob = a_user(desk, "ann", "researcher"), a_user(desk, "bob", "researcher")
    boss = a_user(desk, "boss", "admin")
    with desk.write() as session:
        jobs = [ask(session, WISH, ann, Limits()).id for _ in range(3)]
    for action, job, expected in (
        ("first", jobs[2], [jobs[2], jobs[0], jobs[1]]),
        ("down", jobs[2], [jobs[0], jobs[2], jobs[1]]),
        ("up", jobs[1], [jobs[0], jobs[1], jobs[2]]),
        ("up", jobs[0], [jobs[0], jobs[1], jobs[2]]),
        ("down", jobs[2], [jobs[0], jobs[1], jobs[2]]),
    ):
        with desk.write() as session:
            act(session, ann, job, action, Limits())
            assert queue.waiting_of(session, "ann") == expected
    for action in ("first", "cancel", "pause", "retry", "resume"):
        with desk.write() as session, pytest.raises(HTTPException, match="somebody else's"):
            act(session, bob, jobs[0], action, Limits())
        with desk.write() as session, pytest.raises(HTTPException, match="no such job"):
            act(session, boss, 99, action, Limits())
    with desk.write() as session:
        act(session, boss, jobs[0], "cancel", Limits())
        with pytest.raises(InputError, match="does not wait"):
            act(session, ann, jobs[0], "first", Limits())


def test_a_paused_job_waits_until_it_may_go_on(desk):
    first, second = add(desk, "ann", "ann")
    running = take(desk, NOON)
    with desk.write() as session:
        queue.pause(session, first)
        queue.pause(session, second)
        with pytest.raises(InputError, match=f"job {first}: is paused, no need to pause it"):
            queue.pause(session, first)
    assert take(desk, NOON + 9 * LEASE) is None
    with desk.write() as session:
        queue.resume(session, first)
    with desk.write() as session, pytest.raises(LostClaim):
        queue.renew(session, running)
    again = take(desk, NOON + SECOND)
    assert (again.job, again.attempt) == (first, 1)
    with desk.write() as session, pytest.raises(LostClaim):
        queue.finish(session, running)  # the same worker, the same number of the attempt
    with desk.write() as session:
        queue.finish(session, again)
        queue.cancel(session, second)


def test_what_has_ended_can_be_tried_again_and_nothing_else(desk):
    failed, cancelled, done, waiting = add(desk, *["ann"] * 4)
    with desk.write() as session:
        queue.fail(session, queue.claim(session, "w", at=NOON), "no room")
        queue.cancel(session, cancelled)
        queue.finish(session, queue.claim(session, "w", at=NOON))
    for job in (failed, cancelled):
        with desk.write() as session:
            queue.retry(session, job)
            found = session.get_one(Job, job)
            assert (found.state, found.attempt, found.reason) == ("queued", 0, None)
            assert found.finished is None
    for job, words in ((done, "is done, too late to retry it"), (waiting, "is queued, no need to")):
        with desk.write() as session, pytest.raises(InputError, match=f"job {job}: {words}"):
            queue.retry(session, job)


def test_one_user_has_so_many_jobs_waiting_and_others_as_many(desk):
    ann, bob = a_user(desk, "ann", "researcher"), a_user(desk, "bob", "researcher")
    limits = Limits(queued_jobs=3)
    with desk.write() as session:
        jobs = [ask(session, WISH, ann, limits).id for _ in range(3)]
        with pytest.raises(InputError, match="jobs: 3 of yours are waiting already, the most"):
            ask(session, WISH, ann, limits)
        ask(session, WISH, bob, limits)
        act(session, ann, jobs[0], "cancel", limits)
        ask(session, WISH, ann, limits)
        with pytest.raises(InputError, match="3 of yours are waiting already"):
            act(session, ann, jobs[0], "retry", limits)
    with desk.write() as session, pytest.raises(InputError, match="count 9: expected from 1 to 8"):
        ask(session, Asked(label="nodule", prompt="p", count=9), ann, Limits(films=8))


def test_a_film_that_is_drawn_again_counts_against_no_limit_of_jobs(desk):
    ann, limits = a_user(desk, "ann", "researcher"), Limits(queued_jobs=1, jobs_an_hour=1)
    from papers.rare_disease_controlnet.corpus.corpus import keep
    from tests.papers.rare_disease_controlnet.corpus_made_up import film

    with desk.write() as session:
        ask(session, WISH, ann, limits)
    parent = keep(desk.corpus, take(desk, NOON), 0, *film(0))
    with desk.write() as session:
        child = ask(session, WISH, ann, limits, parent=parent, generation=1)
        detail = session.get_one(JobDetail, child.id)
        assert (detail.parent, detail.generation) == (parent, 1)


def test_ten_thousand_wishes_and_a_thousand_changes_leave_the_database_within_bounds(desk):
    ann, limits = a_user(desk, "ann", "researcher"), Limits(jobs_an_hour=20)
    wishes = 10_000 if desk.settings.database is None else 1_000  # a server takes its time
    refused = 0
    with desk.write() as session:
        for turn in range(wishes):
            try:
                job = ask(session, WISH, ann, limits, at=NOON + turn * SECOND / 1000).id
                act(session, ann, job, "cancel", limits, at=NOON)
            except InputError:
                refused += 1
    assert refused == wishes - 20
    refused = 0
    with desk.write() as session:
        for turn in range(1_000):
            try:
                act(session, ann, job, ("retry", "cancel")[turn % 2], limits, at=NOON)
            except HTTPException:
                refused += 1
    assert refused == 1_000 - (5 * 20 - 40)
    with desk.read() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 20
        assert session.scalar(select(func.count()).select_from(JobDetail)) == 20
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == 5 * 20
    with desk.write() as session:
        ask(session, WISH, ann, limits, at=NOON + timedelta(hours=2))


def test_ten_thousand_jobs_slow_nobody_down(desk):
    with desk.write() as session:
        session.add_all(
            Job(
                spec="{}",
                spec_sha256="0" * 64,
                asked_by=f"user {i % 30}",
                state="done",
                started=NOON,
            )
            for i in range(10_000)
        )
    add(desk, "ann")
    begun = time.perf_counter()
    assert take(desk, NOON) is not None
    assert time.perf_counter() - begun < 0.5
