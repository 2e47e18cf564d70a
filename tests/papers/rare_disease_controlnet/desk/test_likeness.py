"""The gate: copies, and what was never compared, do not enter a snapshot and do not leave."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, a_user, browser  # isort: skip

import threading
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import select, text

from common.errors import InputError
from common.pipeline.trained import find
from papers.rare_disease_controlnet import review
from papers.rare_disease_controlnet.config import Config, ReviewConfig
from papers.rare_disease_controlnet.corpus import png, snapshots
from papers.rare_disease_controlnet.corpus.decisions import decide
from papers.rare_disease_controlnet.corpus.snapshots import films_of
from papers.rare_disease_controlnet.corpus.tables import Film, Snapshot
from papers.rare_disease_controlnet.desk.release import gate, likeness, retraining
from papers.rare_disease_controlnet.desk.release.likeness import Training
from papers.rare_disease_controlnet.desk.tables import Likeness
from papers.rare_disease_controlnet.study import STUDY
from tests.papers.rare_disease_controlnet.corpus_made_up import (
    LINEAGE,
    new_database,
    postgresql,
)
from tests.papers.rare_disease_controlnet.desk import release_made_up
from tests.papers.rare_disease_controlnet.desk.release_made_up import (
    SIDE,
    accepted,
    close,
    compared,
    drawn,
    film,
    image,
    read,
)
from tests.papers.rare_disease_controlnet.reviewed_made_up import as_if_trained

FILMS = np.stack([image(5000 + number) for number in range(7)])
TRAINING = Training(LINEAGE.engine.data, FILMS, threshold=10.0)


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


def near(number: int, levels: int) -> np.ndarray:
    """Return a training film, changed by so many gray levels everywhere."""
    one = FILMS[number].astype(int)
    return np.where(one > 127, one - levels, one + levels).astype(np.uint8)


def likeness_of(desk, key: int) -> Likeness | None:
    with desk.read() as session:
        return session.get(Likeness, film(desk, key).sha256)


@pytest.mark.parametrize("pixels", [2**26, 3 * SIDE**2, 1])
def test_the_nearest_film_is_the_nearest_of_all(pixels, monkeypatch):
    monkeypatch.setattr(likeness, "_PIXELS", pixels)  # so many at a time
    asked = np.stack([near(4, 5), near(1, 9), image(1), FILMS[6]])
    index, distance = likeness.nearest(asked, FILMS)
    each = [np.sqrt(((one.astype(float) - FILMS) ** 2).mean((1, 2))) for one in asked]
    assert index.tolist() == [int(one.argmin()) for one in each]
    np.testing.assert_allclose(distance, [one.min() for one in each], rtol=1e-5, atol=1e-5)
    assert distance[:2] == pytest.approx([5, 9])
    assert distance[3] == 0


def test_the_limit_is_that_of_the_automatic_reviewer():
    config, others = ReviewConfig(copy=0.2), np.stack([image(100 + n) for n in range(9)])
    ours = likeness.threshold(config, others, FILMS)
    assert ours == pytest.approx(255 * review.copy_distance(config, others, FILMS))


def test_a_film_is_compared_once_and_its_nearest_is_kept(desk):
    a, b = drawn(desk, 2, images=[near(3, 6), image(1)])
    names = [film(desk, key).sha256 for key in (a, b)]
    assert likeness.note(desk, TRAINING, names) == 2
    found = likeness_of(desk, a)
    assert (found.distance, found.threshold) == (pytest.approx(6), 10.0)
    np.testing.assert_array_equal(png.decoded(desk.store.get(found.nearest), "film"), FILMS[3])
    assert likeness_of(desk, b).distance > 50
    assert likeness.note(desk, TRAINING, names) == 0
    assert likeness.note(desk, None, names) == 0


def test_two_who_compare_at_once_agree(desk):
    names = [film(desk, key).sha256 for key in drawn(desk, 6)]
    failed, start = [], threading.Barrier(3)

    def compare() -> None:
        start.wait()
        try:
            likeness.note(desk, TRAINING, names)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=compare) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with desk.read() as session:
        assert session.query(Likeness).count() == 6


def test_films_of_an_engine_of_other_data_stay_not_compared(desk):
    (key,) = drawn(desk, 1)
    other = Training("ab" * 32, FILMS, 10.0)
    assert likeness.note(desk, other, [film(desk, key).sha256]) == 0
    with desk.read() as session:
        assert likeness.missing(session, "ab" * 32) == []
        assert likeness.missing(session, TRAINING.data) == [film(desk, key).sha256]


def test_a_film_that_somebody_brought_may_be_copied_too(desk):
    brought = desk.store.put(png.encoded(image(77)))
    copy = image(77).copy()
    copy[0, 0] ^= 255  # all but one pixel of it
    (key,) = drawn(desk, 1, images=[copy], structure=brought)
    likeness.note(desk, TRAINING, [film(desk, key).sha256])
    found = likeness_of(desk, key)
    assert found.nearest == brought
    assert found.distance < 10
    (source,) = drawn(desk, 1, first=300)  # a film that an engine drew is nobody's
    (other,) = drawn(desk, 1, images=[image(300) ^ 1], structure=film(desk, source).sha256)
    likeness.note(desk, TRAINING, [film(desk, other).sha256])
    assert likeness_of(desk, other).distance > 10


def test_films_of_another_size_are_compared_at_the_engines(desk):
    large = np.kron(FILMS[2], np.ones((2, 2), np.uint8))
    (key,) = drawn(desk, 1, images=[large])
    likeness.note(desk, TRAINING, [film(desk, key).sha256])
    assert likeness_of(desk, key).distance == pytest.approx(0, abs=0.5)


def test_copies_and_what_was_never_compared_enter_no_snapshot(desk):
    free, copy, never, edge = keys = drawn(desk, 4)
    compared(desk, [free])
    compared(desk, [copy], distance=9.9)
    compared(desk, [edge], distance=10.0)  # not farther than the limit
    close(desk, read(desk, keys, {"rosalind": [("legitimate", 5)] * 4}))
    with desk.write() as session:
        made = gate.freeze(session, "v1", "ada")
        assert [one.id for one in films_of(session, "v1")] == [free]
    held = text(
        "SELECT count(*) FROM snapshot_films s JOIN films f ON f.id = s.film_id "
        "LEFT JOIN likenesses l ON l.sha256 = f.sha256 "
        "WHERE l.sha256 IS NULL OR l.distance <= l.threshold"
    )
    with desk.read() as session:
        assert session.scalar(held) == 0
        assert session.scalar(text("SELECT count(*) FROM snapshot_films")) == 1
        assert made.content == snapshots.content_of([film(desk, free).sha256])
    states = {gate.state_of(session, film(desk, key)) for key in (copy, never, edge)}
    assert states == {"held"}


def test_a_snapshot_of_copies_alone_is_refused_with_the_reason(desk):
    keys = drawn(desk, 2)
    compared(desk, keys[:1], distance=1.0)
    close(desk, read(desk, keys, {"rosalind": [("legitimate", 5)] * 2}))
    with (
        pytest.raises(InputError, match="all 2 accepted films are held back"),
        desk.write() as session,
    ):
        gate.freeze(session, "v1", "ada")
    with desk.read() as session:
        assert session.query(Snapshot).count() == 0


def test_what_was_frozen_around_the_gate_does_not_leave(desk):
    keys = accepted(desk, 2)
    (copy,) = drawn(desk, 1, first=50)
    with desk.write() as session:
        decide(session, copy, reviewer="r", kind="rule", verdict="accepted")
        made = snapshots.freeze(session, "around", "somebody")
        assert len(films_of(session, "around")) == len(keys) + 1
    user = a_user(desk, "ada", "admin")
    held = pytest.raises(InputError, match="1 of its films are copies or were never")
    with held, desk.write() as session:
        retraining.ask(session, session.get(Snapshot, made.id), user)
    here = browser(desk, "ada", "admin")
    answer = here.post(f"/corpus/snapshots/{made.id}/download")
    assert answer.status_code == 422
    assert "never compared" in answer.text
    assert b"PNG" not in answer.content


def test_every_film_is_in_one_state(desk):
    keys = drawn(desk, 9)
    for number, distance in enumerate((30.0, 30.0, 30.0, 2.0, 2.0, 2.0)):
        compared(desk, keys[number : number + 1], distance)
    for number, key in enumerate(keys):
        verdict = (None, "accepted", "rejected")[number % 3]
        if verdict:
            with desk.write() as session:
                decide(session, key, reviewer="r", kind="reading", verdict=verdict)
    with desk.read() as session:
        found = {
            state: [one - keys[0] for one in session.scalars(
                select(Film.id).where(gate.is_in(state)).order_by(Film.id))]
            for state in ("accepted", "undecided", "rejected", "held")
        }  # fmt: skip
        for number, key in enumerate(keys):
            assert number in found[gate.state_of(session, film(desk, key))]
    # compared and free, a copy, never compared: each undecided, accepted, rejected
    assert found == {"accepted": [1], "undecided": [0, 6], "rejected": [2, 5, 8], "held": [3, 4, 7]}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return a home with a run whose engine is as if it were trained, the run, and its data."""
    home = tmp_path_factory.mktemp("study")
    return home, *as_if_trained(home)


