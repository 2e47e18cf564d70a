"""The course of a reading: drafts, time, the order of films, the log, and who sees what."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, a_user, browser  # isort: skip

import re

import pytest
from sqlalchemy import select

from papers.rare_disease_controlnet.desk.tables import Answer, AuditEntry, Draft
from tests.papers.rare_disease_controlnet.desk import made_up_sets as made
from tests.papers.rare_disease_controlnet.desk.made_up_sets import a_key, quality


@pytest.fixture
def desk(tmp_path):
    return a_desk(tmp_path)


def reader_of(desk, name="rosalind"):
    return browser(desk, name, "reviewer")


def answers(desk):
    with desk.read() as session:
        return session.scalars(select(Answer).order_by(Answer.id)).all()


def address(item, what):
    return f"/reading/film/{item.token}/{what}"


def read(here, item, number, **values):
    """Answer both steps about a film; return where the desk leads then."""
    here.post(address(item, "quality"), quality(a_key(2 * number), **values))
    said = {"key": a_key(2 * number + 1), "origin": "2"}
    return here.post(address(item, "origin"), said).headers["location"]


def test_drafts_survive_and_go_when_the_answer_is_given(desk):
    one = made.opened(desk)
    here, item = reader_of(desk), made.shown_to(desk, "rosalind")[0]
    draft = {"quality": "artefacted", "artefacts": ["blur or noise"], "comment": "ribs?"}
    assert here.post(address(item, "draft"), draft | {"seconds": "12.5"}).status_code == 204
    later = reader_of(desk)  # another session, as after logging out
    text = later.get(f"/reading/{one}?place=0").text
    assert "ribs?" in text
    assert re.search(r'value="artefacted" required checked', text)
    assert 'value="12.5"' in text
    assert later.post(address(item, "draft"), {"comment": "x" * 5000}).status_code == 422
    odd = {"score": "9", "quality": "??", "artefacts": ["no"], "seconds": "nan"}
    assert later.post(address(item, "draft"), odd).status_code == 204
    later.post(address(item, "quality"), quality(a_key(1)))
    with desk.read() as session:
        assert session.scalars(select(Draft)).all() == []


@pytest.mark.parametrize(
    ("seconds", "kept"), [("3.25", 3.25), ("-1", None), ("nan", None), ("1e9", None), ("", None)]
)
def test_time_is_kept_where_it_was_measured(desk, seconds, kept):
    made.opened(desk)
    here, item = reader_of(desk), made.shown_to(desk, "rosalind")[0]
    here.post(address(item, "quality"), quality(a_key(1), seconds=seconds))
    assert [answer.seconds for answer in answers(desk)] == [kept]


def test_films_are_not_skipped(desk):
    one = made.opened(desk)
    here, shown = reader_of(desk), made.shown_to(desk, "rosalind")
    assert here.get(f"/reading/{one}?place=4").headers["location"].endswith("place=0")
    read(here, shown[0], 0)
    assert here.get(f"/reading/{one}?place=-1").headers["location"].endswith("place=1")
    page = here.get(f"/reading/{one}?place=1").text
    assert sum(item.token in page for item in shown) == 2  # this one, and the next to preload


def test_what_was_done_is_logged_without_what_was_said(desk):
    made.opened(desk)
    here, item = reader_of(desk), made.shown_to(desk, "rosalind")[0]
    read(here, item, 0, comment="confidential")
    with desk.read() as session:
        entries = session.scalars(select(AuditEntry)).all()
    told = [entry for entry in entries if entry.actor == "rosalind"]
    assert [entry.action for entry in told] == ["film judged", "origin guessed"]
    assert not any("confidential" in entry.detail or "legit" in entry.detail for entry in entries)
    assert not any(item.token in entry.detail for entry in entries)


def test_readers_do_not_see_each_other(desk):
    one = made.opened(desk, ("rosalind", "marie"))
    here = reader_of(desk)
    a_user(desk, "marie", "reviewer")
    other, theirs = reader_of(desk, "marie"), made.shown_to(desk, "marie")[0]
    read(other, theirs, 0, comment="seen by marie")
    for path in ("/reading", f"/reading/{one}", f"/reading/{one}?place=0"):
        text = here.get(path).text
        assert "marie" not in text
        assert "1 of 6 read" not in text
        assert "1 of 6 films" not in text
