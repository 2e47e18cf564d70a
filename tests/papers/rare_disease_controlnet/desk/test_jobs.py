"""The configurator, the queue's pages and live previews, as researchers meet them."""

from tests.papers.rare_disease_controlnet.desk.made_up import HOME, a_desk, a_user, browser  # isort: skip

import io
import json
import re
import threading
from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from sqlalchemy import delete, select

from common.errors import InputError
from papers.rare_disease_controlnet.config import SynthesisConfig
from papers.rare_disease_controlnet.corpus import png, queue
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.tables import Film, Job
from papers.rare_disease_controlnet.desk.jobs import listing, pace
from papers.rare_disease_controlnet.desk.jobs.asking import ask
from papers.rare_disease_controlnet.desk.jobs.known import STAGE, known, presets
from papers.rare_disease_controlnet.desk.jobs.pace import Speed, in_words
from papers.rare_disease_controlnet.desk.jobs.spec import Asked, bounds, kinds, of_form, of_spec
from papers.rare_disease_controlnet.desk.jobs.worker import work
from papers.rare_disease_controlnet.desk.settings import Limits
from papers.rare_disease_controlnet.desk.tables import (
    JobDetail,
    Pace,
    Preview,
    Reader,
    ReadingSet,
    Upload,
    User,
)
from papers.rare_disease_controlnet.options import PRESETS, Sampling
from tests.papers.rare_disease_controlnet.desk.quick_worker import Quick
from tests.papers.rare_disease_controlnet.film_files import blocks
from tests.papers.rare_disease_controlnet.small_engine import CONFIG, SIZE
from tests.papers.rare_disease_controlnet.small_run import ADAPTED, seed_folder