@pytest.fixture
def own(study, monkeypatch):
    """Return the engine of the run, whose home is ours."""
    monkeypatch.setenv("REPLICATIONS_HOME", str(study[0]))
    monkeypatch.setattr(likeness, "_looked", {})
    return find(study[1].seed_folder(0), STUDY.name, Config())


def test_the_engines_data_gives_the_films_to_compare_with(own, study):
    _, _, prepared = study
    training = likeness.training_of(own)
    assert training.data == prepared.content_hash
    assert training.films.shape == (prepared.sizes["train"], 32, 32)
    assert 0 < training.threshold < 255
    assert likeness.training_of(replace(own, content_hash="ab" * 32)) is None


def test_films_that_were_not_compared_are_when_the_worker_rests(own, study, desk, monkeypatch):
    drawn(desk, 1, images=[image(1, 32)])  # of an engine of other data
    assert not retraining.work_once(desk, "w1")
    learned = replace(LINEAGE, engine=replace(LINEAGE.engine, data=study[2].content_hash))
    monkeypatch.setattr(release_made_up, "LINEAGE", learned)
    (key,) = drawn(desk, 1, images=[image(2, 32)], first=5)
    assert not retraining.work_once(desk, "w1")  # it has just looked
    likeness._looked.clear()
    assert retraining.work_once(desk, "w1")
    with desk.read() as session:
        (found,) = session.query(Likeness)
        assert found.sha256 == session.get(Film, key).sha256
    assert found.distance > 0
