"""A set is closed: what readers said is decided, once, and what is rejected is drawn again."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk  # isort: skip

import json
import threading
from dataclasses import replace

import pytest
from sqlalchemy import select

from common.errors import InputError
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.corpus import keep
from papers.rare_disease_controlnet.corpus.decisions import decide, films, standing_decisions
from papers.rare_disease_controlnet.corpus.queue import claim
from papers.rare_disease_controlnet.corpus.tables import Decision, Film, Job
from papers.rare_disease_controlnet.desk.release import after_reading, again
from papers.rare_disease_controlnet.desk.tables import (
    AuditEntry,
    JobDetail,
    Presentation,
    ReadingSet,
    User,
)
from tests.papers.rare_disease_controlnet.corpus_made_up import LINEAGE, new_database, postgresql
from tests.papers.rare_disease_controlnet.desk.release_made_up import (
    ARTIST,
    an_answer,
    close,
    compared,
    drawn,
    film,
    image,
    read,
)

GOOD, BAD = ("legitimate", 4), ("artefacted", 2)


@pytest.fixture(scope="module")
def server():
    with postgresql() as folder:
        yield folder


@pytest.fixture(params=["sqlite", "postgresql"])
def desk(request, tmp_path):
    """Return a desk on either database."""
    address = None
    if request.param == "postgresql":
        address = new_database(request.getfixturevalue("server"))
    return a_desk(tmp_path, address)


def standing(desk) -> dict[str, set[int]]:
    """Return which films are accepted, rejected, undecided."""
    with desk.read() as session:
        return {
            word: {one.id for one in films(session, word)}
            for word in ("accepted", "rejected", "undecided")
        }


def jobs_again(desk) -> list[tuple[Job, JobDetail]]:
    with desk.read() as session:
        query = select(Job, JobDetail).join(JobDetail, JobDetail.job_id == Job.id)
        return [(job, row) for job, row in session.execute(query.where(JobDetail.parent > 0))]


def test_the_last_answer_of_each_reader_is_decided(desk):
    a, b, c = keys = drawn(desk, 3)
    said = {
        "rosalind": [GOOD, ("artefacted", 1, ["bones", "other"], "ribs <b>cross</b>"), None],
        "marie": [BAD, GOOD, GOOD, GOOD],  # the first film once more: legitimate after all
    }
    one = read(desk, keys, said)
    with desk.write() as session:  # marie takes what she said of the third film back
        third = select(Presentation).where(Presentation.place == 3)
        shown = session.scalars(third.order_by(Presentation.id.desc())).first()
        session.add(an_answer(shown.id, 2, GOOD, undone=True))
    close(desk, one)
    assert standing(desk) == {"accepted": {a}, "rejected": {b}, "undecided": {c}}
    with desk.read() as session:
        (of_a, of_b) = (standing_decisions(session, key) for key in (a, b))
        assert session.query(Decision).count() == 4  # none of the real film, none of the third
    assert {(d.reviewer, d.kind, d.verdict, d.score) for d in of_a} == {
        ("rosalind", "reading", "accepted", 4), ("marie", "reading", "accepted", 4),
    }  # fmt: skip
    refusal = next(d for d in of_b if d.verdict == "rejected")
    assert (refusal.reviewer, refusal.score) == ("rosalind", 1)
    assert json.loads(refusal.reasons) == ["bones", "other"]
    assert refusal.comment == "ribs <b>cross</b>"


def test_it_is_logged_without_comments_and_never_done_twice(desk):
    keys = drawn(desk, 2)
    one = read(desk, keys, {"rosalind": [GOOD, ("artefacted", 1, [], "a secret remark")]})
    close(desk, one)
    with desk.write() as session:
        after_reading.apply(session, one, "maker", desk.settings.limits)
    with desk.read() as session:
        assert session.query(Decision).count() == 2
        entries = session.query(AuditEntry).order_by(AuditEntry.id).all()
    (entered,) = [entry for entry in entries if entry.action == "readings entered"]
    assert (entered.actor, entered.subject) == ("maker", f"set {one}")
    assert json.loads(entered.detail) == {"accepted": 1, "rejected": 1, "drawn again": 1}
    assert not any("secret" in entry.detail for entry in entries)
    assert len(jobs_again(desk)) == 1


def test_nothing_follows_from_a_set_that_is_open(desk):
    one = read(desk, drawn(desk, 1), {"rosalind": [BAD]})
    with pytest.raises(InputError, match=f"set {one}: is not closed"), desk.write() as session:
        after_reading.apply(session, one, "maker", desk.settings.limits)


def test_closing_is_whole_or_not_at_all(desk, monkeypatch):
    one = read(desk, drawn(desk, 2), {"rosalind": [GOOD, BAD]})
    monkeypatch.setattr(after_reading, "all_again", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        close(desk, one)
    with desk.read() as session:
        assert session.query(Decision).count() == 0
        assert session.get(ReadingSet, one).closed is None
        assert session.query(AuditEntry).filter(AuditEntry.action == "set closed").count() == 0


def test_a_later_set_overrules_what_the_same_reader_said_before(desk):
    (key,) = drawn(desk, 1)
    close(desk, read(desk, [key], {"rosalind": [BAD]}))
    assert standing(desk)["rejected"] == {key}
    close(desk, read(desk, [key], {"rosalind": [GOOD]}, "second"))
    assert standing(desk)["accepted"] == {key}


def test_a_rejected_film_is_asked_for_again_with_a_new_seed(desk):
    _, b = keys = drawn(desk, 2, first=40)
    close(desk, read(desk, keys, {"rosalind": [GOOD, BAD]}))
    ((job, row),) = jobs_again(desk)
    with desk.read() as session:
        before = session.get(Job, film(desk, b).job_id)
        owner = session.get(User, row.owner)
    assert (row.parent, row.generation, row.films, owner.name) == (b, 1, 1, ARTIST)
    assert (job.state, job.asked_by) == ("queued", before.asked_by)
    old, new = json.loads(before.spec), json.loads(job.spec)
    assert {name for name in old if old[name] != new[name]} == {"seed", "count"}
    assert new["count"] == 1


def test_no_film_is_drawn_again_twice(desk):
    (key,) = drawn(desk, 1)
    close(desk, read(desk, [key], {"rosalind": [BAD]}))
    close(desk, read(desk, [key], {"marie": [BAD]}, "second"))
    assert len(jobs_again(desk)) == 1
    again_by = f"film {key}: it is drawn again already, by job {jobs_again(desk)[0][0].id}"
    with pytest.raises(InputError, match=again_by), desk.write() as session:
        again.draw_again(session, session.get(Film, key), "ada", desk.settings.limits)
    equal = drawn(desk, 1, first=0)[0]  # another job, the same bytes
    assert film(desk, equal).sha256 == film(desk, key).sha256
    with desk.read() as session:
        assert "already" in again.why_not(session, film(desk, equal), desk.settings.limits)


def test_of_two_at_the_same_time_one_draws_it_again(desk):
    (key,) = drawn(desk, 1)
    with desk.write() as session:
        decide(session, key, reviewer="r", kind="reading", verdict="rejected")
    refused, start = [], threading.Barrier(4)

    def press() -> None:
        start.wait()
        try:
            with desk.write() as session:
                again.draw_again(session, session.get(Film, key), "ada", desk.settings.limits)
        except InputError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=press) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(jobs_again(desk)) == 1
    assert len(refused) == 3


def test_it_ends_after_so_many_generations(tmp_path):
    desk = a_desk(tmp_path, generations=2)
    (key,) = drawn(desk, 1)
    for generation in range(3):
        close(desk, read(desk, [key], {"rosalind": [BAD]}, f"set {generation}"))
        if generation == 2:
            break
        job, row = jobs_again(desk)[-1]
        assert row.generation == generation + 1
        key = _drawn_for(desk, job.id, generation)
    assert len(jobs_again(desk)) == 2
    with desk.read() as session:
        reason = again.why_not(session, film(desk, key), desk.settings.limits)
    assert reason == "it was drawn again 2 times; ask for it in other words"


def _drawn_for(desk, job: int, number: int) -> int:
    """Return the film that a worker draws for a job."""
    with desk.write() as session:
        taken = claim(session, "worker")
    assert taken.job == job
    content = png.encoded(image(7000 + number))
    return keep(desk.corpus, taken, 0, content, replace(LINEAGE, output=digest(content)))


def test_what_is_neither_rejected_nor_held_back_is_not_drawn_again(desk):
    a, b, c = keys = drawn(desk, 3)
    compared(desk, [a])
    compared(desk, [b], distance=3.0)
    close(desk, read(desk, keys[:2], {"rosalind": [GOOD, GOOD]}))
    with desk.read() as session:
        limits = desk.settings.limits
        assert "not rejected" in again.why_not(session, film(desk, a), limits)
        assert again.why_not(session, film(desk, b), limits) == ""  # accepted, and a copy
        assert "not rejected" in again.why_not(session, film(desk, c), limits)
