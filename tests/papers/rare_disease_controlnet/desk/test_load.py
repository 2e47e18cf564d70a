"""Many people at once beside a working engine: nothing goes wrong, and no answer is lost."""

import tests.papers.rare_disease_controlnet.desk.made_up  # noqa: F401  # isort: skip

from experiments.benchmarks.review_desk import beside, kept, percentiles
from experiments.benchmarks.review_desk_content import fill, settings_of, write_engine
from experiments.benchmarks.review_desk_visitors import visit
from papers.rare_disease_controlnet.corpus.check import check
from papers.rare_disease_controlnet.desk.audit.verify import verify
from papers.rare_disease_controlnet.desk.opening import open_desk

SECONDS = 10


def test_people_and_an_engine_at_once_lose_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path))
    write_engine()
    folder = tmp_path / "desk"
    content = fill(folder, readers=12, researchers=4, jobs=4, films=20)
    with beside(folder) as home:
        told = visit(home, content, 1, SECONDS)
    assert told.wrong == []
    assert told.given == kept(folder)
    assert len(told.given) == 12
    measured = percentiles(told)
    assert {"reading: submit", "queue", "log, checked", "all"} <= measured.keys()
    assert measured["all"]["count"] > 100
    desk = open_desk(settings_of(folder))
    with desk.read() as session:
        assert verify(session) == []
    assert [line for line in check(desk.corpus) if "a file of no film" not in line] == []


def test_a_request_that_fails_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path))
    folder = tmp_path / "desk"
    content = fill(folder, readers=1, researchers=1, jobs=3, films=20)
    told = visit("http://127.0.0.1:9", content, 0, 3)
    assert any("ConnectError" in line for line in told.wrong)
