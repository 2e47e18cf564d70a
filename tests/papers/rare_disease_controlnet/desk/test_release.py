"""Pages of the corpus, its snapshots and their impact; what is not kept for ever."""

from tests.papers.rare_disease_controlnet.desk.made_up import (  # isort: skip
    a_desk,
    a_user,
    browser,
)

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import update

from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.tables import Snapshot
from papers.rare_disease_controlnet.desk.release import chart, gate, results, shelf
from papers.rare_disease_controlnet.desk.tables import (
    AuditEntry,
    JobDetail,
    Reader,
    Retraining,
)
from tests.papers.rare_disease_controlnet.desk.release_made_up import (
    accepted,
    close,
    compared,
    drawn,
    film,
    image,
    read,
)

DEMO = Path(results.__file__).parents[2] / "results" / "demo"
GOOD, BAD = ("legitimate", 4), ("artefacted", 1, ["bones"], "<script>alert(1)</script> ribs")


@pytest.fixture
def desk(tmp_path):
    return a_desk(tmp_path)


@pytest.fixture
def researcher(desk):
    return browser(desk, "kim", "researcher")


def test_the_web_does_without_jax_which_would_take_a_gpus_memory():
    code = "import sys, papers.rare_disease_controlnet.desk.app; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def shown(page: str) -> list[int]:
    """Return the films of a page, in order."""
    return [int(number) for number in re.findall(r'<a href="/corpus/films/(\d+)">', page)]


def test_films_are_shown_by_state_and_label_with_their_scores(desk, researcher):
    a, b, c = keys = drawn(desk, 3)
    (other,) = drawn(desk, 1, first=20, label="effusion")
    compared(desk, [a, b, c])
    compared(desk, [other], distance=2.0)
    close(desk, read(desk, keys[:2], {"rosalind": [GOOD, BAD], "marie": [("legitimate", 5), GOOD]}))
    assert shown(researcher.get("/corpus").text) == [a]
    assert "score 4.5" in researcher.get("/corpus").text
    rejected = researcher.get("/corpus?state=rejected").text
    assert shown(rejected) == [b]
    assert "<span>1:1</span>" in rejected
    assert shown(researcher.get("/corpus?state=undecided").text) == [c]
    held = researcher.get("/corpus?state=held").text
    assert shown(held) == [other]
    assert "too near" in held
    assert shown(researcher.get("/corpus?state=held&label=pneumothorax").text) == []
    assert shown(researcher.get("/corpus?state=held&label=effusion").text) == [other]
    assert researcher.get("/corpus?state=dropped").status_code == 422


def test_pages_have_so_many_films(desk, researcher):
    keys = drawn(desk, shelf.PAGE + 3)
    first = researcher.get("/corpus?state=undecided").text
    assert shown(first) == keys[:2:-1]
    assert "Page 1 of 2" in first
    assert shown(researcher.get("/corpus?state=undecided&number=2").text) == keys[2::-1]
    assert shown(researcher.get("/corpus?state=undecided&number=9").text) == []


def test_a_film_tells_how_it_came_to_be_and_what_was_said(desk, researcher):
    structure = desk.store.put(png.encoded(image(4)))
    (key,) = drawn(desk, 1, first=7, structure=structure)
    compared(desk, [key], distance=4.25)
    close(desk, read(desk, [key], {"rosalind": [BAD], "marie": [GOOD], "lise": [BAD]}))
    page = researcher.get(f"/corpus/films/{key}").text
    for told in (
        "pneumothorax on the left of extent 0.25", f"the edges of film {structure[:12]}…",
        "20 steps of UniPC, guidance 7.5, seed 7", "asked for by artemisia",
        "2 of 3 readers say artefacted", "<div>bones</div>", "Too near:", "4.2 of 255",
        "drawn again already",
    ):  # fmt: skip
        assert told in page, told
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; ribs" in page
    for name, image_ in (("image", image(7)), ("nearest", image(9999))):
        answer = researcher.get(f"/corpus/films/{key}/{name}")
        assert answer.headers["content-type"] == "image/png"
        assert (png.decoded(answer.content, name) == image_).all()
    assert researcher.get("/corpus/films/999").status_code == 404
    assert researcher.get(f"/corpus/films/{2**40}").status_code == 404