RARE = CONFIG.data.rare
WISH = {"label": RARE, "seeding": "fixed", "seed": "5", "steps": "20", "count": "2"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a home with what the web looks at of a trained engine."""
    home = tmp_path_factory.mktemp("home")
    seed_folder(home, {ADAPTED: {"nothing": np.zeros(1)}})
    return home


@pytest.fixture
def home(trained, monkeypatch):
    monkeypatch.setenv("REPLICATIONS_HOME", str(trained))
    return trained


@pytest.fixture
def desk(tmp_path, home):
    return a_desk(tmp_path)


@pytest.fixture
def ann(desk):
    return browser(desk, "ann", "researcher")


def film_file(name: str = "film", size: int = 80) -> dict:
    content = png.encoded(blocks(name, size, size))
    return {"film": (f"{name}.png", io.BytesIO(content), "image/png")}


def add(desk, name="ann", **changes) -> int:
    owner = a_user(desk, name, "researcher")
    wish = Asked(**{"label": RARE, "prompt": "a film", "steps": 20} | changes)
    with desk.write() as session:
        return ask(session, wish, owner, Limits()).id


def finish_all(desk, engine=None) -> None:
    stop, engine = Event(), engine or Quick(pause=0)
    engine.rest = lambda name, stopped: bool(stop.set())
    work(desk, engine, "worker", stop, pause=0.01)


def spec_of(desk, number=1) -> Asked:
    with desk.read() as session:
        return of_spec(json.loads(session.get_one(Job, number).spec))


# what can be asked


def test_bounds_and_choices_are_those_of_the_command_line():
    assert (bounds("guidance"), bounds("steps"), bounds("strength")) == ((1, 30), (10, 100), (0, 2))
    sampling = {**Sampling.__annotations__}
    for name in ("unipc", "ddim", "pndm"):
        assert name in sampling["sampler"]
        assert name in str(kinds()["sampler"])
        replace(SynthesisConfig(), sampler=name)
    assert presets() == {name: values for name, values in PRESETS.items() if name}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"guidance": "31"}, "guidance = 31.0: expected from 1 to 30"),
        ({"guidance": "0.9"}, "guidance = 0.9: expected from 1 to 30"),
        ({"steps": "9"}, "steps = 9: expected from 10 to 100"),
        ({"steps": "ten"}, 'steps = "ten": must be a whole number'),
        ({"seed": "-1"}, "seed = -1: expected from 0 to"),
        ({"seed": "4294967295"}, "seed 4294967295: the last of 2 would be above 4294967295"),
        ({"strength": "2.1"}, "strength = 2.1: expected from 0 to 2"),
        ({"sampler": "euler"}, 'sampler = "euler": not a valid value'),
        ({"control": "canny"}, "control canny: choose or upload a film"),
        ({"control": "pose"}, 'control = "pose": not a valid value'),
        ({"label": "normal", "side": "left"}, "side left: a normal film has no finding"),
        ({"label": "normal", "extent": "0.5"}, "extent 0.5: a normal film has no finding"),
        ({"label": ""}, "label: missing; choose a finding, or normal"),
        ({"extent": "nan"}, "extent = nan: must be a number"),
        ({"prompt": "a" * 501}, "prompt: 501 characters, expected at most 500"),
        ({"negative": "no\0thing"}, "negative = .*: expected one line"),
        ({"prompt": "\ud800"}, "prompt = .*: expected one line"),
        ({"count": "0"}, "count = 0: expected at least 1"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(changes, line):
    with pytest.raises(InputError, match=line) as error:
        of_form(WISH | changes, 0, None)
    assert "\n" not in str(error.value)


def test_a_spec_survives_the_queue_and_a_foreign_one_is_refused():
    wish = of_form(WISH | {"prompt": " two \r\n lines ", "side": "left", "extent": "0.5"}, 0, None)
    assert (wish.prompt, wish.seed) == ("two lines", 5)
    assert of_spec(json.loads(json.dumps(wish.spec()))) == wish
    assert of_form(WISH | {"seeding": "new"}, 99, None).seed == 99
    with pytest.raises(InputError, match="fields: the desk knows no such wish"):
        of_spec({"fields": 1})
    with pytest.raises(InputError, match="prompt: missing"):
        of_spec({"label": RARE})


def test_a_depth_map_is_followed_only_by_an_engine_that_learned_depth(desk):
    engine = known(desk)
    assert engine.controls == ("none", "canny")
    own = replace(engine.config.engine, weights="sd15")
    for name, controls in (
        ("canny", ("canny",)),
        ("my-depth", ("depth",)),
        ("my", ("canny", "depth")),
    ):
        config = replace(engine.config, engine=replace(own, controlnet=name))
        other = replace(engine, trained=replace(engine.trained, config=config))
        assert other.controls == ("none", *controls)
    wish = Asked(RARE, "a film", control="depth", structure="0" * 64)
    with pytest.raises(InputError, match="control depth: the ControlNet of this engine never"):
        engine.check(wish)
    with pytest.raises(InputError, match="label nodule: not learned"):
        engine.check(replace(wish, label="nodule"))


# the configurator


def test_a_newcomer_queues_a_job_with_what_the_form_has(desk, ann):
    page = ann.get("/jobs/new").text
    chosen = dict(re.findall(r'type="radio" name="(\w+)" value="([^"]*)" checked', page))
    assert chosen == {
        "label": RARE, "side": "", "extent": "", "control": "none", "sampler": "unipc",
        "seeding": "new",
    }  # fmt: skip
    assert 'placeholder="frontal chest X-ray showing pneumothorax &lt;pneumothorax&gt;"' in page
    answer = ann.post("/jobs", chosen)
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs/1")
    wish = spec_of(desk)
    assert wish.prompt == "frontal chest X-ray showing pneumothorax <pneumothorax>"
    assert (wish.count, wish.control, wish.structure) == (1, "none", None)
    assert "job 1" in ann.get("/jobs/1").text


def test_what_is_wrong_is_said_on_the_form_and_nothing_is_lost(desk, ann):
    answer = ann.post("/jobs", WISH | {"guidance": "99", "prompt": 'my "own" <words>'})
    assert answer.status_code == 422
    assert "guidance = 99.0: expected from 1 to 30" in answer.text
    assert "my &#34;own&#34; &lt;words&gt;</textarea>" in answer.text
    assert 'name="count" min="1" max="64" step="1" value="2"' in answer.text
    assert ann.post("/jobs", WISH | {"count": "65"}).status_code == 422
    assert ann.post("/jobs", WISH | {"label": "nodule"}).status_code == 422
    with desk.read() as session:
        assert session.scalars(select(Job)).all() == []


def test_the_outlook_tells_prompt_time_and_problem(desk, ann):
    def told(**changes):
        return ann.get("/jobs/outlook", params=WISH | changes).json()

    assert told(side="left", extent="0.17") == {
        "prompt": "frontal chest X-ray showing small pneumothorax on the left <pneumothorax>",
        "time": "",
        "problem": "",
    }
    assert told(label="normal")["prompt"] == "frontal chest X-ray without a finding <normal>"
    assert told(guidance="31")["problem"] == "guidance = 31.0: expected from 1 to 30"
    wish = of_form(WISH, 0, None)
    with desk.write() as session:
        pace.note(session, known(desk).work(wish), "cpu", Speed(start=5.0, step=1.0))
        pace.note(session, known(desk).work(wish), "cpu", Speed(start=10.0, step=2.0))
        assert len(session.scalars(select(Pace)).all()) == 1
    assert told()["time"] == in_words(2.0 * (10 + 20 * 2)) == "2 min"
    assert told(steps="100", count="64")["time"] == "3 h 44 min"
    assert told(control="canny", structure="")["time"] == ""


def test_a_film_that_is_brought_shows_its_edges_before_it_is_queued(desk, ann):
    answer = ann.post("/structures", files=film_file())
    assert answer.status_code == 201
    assert answer.json() == {"key": "u1", "name": "film.png"}
    assert ann.post("/structures", files=film_file()).json()["key"] == "u1"  # the same film
    page = ann.post("/jobs/new", WISH | {"control": "canny", "structure": "u1"})
    assert page.status_code == 200
    assert 'src="/structures/u1/edges?low=100&amp;high=200"' in page.text
    seen = {}
    for view in ("film", "small", "edges"):
        answer = ann.get(f"/structures/u1/{view}")
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["cache-control"].startswith("private")
        seen[view] = png.decoded(answer.content, view)
    assert seen["film"].shape == seen["edges"].shape == (SIZE, SIZE)
    assert set(np.unique(seen["edges"])) == {0, 255}
    fewer = ann.get("/structures/u1/edges?low=1500&high=2000").content
    assert (png.decoded(fewer, "edges") > 0).sum() < (seen["edges"] > 0).sum()
    ann.post("/jobs", WISH | {"control": "canny", "structure": "u1", "canny_low": "50"})
    wish = spec_of(desk)
    assert (wish.control, wish.canny_low, wish.canny_high) == ("canny", 50, 200)
    assert desk.store.get(wish.structure) == ann.get("/structures/j1/film").content
    assert 'src="/structures/j1/edges?low=50&amp;high=200"' in ann.get("/jobs/1").text


def test_without_a_script_a_new_film_is_shown_first_and_queued_then(desk, ann):
    wish = WISH | {"control": "canny"}
    page = ann.post("/jobs", wish, files=film_file("own"))
    assert page.status_code == 200
    assert "this is what the engine will follow" in page.text
    assert re.search(r'name="structure" value="u1" checked', page.text)
    with desk.read() as session:
        assert session.scalars(select(Job)).all() == []
    assert ann.post("/jobs", wish | {"structure": "u1"}).status_code == 303


def test_a_film_that_is_none_or_somebody_elses_is_refused(desk, ann):
    bob, boss = browser(desk, "bob", "researcher"), browser(desk, "boss", "admin")
    ann.post("/structures", files=film_file())
    text = {"film": ("film.png", io.BytesIO(b"<svg/>"), "image/png")}
    assert ann.post("/structures", files=text).status_code == 422
    assert ann.post("/structures").status_code == 422
    assert boss.get("/structures/u1/film").status_code == 200
    for key in ("u1", "u2", "f1", "j1", "u0", "x1", "u1%00", "u99999999999"):
        assert bob.get(f"/structures/{key}/film").status_code in (404, 422), key
    for key in ("u1", "../u1", "u", "f9"):
        answer = bob.post("/jobs", WISH | {"control": "canny", "structure": key})
        assert answer.status_code == 422
        assert "there is no such film; choose another" in answer.text


def test_uploads_are_limited_too(tmp_path, home):
    desk = a_desk(tmp_path, jobs_an_hour=2)
    ann = browser(desk, "ann", "researcher")
    answers = [ann.post("/structures", files=film_file(f"film {i}")) for i in range(3)]
    assert [one.status_code for one in answers] == [201, 201, 422]
    assert "2 in this hour already" in answers[2].text
    with desk.read() as session:
        assert len(session.scalars(select(Upload)).all()) == 2
    assert len(list(desk.store.names())) == 2


def test_normal_films_of_the_corpus_can_be_followed(desk, ann):
    add(desk, label="normal")
    add(desk, label=RARE)
    finish_all(desk)
    page = ann.get("/jobs/new").text
    assert 'value="f1"' in page
    assert 'value="f2"' not in page


def test_the_same_again_has_the_same_films_and_a_varied_seed_others(desk, ann):
    ann.post("/structures", files=film_file())
    wish = WISH | {
        "control": "canny", "structure": "u1", "side": "left", "extent": "0.25", "guidance": "3.5",
        "negative": "blur", "sampler": "ddim", "strength": "0.4",
    }  # fmt: skip
    ann.post("/jobs", wish)
    page = ann.get("/jobs/new?like=1").text
    form = dict(re.findall(r'type="radio" name="(\w+)" value="([^"]*)" checked', page))
    form |= dict(re.findall(r'type="number" id="\w+" name="(\w+)"[^>]* value="([^"]*)"', page))
    form["negative"] = re.search(r'name="negative"[^>]* value="([^"]*)"', page)[1]
    assert (form["seeding"], form["structure"], form["extent"]) == ("fixed", "j1", "0.25")
    assert '<textarea id="prompt"' in page
    ann.post("/jobs", form)
    assert spec_of(desk, 2) == spec_of(desk, 1)
    answer = ann.post("/jobs/1/vary", {"count": "5"})
    assert answer.headers["location"] == "/jobs/3"
    varied = spec_of(desk, 3)
    assert replace(varied, seed=5, count=2) == spec_of(desk, 1)
    assert (varied.count, varied.seed != 5) == (5, True)
    assert ann.post("/jobs/1/vary", {"count": "65"}).status_code == 422
    assert ann.get("/jobs/new?like=99").status_code == 404


def test_a_preset_fills_the_form(ann):
    page = ann.get("/jobs/new?preset=faithful").text
    assert re.search(r'name="guidance"[^>]* value="3"', page)
    assert re.search(r'name="strength"[^>]* value="1"', page)
    assert ann.get("/jobs/new?preset=nonsense").status_code == 200


def test_while_no_engine_is_trained_the_pages_say_so(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "nothing"))
    desk = a_desk(tmp_path)
    ann = browser(desk, "ann", "researcher")
    for path in ("/jobs", "/jobs/new"):
        assert "No engine is trained yet" in ann.get(path).text
    (tmp_path / STAGE).write_text("The engine is being trained: 3 of 9 networks.\n")
    for path in ("/jobs", "/jobs/new"):
        page = ann.get(path).text
        assert "The engine is being trained: 3 of 9 networks." in page
        assert "No engine" not in page
    answer = ann.post("/jobs", WISH)
    assert (answer.status_code, "none is trained yet" in answer.text) == (422, True)


# the queue and a job


def test_the_queue_shows_place_owner_and_who_may_do_what(desk, ann):
    mine, other = add(desk), add(desk, "bob")
    page = ann.get("/jobs").text
    assert page.index("1st in line") < page.index("2nd in line")
    assert f'action="/jobs/{mine}/cancel"' in page
    assert f'action="/jobs/{other}/cancel"' not in page
    assert f'action="/jobs/{other}/cancel"' in browser(desk, "boss", "admin").get("/jobs").text
    assert ann.post(f"/jobs/{other}/cancel").status_code == 403
    assert ann.post("/jobs/99/cancel").status_code == 404
    assert ann.post(f"/jobs/{mine}/explode").status_code == 422
    answer = ann.post(f"/jobs/{mine}/cancel", headers={"referer": f"{HOME}/jobs"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs")
    assert "too late to cancel" in ann.post(f"/jobs/{mine}/cancel").text
    for action in ("retry", "pause", "resume", "first", "up", "down"):
        assert ann.post(f"/jobs/{mine}/{action}").headers["location"] == f"/jobs/{mine}"


def test_places_are_those_in_which_jobs_are_taken(desk):
    for name in ("ann", "ann", "bob", "cid", "ann", "bob"):
        add(desk, name)
    with desk.write() as session:
        queue.finish(session, queue.claim(session, "worker"))  # ann's first
    with desk.read() as session:
        expected = listing.upcoming(session)
    taken = []
    while True:
        with desk.write() as session:
            claimed = queue.claim(session, "worker")
            if claimed is None:
                break
            queue.finish(session, claimed)
            taken.append(claimed.job)
    assert taken == expected == [3, 4, 2, 6, 5]


def test_how_much_longer_is_known_by_what_was_measured(desk, ann):
    first, second = add(desk, count=3, steps=20), add(desk, "bob", count=1, steps=20)
    with desk.write() as session:
        pace.note(session, known(desk).work(spec_of(desk, first)), "cpu", Speed(20.0, 2.0))
        claimed = queue.claim(session, "worker")
        detail = session.get_one(JobDetail, claimed.job)
        detail.drawn, detail.step = 1, 10
    assert claimed.job == first
    page = ann.get("/jobs").text
    assert in_words(2 * 60.0 - 40) in page  # one whole film, and ten steps of the next
    assert in_words(2 * 60.0 - 40 + 60) in page
    with desk.write() as session:
        session.execute(delete(Pace))
        wish = replace(spec_of(desk, second), guidance=1.0)
        session.get_one(Job, second).spec = json.dumps(wish.spec())
        pace.note(session, known(desk).work(wish), "cpu", Speed(20.0, 2.0))
    assert in_words(60.0) not in ann.get("/jobs").text  # nobody knows when the second can begin
    assert [in_words(seconds) for seconds in (3.0, 34.0, 58.0, 90.0, 3599.0, 11100.0)] == [
        "a few seconds", "30 s", "1 min", "2 min", "1 h", "3 h 5 min"
    ]  # fmt: skip


def test_a_failure_and_its_reason_are_shown_and_tried_again(desk, ann):
    number = add(desk)
    engine = Quick()
    engine.draw = lambda *_: 1 / 0
    finish_all(desk, engine)
    for path in ("/jobs", f"/jobs/{number}"):
        page = ann.get(path).text
        assert "the engine failed unexpectedly (ZeroDivisionError" in page
        assert f'action="/jobs/{number}/retry"' in page
    ann.post(f"/jobs/{number}/retry")
    finish_all(desk)
    page = ann.get(f"/jobs/{number}").text
    assert "ZeroDivisionError" not in page
    assert 'src="/films/1"' in page


def test_a_queue_that_nobody_works_at_is_remarked_on(desk, ann):
    number = add(desk)
    assert "nobody works at them" not in ann.get("/jobs").text
    with desk.write() as session:
        session.get_one(Job, number).created -= 2 * listing._QUIET
    assert "nobody works at them" in ann.get("/jobs").text
    with desk.write() as session:
        queue.claim(session, "worker")
    assert "nobody works at them" not in ann.get("/jobs").text


def test_films_and_previews_are_pictures_for_researchers_alone(desk, ann):
    number = add(desk)
    eve = browser(desk, "eve", "reviewer")
    with desk.write() as session:
        content = png.encoded(blocks("preview", 8, 8))
        session.add(Preview(job_id=number, number=7, film=0, step=3, content=content))
    answer = ann.get(f"/jobs/{number}/preview/7")
    assert (answer.content, answer.headers["content-type"]) == (content, "image/png")
    assert answer.headers["cache-control"] == "private, max-age=3600"
    older = ann.get(f"/jobs/{number}/preview/6")  # overtaken on the way
    assert (older.content, older.headers["cache-control"]) == (content, "no-store")
    assert ann.get(f"/jobs/{number}/preview/8").status_code == 404
    finish_all(desk)
    assert ann.get(f"/jobs/{number}/preview/7").status_code == 404
    with desk.read() as session:
        film = session.scalars(select(Film)).one()
    assert digest(ann.get(f"/films/{film.id}").content) == film.sha256
    assert ann.get("/films/99").status_code == 404
    assert ann.get(f"/films/{2**63}").status_code == 422
    for path in (
        "/jobs", "/jobs/new", "/jobs/outlook", f"/jobs/{number}", f"/jobs/{number}/events",
        f"/jobs/{number}/preview/7", f"/films/{film.id}", "/structures/f1/film",
    ):  # fmt: skip
        assert eve.get(path).status_code == 403, path
        assert browser(desk).get(path).status_code == 303, path


def test_who_reads_an_open_set_sees_no_film_before_it_is_closed(desk, ann):
    number = add(desk)
    finish_all(desk)
    with desk.write() as session:
        reader = session.scalar(select(User.id).where(User.name == "ann"))
        made = ReadingSet(name="a set", seed=0, made_by=reader, opened=queue.now())
        session.add(made)
        session.flush()
        session.add(Reader(set_id=made.id, user_id=reader))
    paths = (
        "/jobs",
        f"/jobs/{number}",
        f"/jobs/{number}/events",
        "/films/1",
        "/structures/f1/film",
    )
    assert [ann.get(path).status_code for path in paths] == [403] * len(paths)
    with desk.write() as session:
        session.get_one(ReadingSet, made.id).closed = queue.now()
    assert [ann.get(path).status_code for path in paths] == [200] * len(paths)


# what is told while a job runs


def told(browser, number: int) -> list[tuple[str, int, dict]]:
    """Return event, id and data of everything that is told of a job, to the end."""
    found = []
    with browser.client.stream("GET", f"/jobs/{number}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        event = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            event[name] = value
            if not line and "event" in event:
                found.append((event["event"], int(event.get("id", 0)), json.loads(event["data"])))
                event = {}
    return found


def test_a_job_that_has_ended_is_told_at_once(desk, ann):
    number = add(desk, count=2)
    finish_all(desk)
    (kind, _, state), (end, _, _) = told(ann, number)
    assert (kind, end) == ("progress", "end")
    assert (state["state"], state["films"], state["done"], state["all"]) == ("done", [1, 2], 40, 40)
    assert ann.get("/jobs/99/events").status_code == 404


def test_two_tabs_see_a_job_come_about_whenever_they_begin_to_look(desk, ann):
    number = add(desk, count=2)
    stop, engine = Event(), Quick(pause=0.6)
    seen: dict[str, list] = {}

    def look(name, delay):
        Event().wait(delay)
        seen[name] = told(browser(desk, "ann", "researcher"), number)

    tabs = [threading.Thread(target=look, args=one) for one in (("first", 0), ("second", 2.0))]
    worker = threading.Thread(target=work, args=(desk, engine, "worker", stop))
    for one in (*tabs, worker):
        one.start()
    for one in tabs:
        one.join(40)
    stop.set()
    worker.join()
    for events in seen.values():
        assert events[-1][0] == "end"
        assert events[-2][2]["state"] == "done"
        previews = [id for kind, id, _ in events if kind == "progress" and id]
        assert previews == sorted(previews)
        done = [state["done"] for kind, _, state in events if kind == "progress"]
        assert done == sorted(done)
    assert len(seen["first"]) > len(seen["second"]) > 3
    assert seen["second"][0][2]["state"] == "running"  # the state as it was then comes first


def test_ten_thousand_posts_are_refused_after_the_first_few(tmp_path, home):
    """A hundred of them, each refused as every further one would be."""
    desk = a_desk(tmp_path, queued_jobs=5)
    ann = browser(desk, "ann", "researcher")
    statuses = [ann.post("/jobs", WISH).status_code for _ in range(100)]
    assert statuses == [303] * 5 + [422] * 95
    with desk.read() as session:
        assert len(session.scalars(select(Job)).all()) == 5


def test_pages_have_no_script_or_style_of_their_own(desk, ann):
    add(desk)
    finish_all(desk)
    for path in ("/jobs", "/jobs/new", "/jobs/1"):
        page = ann.get(path).text
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page), path
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page)), path
