"""Reading: two steps, versions, drafts, forms that arrive twice, and what is refused."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, browser  # isort: skip

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from papers.rare_disease_controlnet.desk.reading import opening
from papers.rare_disease_controlnet.desk.reading.readings import readings
from papers.rare_disease_controlnet.desk.settings import Limits
from papers.rare_disease_controlnet.desk.tables import Answer, Draft
from tests.papers.rare_disease_controlnet.corpus_made_up import new_database, postgresql
from tests.papers.rare_disease_controlnet.desk import made_up_sets as made
from tests.papers.rare_disease_controlnet.desk.made_up_sets import a_key, quality


@pytest.fixture
def desk(tmp_path):
    return a_desk(tmp_path)


@pytest.fixture(scope="module")
def server():
    with postgresql() as folder:
        yield folder


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


def close(desk, one):
    with desk.write() as session:
        opening.close_set(session, "maker", one, Limits())


def test_a_set_is_read_from_the_first_film_to_the_last(desk):
    one = made.opened(desk)
    here, shown = reader_of(desk), made.shown_to(desk, "rosalind")
    assert "Begin" in here.get(f"/reading/{one}").text
    for item in shown:
        text = here.get(f"/reading/{one}?place={item.place}").text
        assert f"{item.place} of 6 read" in text
        assert item.token in text
        location = read(here, item, item.place, artefacts=["bones", "other"], comment="Ö <b>")
        last = item is shown[-1]
        assert location == f"/reading/{one}" + ("" if last else f"?place={item.place + 1}")
    assert "All 6 films are read" in here.get(f"/reading/{one}").text
    assert "&lt;b&gt;" in here.get(f"/reading/{one}?place=0").text
    with desk.read() as session:
        found = readings(session, one).rows
    assert [row.place for row in found] == list(range(6))
    assert {(row.quality, row.score, row.origin, row.changes) for row in found} == {
        ("legitimate", 4, 2, 0)
    }
    assert found[0].artefacts == ("bones", "other")
    assert found[0].comment == "Ö <b>"
    assert found[0].experience == "resident"
    assert {row.kind for row in found} == {"real", "synthetic"}
    assert all((row.film_id is None) == (row.kind == "real") for row in found)


def test_origin_is_asked_after_quality_which_then_stands(desk):
    one = made.opened(desk)
    here, item = reader_of(desk), made.shown_to(desk, "rosalind")[0]
    early = here.post(address(item, "origin"), {"key": a_key(1), "origin": "1"})
    assert early.status_code == 422
    assert "quality is asked first" in early.text
    assert "Real or synthetic?" not in here.get(f"/reading/{one}?place=0").text
    here.post(address(item, "quality"), quality(a_key(2)))
    page = here.get(f"/reading/{one}?place=0").text
    assert "Real or synthetic?" in page
    assert 'name="quality"' not in page
    changed = here.post(address(item, "quality"), quality(a_key(3), score="1"))
    assert changed.status_code == 422
    assert "judged already" in changed.text
    assert [one.score for one in answers(desk)] == [4]


def test_undo_adds_a_version_and_keeps_what_was_said_as_a_draft(desk):
    one = made.opened(desk)
    here, shown = reader_of(desk), made.shown_to(desk, "rosalind")
    for item in shown[:3]:
        read(here, item, item.place, comment="first thought", seconds="7.5")
    location = here.post(f"/reading/{one}/undo", {"key": a_key(90)}).headers["location"]
    assert location == f"/reading/{one}?place=2"
    assert "first thought" in here.get(location).text
    with desk.read() as session:
        assert len(readings(session, one).rows) == 2
    next_one = read(here, shown[2], 50, quality="artefacted", score="2", seconds="9")
    assert next_one.endswith("place=3")
    with desk.read() as session:
        row = readings(session, one).rows[2]
    assert (row.quality, row.score, row.changes, row.seconds) == ("artefacted", 2, 1, 9.0)
    versions = [answer.version for answer in answers(desk) if answer.presentation_id == 3]
    assert versions == [1, 2, 3, 4, 5]
    assert len(answers(desk)) == 9  # none is lost


def test_undo_of_a_film_that_is_named_and_of_none(desk):
    one = made.opened(desk)
    here, shown = reader_of(desk), made.shown_to(desk, "rosalind")
    assert here.post(f"/reading/{one}/undo", {"key": a_key(1)}).status_code == 422
    for item in shown[:3]:
        read(here, item, item.place)
    form = {"key": a_key(91), "token": shown[0].token}
    assert here.post(f"/reading/{one}/undo", form).headers["location"].endswith("place=0")
    assert here.post(f"/reading/{one}/undo", form).status_code == 303  # arrives twice
    assert sum(answer.undone for answer in answers(desk)) == 1
    assert here.get(f"/reading/{one}").headers["location"].endswith("place=0")
    assert read(here, shown[0], 60).endswith("place=3")  # to where the reader had been


def test_a_form_that_arrives_twice_counts_once_even_at_the_same_time(desk):
    made.opened(desk)
    here, item = reader_of(desk), made.shown_to(desk, "rosalind")[0]
    form = quality(a_key(7))
    with ThreadPoolExecutor(6) as pool:
        sent = list(pool.map(lambda _: here.post(address(item, "quality"), form), range(6)))
    assert {answer.status_code for answer in sent} == {303}
    assert len(answers(desk)) == 1


def test_of_two_windows_the_first_counts(desk):
    made.opened(desk)
    here, item = reader_of(desk), made.shown_to(desk, "rosalind")[0]
    forms = [quality(a_key(number), score=str(number + 1)) for number in range(5)]
    with ThreadPoolExecutor(5) as pool:
        sent = list(pool.map(lambda form: here.post(address(item, "quality"), form), forms))
    assert sorted(answer.status_code for answer in sent) == [303, 422, 422, 422, 422]
    assert len(answers(desk)) == 1


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"score": "0"}, "score &#39;0&#39;: choose one from 1 to 5"),
        ({"score": "6"}, "choose one from 1 to 5"),
        ({"score": ""}, "choose one from 1 to 5"),
        ({"score": "4.0"}, "choose one from 1 to 5"),
        ({"quality": ""}, "choose legitimate or artefacted"),
        ({"quality": "accepted"}, "choose legitimate or artefacted"),
        ({"artefacts": ["ribs"]}, "choose some of bones"),
        ({"comment": "x" * 2**19}, "expected at most 4000"),
        ({"comment": "a\0b"}, "no NUL"),
        ({"key": ""}, "load the page again"),
        ({"key": "k" * 65}, "load the page again"),
        ({"key": "\0" * 20}, "load the page again"),
    ],
)
def test_what_cannot_be_an_answer_is_refused_in_a_line(desk, values, said):
    made.opened(desk)
    here, item = reader_of(desk), made.shown_to(desk, "rosalind")[0]
    answer = here.post(address(item, "quality"), quality(a_key(1)) | values)
    assert answer.status_code == 422
    assert said in answer.text
    assert len(answer.content) < 5000
    assert answers(desk) == []


def test_a_comment_of_a_megabyte_is_refused_in_a_line(desk):
    made.opened(desk)
    here, item = reader_of(desk), made.shown_to(desk, "rosalind")[0]
    answer = here.post(address(item, "quality"), quality(a_key(1), comment="x" * 2**21))
    assert answer.status_code in (400, 413, 422)
    assert "maximum size" in answer.text
    assert len(answer.content) < 5000
    assert answers(desk) == []


def test_another_readers_film_is_as_if_there_were_none(desk):
    one = made.opened(desk, ("rosalind", "marie"))
    theirs = made.shown_to(desk, "marie")[0]
    here = reader_of(desk)
    assert here.get(f"/reading/film/{theirs.token}").status_code == 404
    for what, form in (
        ("quality", quality(a_key(1))),
        ("origin", {"key": a_key(2), "origin": "3"}),
        ("draft", {"comment": "mine"}),
    ):
        assert here.post(address(theirs, what), form).status_code == 404
    forged = {"key": a_key(3), "token": theirs.token}
    assert here.post(f"/reading/{one}/undo", forged).status_code == 404
    assert answers(desk) == []
    stranger = browser(desk, "stranger", "reviewer")
    assert stranger.get(f"/reading/{one}").status_code == 404
    assert "nothing for you to read" in stranger.get("/reading").text


def test_a_set_that_is_not_open_is_not_there(desk):
    one = made.filled(desk)
    assert reader_of(desk).get(f"/reading/{one}").status_code == 404


def test_nothing_is_answered_once_the_set_is_closed(desk):
    one = made.opened(desk)
    here, shown = reader_of(desk), made.shown_to(desk, "rosalind")
    read(here, shown[0], 0)
    here.post(address(shown[1], "quality"), quality(a_key(10)))
    close(desk, one)
    refused = (
        here.post(address(shown[1], "origin"), {"key": a_key(11), "origin": "1"}),
        here.post(address(shown[2], "quality"), quality(a_key(12))),
        here.post(f"/reading/{one}/undo", {"key": a_key(13)}),
    )
    assert {answer.status_code for answer in refused} == {422}
    assert all("is closed" in answer.text for answer in refused)
    again = here.post(address(shown[1], "quality"), quality(a_key(10)))
    assert again.status_code == 303  # was saved before, so says so
    assert here.post(address(shown[2], "draft"), {"comment": "late"}).status_code == 204
    with desk.read() as session:
        assert session.scalars(select(Draft)).all() == []
        rows = readings(session, one).rows
    assert [row.origin for row in rows] == [2, None]
    told = here.get(f"/reading/{one}?place=0").text
    assert re.search(rf"(real: {made.NORMAL}|synthetic: {made.LABEL})", told)


def test_on_postgresql_too_two_windows_and_a_form_sent_twice(tmp_path, server):
    desk = a_desk(tmp_path, new_database(server))
    one = made.opened(desk)
    here, shown = reader_of(desk), made.shown_to(desk, "rosalind")
    forms = [quality(a_key(number % 3), score=str(number % 3 + 1)) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        sent = list(pool.map(lambda form: here.post(address(shown[0], "quality"), form), forms))
    assert sorted(answer.status_code for answer in sent) == [303, 303, 422, 422, 422, 422]
    assert len(answers(desk)) == 1
    read(here, shown[1], 40)
    here.post(f"/reading/{one}/undo", {"key": a_key(95)})
    close(desk, one)
    with desk.read() as session:
        assert len(readings(session, one).rows) == 1
    desk.corpus.engine.dispose()