def test_what_takes_its_place_is_found_from_either(desk, researcher):
    (key,) = drawn(desk, 1)
    close(desk, read(desk, [key], {"rosalind": [BAD]}))
    with desk.read() as session:
        job = session.query(JobDetail).filter(JobDetail.parent == key).one().job_id
    assert f'<a href="/jobs/{job}">job {job}</a>, not drawn yet' in (
        researcher.get(f"/corpus/films/{key}").text
    )
    (child,) = drawn(desk, 1, first=90)  # as if of that job
    with desk.write() as session:
        session.execute(
            update(JobDetail)
            .where(JobDetail.job_id == film(desk, child).job_id)
            .values(parent=key, generation=1)
        )
    page = researcher.get(f"/corpus/films/{child}").text
    assert f'<a href="/corpus/films/{key}">film {key}</a>, drawn again for the 1st time' in page


def test_a_held_back_film_is_drawn_again_by_its_button(desk, researcher):
    (key,) = drawn(desk, 1)
    compared(desk, [key], distance=1.0)
    answer = researcher.post(f"/corpus/films/{key}/again")
    assert answer.status_code == 303
    with desk.read() as session:
        job = session.query(JobDetail).filter(JobDetail.parent == key).one().job_id
        entry = session.query(AuditEntry).filter_by(action="film drawn again").one()
    assert answer.headers["location"] == f"/jobs/{job}"
    assert (entry.actor, entry.subject) == ("kim", f"film {key}")
    assert researcher.post(f"/corpus/films/{key}/again").status_code == 422


def test_an_admin_withdraws_a_film_and_takes_that_back(desk, researcher):
    (key,) = accepted(desk, 1)
    assert researcher.post(f"/corpus/films/{key}/withdraw", {"reason": "x"}).status_code == 403
    assert "Withdraw" not in researcher.get(f"/corpus/films/{key}").text
    admin = browser(desk, "ada", "admin")
    assert admin.post(f"/corpus/films/{key}/withdraw", {"reason": " "}).status_code == 422
    told = {"reason": "an ID is burned in"}
    assert admin.post(f"/corpus/films/{key}/withdraw", told).status_code == 303
    with desk.read() as session:
        assert gate.state_of(session, film(desk, key)) == "rejected"
        (entry,) = session.query(AuditEntry).filter_by(action="film withdrawn")
    assert "burned" not in entry.detail
    assert "an ID is burned in" in admin.get(f"/corpus/films/{key}").text
    assert admin.post(f"/corpus/films/{key}/restore").status_code == 303
    with desk.read() as session:
        assert gate.state_of(session, film(desk, key)) == "accepted"


def test_who_reads_an_open_set_sees_no_synthetic_film(desk):
    keys = accepted(desk, 2)
    one = read(desk, keys, {}, "open")
    here = browser(desk, "kim", "researcher")
    reader = Reader(set_id=one, user_id=a_user(desk, "kim", "researcher").id)
    with desk.write() as session:
        session.add(reader)
    for path in ("/corpus", f"/corpus/films/{keys[0]}", f"/corpus/films/{keys[0]}/image",
                 f"/corpus/films/{keys[0]}/nearest", "/corpus/snapshots", "/impact"):  # fmt: skip
        answer = here.get(path)
        assert answer.status_code == 403, path
        assert "still open" in answer.text
    close(desk, one)
    assert here.get("/corpus").status_code == 200


