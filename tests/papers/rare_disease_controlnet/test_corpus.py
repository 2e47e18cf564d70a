"""Films, decisions and snapshots, on SQLite and on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from sqlalchemy import delete, select, text, update

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.check import check
from papers.rare_disease_controlnet.corpus.corpus import keep, open_corpus
from papers.rare_disease_controlnet.corpus.decisions import (
    LONGEST,
    decide,
    films,
    standing_by_file,
    standing_decisions,
)
from papers.rare_disease_controlnet.corpus.queue import enqueue
from papers.rare_disease_controlnet.corpus.snapshots import content_hash, films_of, freeze
from papers.rare_disease_controlnet.corpus.tables import (
    AUTOMATIC,
    Decision,
    Film,
    Job,
    Snapshot,
    SnapshotFilm,
)
from tests.papers.rare_disease_controlnet.corpus_made_up import (
    filled,
    film,
    new_database,
    postgresql,
    taken,
)


@pytest.fixture(scope="module")
def server():
    with postgresql() as folder:
        yield folder


@pytest.fixture(params=["sqlite", "postgresql"])
def corpus(request, tmp_path):
    own = None if request.param == "sqlite" else new_database(request.getfixturevalue("server"))
    return open_corpus(tmp_path / "corpus", own)


def say(corpus, key, verdict, kind="reading", reviewer="reader 1", **more):
    with corpus.write() as session:
        return decide(session, key, reviewer=reviewer, kind=kind, verdict=verdict, **more).id


def keys(corpus, standing=None):
    with corpus.read() as session:
        return [one.id for one in films(session, standing)]


def test_a_film_is_kept_with_its_file(corpus):
    claimed, (content, lineage) = taken(corpus), film(0)
    key = keep(corpus, claimed, 0, content, lineage)
    with corpus.read() as session:
        row = session.get_one(Film, key)
    assert corpus.store.get(row.sha256) == content
    assert (row.job_id, row.number, row.label) == (claimed.job, 0, "pneumothorax")
    assert (row.seed, row.height, row.width) == (2**32 - 1, 8, 8)
    assert row.lineage == lineage.dumps()
    assert check(corpus) == []


def test_a_film_needs_its_own_lineage(corpus):
    claimed = taken(corpus)
    with pytest.raises(InputError, match=r"film 3 of job 1: its SHA-256 is \w{64}, the lineage"):
        keep(corpus, claimed, 3, film(0)[0], film(1)[1])
    with pytest.raises(InputError, match="film 3 of job 1: expected a PNG file of 8-bit gray"):
        keep(corpus, claimed, 3, b"GIF89a", film(1)[1])
    assert keys(corpus) == []


def test_a_film_is_accepted_where_nobody_who_decided_rejects_it(corpus):
    a, b, c, d = filled(corpus, 4)
    say(corpus, a, "accepted")
    say(corpus, a, "accepted", reviewer="reader 2")
    say(corpus, b, "accepted")
    rule = say(corpus, b, "rejected", "copy", AUTOMATIC)
    say(corpus, c, "rejected", score=1, reasons=["wires"], comment="no such clavicle")
    assert keys(corpus, "accepted") == [a]
    assert keys(corpus, "rejected") == [b, c]
    assert keys(corpus, "undecided") == [d]
    assert keys(corpus) == [a, b, c, d]
    say(corpus, b, "accepted", "overruled", "admin", supersedes=rule)
    assert keys(corpus, "accepted") == [a, b]


def test_ones_own_later_decision_takes_the_place_of_the_earlier_one(corpus):
    (key,) = filled(corpus, 1)
    first = say(corpus, key, "accepted")
    other = say(corpus, key, "rejected", reviewer="reader 2")
    second = say(corpus, key, "rejected")
    rule = say(corpus, key, "accepted", "edges", "reader 1")  # of another kind: both stand
    with corpus.read() as session:
        assert [one.id for one in standing_decisions(session, key)] == [other, second, rule]
        assert session.get_one(Decision, second).supersedes == first
        assert session.get_one(Decision, first).verdict == "accepted"
    say(corpus, key, "withdrawn")
    say(corpus, key, "withdrawn", reviewer="reader 2")
    assert keys(corpus, "accepted") == [key]
    say(corpus, key, "withdrawn", "edges")
    assert keys(corpus, "undecided") == [key]


def test_two_decisions_at_once_are_made_one_after_the_other(corpus):
    (key,) = filled(corpus, 1)
    with ThreadPoolExecutor() as pool:
        with corpus.write() as session:
            first = decide(session, key, reviewer="r", kind="reading", verdict="accepted").id
            later = pool.submit(say, corpus, key, "rejected", reviewer="r")
            assert wait([later], timeout=0.2).not_done
        second = later.result()
    with corpus.read() as session:
        assert session.get_one(Decision, second).supersedes == first


def test_films_of_the_same_bytes_share_their_verdict(corpus):
    (one,), (other,) = filled(corpus, 1), filled(corpus, 1)
    assert one != other
    say(corpus, other, "accepted")
    assert keys(corpus, "accepted") == [one]
    say(corpus, one, "rejected", reviewer="reader 2")
    assert (keys(corpus, "accepted"), keys(corpus, "rejected")) == ([], [one])
    with corpus.read() as session:
        assert [len(each) for each in standing_by_file(session).values()] == [2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": 0}, "film 1: score 0, expected from 1 to 5"),
        ({"score": 6}, "film 1: score 6, expected from 1 to 5"),
        ({"comment": "x" * (LONGEST + 1)}, "film 1: a comment of 4001 characters, expected at"),
        ({"comment": "a\0b"}, "film 1: a comment of 3 characters, .* no NUL"),
        ({"supersedes": 7}, r"film 1: decision 7 is none of those that stand \(1\); look again"),
    ],
)
def test_a_decision_out_of_range_is_refused(corpus, change, message):
    (key,) = filled(corpus, 1)
    say(corpus, key, "accepted")
    with pytest.raises(InputError, match=message):
        say(corpus, key, "rejected", **change)
    with pytest.raises(InputError, match="film 99: there is no such film"):
        say(corpus, 99, "rejected")
    assert keys(corpus, "accepted") == [key]


def test_a_decision_is_superseded_once(corpus):
    (key,) = filled(corpus, 1)
    first = say(corpus, key, "rejected")
    second = say(corpus, key, "accepted", reviewer="admin", supersedes=first)
    with pytest.raises(InputError, match=rf"decision {first} is none of those that stand"):
        say(corpus, key, "rejected", reviewer="other", supersedes=first)
    with pytest.raises(InputError, match="somebody else was first"), corpus.write() as session:
        session.add(
            Decision(film_id=key, reviewer="x", kind="x", verdict="rejected", supersedes=first)
        )
    with corpus.read() as session:
        assert [one.id for one in standing_decisions(session, key)] == [second]


def test_the_database_itself_refuses_what_is_out_of_range(corpus):
    (key,) = filled(corpus, 1)
    with pytest.raises(InputError, match="score"), corpus.write() as session:
        session.add(Decision(film_id=key, reviewer="x", kind="x", verdict="rejected", score=6))
    with pytest.raises(InputError, match=r"(?i)foreign key"), corpus.write() as session:
        session.add(Decision(film_id=99, reviewer="x", kind="x", verdict="rejected"))
    with pytest.raises(InputError, match=r"(?i)constraint.*state"), corpus.write() as session:
        session.execute(text("UPDATE jobs SET state = 'lost'"))


def test_decisions_and_snapshots_are_only_added_to(corpus):
    (key,) = filled(corpus, 1)
    say(corpus, key, "accepted")
    with corpus.write() as session:
        freeze(session, "first", "me")
    for change in (
        update(Decision).values(verdict="rejected"),
        delete(Decision),
        update(Snapshot).values(name="other"),
        delete(SnapshotFilm),
    ):
        with (
            pytest.raises(InputError, match="rows are only ever added; decide anew"),
            corpus.write() as session,
        ):
            session.execute(change)
    assert keys(corpus, "accepted") == [key]


def test_a_snapshot_stays_what_it_was(corpus):
    a, b, c = filled(corpus, 3)
    with (
        pytest.raises(InputError, match="snapshot 'v1': no film is accepted; decide about some"),
        corpus.write() as session,
    ):
        freeze(session, "v1", "me")
    say(corpus, a, "accepted")
    say(corpus, c, "accepted")
    with corpus.write() as session:
        content = freeze(session, "v1", "me").content
    say(corpus, a, "rejected")
    say(corpus, b, "accepted")
    with corpus.read() as session:
        members = films_of(session, "v1")
        assert [one.id for one in members] == [a, c]
        assert content_hash(reversed(members)) == content
        with pytest.raises(InputError, match=r"snapshot 'v2': there is no such .*choose one of v1"):
            films_of(session, "v2")
    with (
        pytest.raises(InputError, match="snapshot 'v1': is there already and never changes"),
        corpus.write() as session,
    ):
        freeze(session, "v1", "me")
    with corpus.write() as session:
        assert freeze(session, "v2", "me").content != content


def test_what_fails_within_a_block_leaves_nothing(corpus):
    def half(session):
        enqueue(session, {}, asked_by="me")
        raise RuntimeError

    with pytest.raises(RuntimeError), corpus.write() as session:
        half(session)
    with corpus.read() as session:
        enqueue(session, {}, asked_by="me")
    with corpus.read() as session:
        assert session.scalars(select(Job)).all() == []


def test_who_reads_waits_for_nobody_who_writes_and_the_other_way_round(corpus):
    with corpus.read() as reading:
        assert reading.scalars(select(Job)).all() == []
        with corpus.write() as writing:
            enqueue(writing, {}, asked_by="me")
            assert reading.scalars(select(Job)).all() == []
    with corpus.read() as reading:
        assert len(reading.scalars(select(Job)).all()) == 1
