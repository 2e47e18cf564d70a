"""Sets: filled, refused to those who know too much, opened, frozen and closed."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, a_user, browser  # isort: skip

import io

import pytest
from PIL import Image
from sqlalchemy import select

from common.errors import InputError
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.desk.reading import blinding, opening, sets
from papers.rare_disease_controlnet.desk.settings import Limits
from papers.rare_disease_controlnet.desk.tables import (
    AuditEntry,
    Presentation,
    Reader,
    ReadingSet,
    SetItem,
    Upload,
)
from tests.papers.rare_disease_controlnet.desk import made_up_sets as made
from tests.papers.rare_disease_controlnet.film_files import blocks


@pytest.fixture
def desk(tmp_path):
    return a_desk(tmp_path)


def rows(desk, table):
    with desk.read() as session:
        return session.scalars(select(table).order_by(table.id)).all()


def file(name="chest.png", side=40):
    content = io.BytesIO()
    Image.fromarray(blocks(name, side, side)).save(content, "PNG")
    return name, content.getvalue()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("films", "repeats"), [(100, 0.1), (30, 0.5), (12, 0.5), (10, 0.5)])
def test_repeats_come_late_and_every_film_is_shown(films, repeats, seed):
    places = blinding.order(films, repeats, (seed,))
    firsts = {film: place for place, (film, again) in enumerate(places) if not again}
    again = {film: place for place, (film, again) in enumerate(places) if again}
    assert sorted(firsts) == list(range(films))
    assert len(places) == films + len(again)
    assert all(place - firsts[film] >= blinding.GAP for film, place in again.items())
    if films == 100:
        assert len(again) == 10


def test_few_films_have_no_repeats_and_readers_have_other_orders():
    assert len(blinding.order(blinding.GAP - 1, 0.5, (1,))) == blinding.GAP - 1
    assert blinding.order(50, 0.1, (1, 2)) == blinding.order(50, 0.1, (1, 2))
    assert blinding.order(50, 0.1, (1, 2)) != blinding.order(50, 0.1, (1, 3))


def test_repeats_are_spread_over_all_films():
    again = [
        film
        for seed in range(300)
        for film, repeated in blinding.order(40, 0.25, (seed,))
        if repeated
    ]
    assert set(again) == set(range(40))


def test_a_set_is_made_and_read_by_hand(desk):
    made.drawn(desk, 4)
    here = browser(desk, "maker", "researcher")
    reader = a_user(desk, "rosalind", "reviewer")
    form = {"name": "chests", "seed": "3", "repeats": "10", "instructions": "Look."}
    place = here.post("/sets", form).headers["location"]
    assert here.post(f"{place}/synthetic", {"count": "2", "label": made.LABEL}).status_code == 303
    files = [("films", file("a.png")), ("films", file("b.png"))]
    assert here.post(f"{place}/real", {"label": "normal"}, files=files).status_code == 303
    who = {"user": str(reader.id), "experience": "Resident"}
    assert here.post(f"{place}/readers", who).status_code == 303
    assert here.post(f"{place}/open").status_code == 303
    page = here.get(place).text
    assert "2 real, 2 synthetic" in page
    assert "0 of 4" in page
    assert "resident" in page
    sizes = {len(desk.store.get(item.shown)) for item in rows(desk, SetItem)}
    assert len(sizes) == 1
    side, _ = png.shape(desk.store.get(rows(desk, SetItem)[-1].shown), "film")
    assert side == made.SIDE


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"seed": -1}, "seed -1"),
        ({"repeats": 0.6}, "60 %"),
        ({"instructions": "a\0b"}, "instructions"),
    ],
)
def test_what_a_set_cannot_be(desk, values, named):
    with pytest.raises(InputError, match=named):
        made.filled(desk, **values)


def test_who_knows_does_not_read(desk):
    one = made.filled(desk)
    real = rows(desk, SetItem)[-1].source
    bringer = a_user(desk, "bringer", "researcher")
    with desk.write() as session:
        session.add(Upload(sha256=real, owner=bringer.id, name="x", width=1, height=1))
    for name, reason in (
        ("maker", "made this set"),
        (made.ARTIST, "asked for synthetic"),
        ("bringer", "brought real"),
    ):
        person = a_user(desk, name, "researcher")
        with desk.write() as session, pytest.raises(InputError, match=f"{name}: {reason}"):
            sets.add_reader(session, "maker", one, person.id, "")
    boss = a_user(desk, "boss", "admin")
    with desk.write() as session, pytest.raises(InputError, match="no reviewer"):
        sets.add_reader(session, "maker", one, boss.id, "")


def test_films_that_come_after_a_reader_who_asked_for_them_keep_the_set_from_opening(desk):
    one = made.filled(desk)
    late = a_user(desk, "late", "researcher")
    with desk.write() as session:
        sets.add_reader(session, "maker", one, late.id, "")
    made.drawn(desk, 1, owner="late", first=50)
    with desk.write() as session:
        sets.add_synthetic(session, "maker", one, 1)
    with pytest.raises(InputError, match="late: asked for synthetic films"):
        opening.open_set(desk, "maker", one)
    assert rows(desk, ReadingSet)[0].opened is None


def test_who_was_told_in_another_set_does_not_read_the_film_again(desk):
    one = made.opened(desk)
    close(desk, one)
    maker = a_user(desk, "maker", "researcher")
    reader = a_user(desk, "rosalind", "reviewer")
    with desk.write() as session:
        other = sets.create(session, maker, "again", "", 1, 0.0)
    sets.add_real(desk, maker, other.id, [sets.Real(made.image(0, 40), "normal", "0.png")])
    with desk.write() as session, pytest.raises(InputError, match="was told"):
        sets.add_reader(session, "maker", other.id, reader.id, "")


@pytest.mark.parametrize(("real", "synthetic", "lacks"), [(0, 2, "real"), (2, 1, "readers")])
def test_what_is_missing_is_said(desk, real, synthetic, lacks):
    one = made.filled(desk, real, synthetic)
    with pytest.raises(InputError, match=f"needs .*{lacks}"):
        opening.open_set(desk, "maker", one)


def test_an_open_set_does_not_change(desk):
    one = made.opened(desk, repeats=0.1)
    before = [row.token for row in rows(desk, Presentation)]
    maker, item = a_user(desk, "maker", "researcher"), rows(desk, SetItem)[0].id
    real = sets.Real(made.image(99, 40), "normal", "99.png")
    attempts = (
        lambda session: sets.add_synthetic(session, "maker", one, 1),
        lambda session: sets.remove_item(session, one, item),
        lambda session: sets.add_reader(session, "maker", one, maker.id, ""),
        lambda session: sets.remove_reader(session, one, rows(desk, Reader)[0].id),
        lambda session: sets.discard(session, "maker", one),
    )
    for attempt in attempts:
        with desk.write() as session, pytest.raises(InputError, match="was opened"):
            attempt(session)
    with pytest.raises(InputError, match="was opened"):
        sets.add_real(desk, maker, one, [real])
    with pytest.raises(InputError, match="was opened"):
        opening.open_set(desk, "maker", one)
    assert [row.token for row in rows(desk, Presentation)] == before


def test_closing_is_said_to_be_sure_logged_and_told(desk):
    one = made.opened(desk)
    here = browser(desk, "maker", "researcher")
    assert here.post(f"/sets/{one}/close").status_code == 422
    assert rows(desk, ReadingSet)[0].closed is None
    assert here.post(f"/sets/{one}/close", {"sure": "yes"}).status_code == 303
    assert rows(desk, ReadingSet)[0].closed
    assert all(reader.unblinded for reader in rows(desk, Reader))
    assert [entry.actor for entry in rows(desk, AuditEntry) if entry.action == "set closed"] == [
        "maker"
    ]
    assert here.post(f"/sets/{one}/close", {"sure": "yes"}).status_code == 422
    assert "Where they come from" in here.get(f"/sets/{one}").text


def test_a_set_that_is_not_open_is_not_closed_and_can_be_discarded(desk):
    one = made.filled(desk)
    here = browser(desk, "maker", "researcher")
    assert "not open" in here.post(f"/sets/{one}/close", {"sure": "yes"}).text
    assert here.post(f"/sets/{one}/discard").status_code == 303
    assert rows(desk, ReadingSet) == rows(desk, SetItem) == []


def test_a_researcher_who_reads_a_set_does_not_see_what_is_in_it(desk):
    one = made.filled(desk)
    colleague = a_user(desk, "colleague", "researcher")
    with desk.write() as session:
        sets.add_reader(session, "maker", one, colleague.id, "")
    opening.open_set(desk, "maker", one)
    here = browser(desk, "colleague", "researcher")
    item = rows(desk, SetItem)[0].id
    assert here.get(f"/sets/{one}").status_code == 403
    assert here.get(f"/sets/{one}/films/{item}").status_code == 403
    assert here.post(f"/sets/{one}/close", {"sure": "yes"}).status_code == 403
    assert "3" not in here.get("/sets").text.split("<tbody>")[1]
    close(desk, one)
    assert here.get(f"/sets/{one}").status_code == 200


def close(desk, one):
    with desk.write() as session:
        opening.close_set(session, "maker", one, Limits())