def test_reviewers_see_nothing_of_it(desk):
    (key,) = accepted(desk, 1)
    here = browser(desk, "rosalind", "reviewer")
    for path in ("/corpus", f"/corpus/films/{key}", f"/corpus/films/{key}/image",
                 "/corpus/snapshots", "/impact"):  # fmt: skip
        assert here.get(path).status_code == 403, path


def test_a_snapshot_is_frozen_by_name(desk, researcher):
    accepted(desk, 3)
    assert "Freeze 3 films" in researcher.get("/corpus/snapshots").text
    assert researcher.post("/corpus/snapshots", {"name": " autumn  2026 "}).status_code == 303
    page = researcher.get("/corpus/snapshots").text
    assert "<h3>autumn 2026</h3>" in page
    assert "3 films" in page
    for name in ("", "a/b", "<b>", "x" * 65, "autumn 2026"):
        assert researcher.post("/corpus/snapshots", {"name": name}).status_code == 422, name
    with desk.read() as session:
        assert session.query(Snapshot).count() == 1
        (entry,) = session.query(AuditEntry).filter_by(action="snapshot frozen")
    assert json.loads(entry.detail)["films"] == 3


def test_impact_shows_no_results_until_there_are_some(desk, researcher):
    assert "No results yet" in researcher.get("/impact").text
    accepted(desk, 1)
    researcher.post("/corpus/snapshots", {"name": "v1"})
    answer = researcher.post("/impact", {"snapshot": "1"})
    assert answer.headers["location"] == "/impact/1"
    assert researcher.post("/impact", {"snapshot": "1"}).status_code == 422  # it waits already
    assert researcher.post("/impact", {"snapshot": "7"}).status_code == 404
    page = researcher.get("/impact/1").text
    assert "No results yet" in page
    assert "F1 of the rare finding" not in page
    with desk.write() as session:
        session.execute(update(Retraining).values(state="running", stage="3 of 9: train x, seed 1"))
    told = researcher.get("/impact/1/progress").json()
    assert told == {"state": "running", "done": 3, "total": 9, "stage": "train x, seed 1"}
    other = browser(desk, "lee", "researcher")
    assert other.post("/impact/1/stop").status_code == 403
    assert researcher.post("/impact/1/stop").status_code == 303
    assert "stopped by kim" in researcher.get("/impact/1").text
    assert researcher.post("/impact/1/stop").status_code == 422
    assert researcher.get("/impact/2").status_code == 404


def test_impact_shows_the_studys_own_numbers_and_verdicts(desk, researcher):
    accepted(desk, 1)
    researcher.post("/corpus/snapshots", {"name": "v1"})
    researcher.post("/impact", {"snapshot": "1"})
    found = results.summary(DEMO, 0)
    with desk.write() as session:
        session.execute(update(Retraining).values(state="done", metrics=json.dumps(found)))
    seeds = json.loads((DEMO / "metrics.json").read_text())["seeds"]
    page = researcher.get("/impact/1").text
    for seed in seeds.values():
        for arm in ("real", "augmented", "selected", "upper"):
            value = seed["classifiers"][f"{arm}_24"]["rare_f1"]
            assert f'<td class="number">{value:.3f}</td>' in page
    verdicts = (DEMO / "tables" / "claims.md").read_text()
    for claim in found["claims"]:
        assert claim["text"] in verdicts
        assert re.search(rf"{re.escape(claim['text'])}.*{claim['word']}", verdicts)
        assert claim["word"] in page
    assert "drawn by the engine of seed 0" in page
    assert page.count("<circle") == 3 * len(found["arms"])


def test_numbers_that_are_not_there_are_no_dots():
    found = results.summary(DEMO, 0)
    found["arms"] = {"real": {"rare_f1": [None, 0.5, None]}, "upper": {"rare_f1": [None] * 3}}
    drawn_ = chart.of(found)
    assert [len(arm.dots) for arm in drawn_.arms] == [1, 0]
    assert drawn_.arms[1].mean is None
    assert chart.of(found | {"arms": {}}).arms == ()
