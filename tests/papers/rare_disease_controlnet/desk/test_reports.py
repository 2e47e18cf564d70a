"""Reports as readers of them see them: what is concluded, who may see it, and under which names."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, browser  # isort: skip

import re

import pytest
from sqlalchemy import select

from papers.rare_disease_controlnet.desk.reports.findings import findings
from papers.rare_disease_controlnet.desk.reports.source import pseudonyms, source
from papers.rare_disease_controlnet.desk.reports.words import cautions, conclusions
from papers.rare_disease_controlnet.desk.tables import Presentation, SetItem
from tests.papers.rare_disease_controlnet.desk.reports_made_up import Eye, a_read_set, undo

SEEING = [Eye("dr-one", 3.0, "attending"), Eye("dr-two", 2.5, "attending"),
          Eye("dr-three", 2.0, "resident"), Eye("dr-four", 2.0, "resident")]  # fmt: skip
GUESSING = [Eye(f"dr-{number}") for number in range(6)]
PAGES = ("report", "report/figures/roc", "report/files/pdf", "report/files/json")


@pytest.fixture
def desk(tmp_path):
    return a_desk(tmp_path)


def found_in(desk, set_id, **options):
    with desk.read() as session:
        return findings(source(session, set_id, **options))


def said(found) -> str:
    return " ".join(f"{one.title}. {one.text}" for one in conclusions(found))


def test_readers_who_see_the_difference_are_said_to(desk):
    found = found_in(desk, a_read_set(desk, SEEING, real=20, synthetic=20))
    assert found.area.low > 0.5
    assert found.equivalent is False
    assert conclusions(found)[0].title == "Readers tell synthetic films from real ones"
    assert [one.first for one in found.contrasts] == ["attending"]


def test_few_films_conclude_nothing(desk):
    found = found_in(desk, a_read_set(desk, GUESSING[:3]))
    assert conclusions(found)[0].title == "It cannot be concluded whether readers can tell"
    assert "too few" in said(found)
    assert "indistinguishable" not in said(found).lower()
    assert "not reached" in cautions(found)[0]


def test_only_the_test_of_equivalence_says_indistinguishable(desk):
    found = found_in(desk, a_read_set(desk, GUESSING, real=70, synthetic=70))
    assert found.equivalent
    assert conclusions(found)[0].title == "Indistinguishable within ±15 points"
    assert "Sample size reached" in cautions(found)[0]


def test_one_reader_is_one_reader(desk):
    found = found_in(desk, a_read_set(desk, SEEING[:1], real=15, synthetic=15))
    assert found.area == found.readers[0].area
    assert found.accuracy == found.readers[0].detection.accuracy
    assert found.area.low is not None
    assert any("of no other" in one for one in cautions(found))


def test_more_real_films_than_synthetic_ones_are_weighed_alike(desk):
    found = found_in(desk, a_read_set(desk, GUESSING[:4], real=30, synthetic=6))
    assert all(one.equivalence is None for one in found.readers)
    assert any("30 films are real and 6 synthetic" in one for one in cautions(found))
    found = found_in(desk, a_read_set(desk, SEEING[:1], real=30, synthetic=6, name="another"))
    assert found.equivalent is None
    assert found.accuracy.low is None


def test_a_reader_who_stopped_early_is_said_to_have(desk):
    eyes = [*SEEING[:3], Eye("dr-late", reads=0.3), Eye("dr-never", reads=0)]
    found = found_in(desk, a_read_set(desk, eyes))
    assert len(found.readers) == 4
    assert any(one.startswith("2 readers of 5 did not judge all films") for one in cautions(found))


def test_what_is_counted_is_the_last_answer_at_first_sight(desk):
    set_id = a_read_set(desk, SEEING[:2], closed=True, repeats=3)
    before = found_in(desk, set_id).readers[0]
    assert (before.films, before.repeats.films) == (24, 3)
    with desk.write() as session:
        first = select(Presentation.id).where(Presentation.place == 0, ~Presentation.repeat)
        for presentation in session.scalars(first).all():
            undo(session, presentation)
    after = found_in(desk, set_id).readers[0]
    # the film is read once more, as a repeat, which does not take the place of the first sight
    assert (after.films, after.repeats.films) == (23, 2)


def test_parameters_are_those_of_the_lineage(desk):
    found = found_in(desk, a_read_set(desk, SEEING[:2]))
    guidance, steps, strength = found.parameters
    assert guidance.values == (5.0, 6.0, 7.0, 8.0)
    assert guidance.correlation.low <= guidance.correlation.value <= guidance.correlation.high
    assert steps.correlation.value is None  # the same for all
    assert strength.correlation.n == 12


def test_a_set_that_nobody_read_says_so(desk):
    set_id = a_read_set(desk, [Eye("dr-never", reads=0)])
    here = browser(desk, role="researcher")
    assert "Nothing was read" in here.get(f"/sets/{set_id}/report").text
    for path in PAGES:
        assert here.get(f"/sets/{set_id}/{path}").status_code == 200


def test_a_set_that_is_not_closed_has_no_report(desk):
    set_id = a_read_set(desk, SEEING[:2], closed=False)
    here = browser(desk, role="admin")
    for path in PAGES:
        answer = here.get(f"/sets/{set_id}/{path}")
        assert answer.status_code == 403
        assert not re.search(r"\d\d%", answer.text)
    own = browser(desk, "dr-one", "reviewer").get(f"/sets/{set_id}/report/mine")
    assert own.status_code == 403


def test_reports_are_for_researchers_alone(desk):
    set_id = a_read_set(desk, SEEING[:2])
    reviewer, researcher = browser(desk, "dr-one", "reviewer"), browser(desk, role="researcher")
    nobody = browser(desk)
    for path in PAGES:
        statuses = [
            here.get(f"/sets/{set_id}/{path}").status_code
            for here in (reviewer, nobody, researcher)
        ]
        assert statuses == [403, 303, 200]


def test_a_set_that_is_none_is_refused(desk):
    here = browser(desk, role="researcher")
    for number in ("7", "0", "-1", "99999999999999999999", "x", "1%2f..", "1.5"):
        for path in (*PAGES, "report/mine"):
            assert here.get(f"/sets/{number}/{path}").status_code in (404, 422)


def test_what_a_report_does_not_have_is_refused(desk):
    set_id = a_read_set(desk, SEEING[:1])
    here = browser(desk, role="researcher")
    for path in ("figures/none", "files/exe", "files/..%2fpdf"):
        assert here.get(f"/sets/{set_id}/report/{path}").status_code == 404


def test_readers_are_letters_unless_their_names_are_asked_for(desk):
    set_id = a_read_set(desk, SEEING)
    here = browser(desk, role="researcher")
    blind, open_ = (here.get(f"/sets/{set_id}/report{asked}").text for asked in ("", "?names=true"))
    for eye in SEEING:
        assert eye.name not in blind
        assert eye.name in open_
    assert all(f"Reader {letter}" in blind for letter in "ABCD")
    assert f"/sets/{set_id}/report/files/pdf?names=true" in open_


def test_letters_do_not_follow_the_order_of_readers():
    found = pseudonyms(3, list(range(1, 31)))
    assert sorted(found.values(), key=lambda name: (len(name), name))[-1] == "Reader AD"
    assert list(found.values()) != sorted(found.values())
    assert pseudonyms(3, list(range(30, 0, -1))) == found


def test_readers_see_their_own_results_and_nothing_of_others(desk):
    set_id = a_read_set(desk, SEEING, comments=["seen by one"])
    pages = [browser(desk, eye.name, "reviewer").get(f"/sets/{set_id}/report/mine").text
             for eye in SEEING]  # fmt: skip
    for own, text in zip(SEEING, pages, strict=True):
        assert all(eye.name not in text for eye in SEEING if eye != own)
        assert "Reader A" not in text
        assert "24 films" in text
    assert len({re.sub(r"dr-\w+", "", text) for text in pages}) == len(pages)
    assert (
        browser(desk, "stranger", "reviewer").get(f"/sets/{set_id}/report/mine").status_code == 404
    )


def test_texts_of_readers_are_never_markup(desk):
    set_id = a_read_set(desk, SEEING[:2], comments=["<img src=x onerror=alert(1)>"])
    with desk.write() as session:
        for item in session.scalars(select(SetItem)).all():
            item.label = f"{item.label} $<b>"
    here = browser(desk, role="researcher")
    page = here.get(f"/sets/{set_id}/report")
    assert "<img src=x" not in page.text
    assert "&lt;img src=x" in page.text
    assert "style=" not in page.text
    assert "<script" not in page.text
    figure = here.get(f"/sets/{set_id}/report/figures/approval")
    assert figure.status_code == 200
    assert b"<b>" not in figure.content
