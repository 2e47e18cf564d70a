"""What a snapshot holds when it leaves the desk, and that any film of it can be made again."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, browser  # isort: skip

import csv
import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from common import xla
from common.errors import InputError
from common.pipeline.process import prepare_process
from papers.__main__ import main
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.corpus import keep
from papers.rare_disease_controlnet.corpus.queue import claim, finish
from papers.rare_disease_controlnet.corpus.tables import Snapshot
from papers.rare_disease_controlnet.desk.jobs.asking import ask
from papers.rare_disease_controlnet.desk.jobs.engine import StudyEngine
from papers.rare_disease_controlnet.desk.jobs.spec import Asked
from papers.rare_disease_controlnet.desk.release import gate
from papers.rare_disease_controlnet.desk.release.retention import EXPORTS
from papers.rare_disease_controlnet.desk.settings import Limits, Settings
from papers.rare_disease_controlnet.desk.tables import AuditEntry
from papers.rare_disease_controlnet.regenerate import regenerate
from tests.papers.rare_disease_controlnet.desk.made_up import a_user
from tests.papers.rare_disease_controlnet.desk.release_made_up import (
    accepted,
    close,
    compared,
    drawn,
    film,
    image,
    read,
)
from tests.papers.rare_disease_controlnet.small_engine import SIZE, few_words  # noqa: F401
from tests.papers.rare_disease_controlnet.small_run import engine, seed_folder

COMMENT = "= a formula, “quoted”"


def frozen(desk) -> int:
    with desk.write() as session:
        return gate.freeze(session, "v1", "kim").id


def downloaded(desk, snapshot: int = 1, **form: str) -> zipfile.ZipFile:
    answer = browser(desk, "kim", "researcher").post(f"/corpus/snapshots/{snapshot}/download", form)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["cache-control"] == "no-store"
    return zipfile.ZipFile(io.BytesIO(answer.content))


@pytest.fixture
def desk(tmp_path):
    return a_desk(tmp_path / "desk")


def test_a_download_has_films_verdicts_and_a_card_and_no_names(desk):
    structure = desk.store.put(png.encoded(image(4)))
    a, b = drawn(desk, 2, structure=structure)
    compared(desk, [a, b], distance=31.5)
    said = {
        "rosalind": [("legitimate", 5, [], COMMENT), ("legitimate", 4)],
        "marie": [("legitimate", 3), ("artefacted", 1)],
    }
    close(desk, read(desk, [a, b], said))
    frozen(desk)
    archive = downloaded(desk)
    name = film(desk, a).sha256
    assert archive.namelist() == [
        "manifest.csv", f"images/{name}.png", f"metadata/{name}.json", "data_card.md",
    ]  # fmt: skip
    assert archive.read(f"images/{name}.png") == png.encoded(image(0))
    (row,) = csv.DictReader(archive.read("manifest.csv").decode().splitlines())
    assert (row["sha256"], row["accepted"], row["score"]) == (name, "2", "4.0")
    about = json.loads(archive.read(f"metadata/{name}.json"))
    assert [one["reviewer"] for one in about["decisions"]] == ["Reader 1", "Reader 2"]
    assert COMMENT in {one["comment"] for one in about["decisions"]}
    whole = b"".join(archive.read(one) for one in archive.namelist())
    assert b"rosalind" not in whole
    assert b"marie" not in whole
    card = archive.read("data_card.md").decode()
    for told in ("- Films: 1\n- pneumothorax: 1", "mean 4.00 of 1 films", "Nearest: 31.50",
                 "Held back at or below: 10.00", "## License", "not for", "3c3c3c3c"):  # fmt: skip
        assert told in card, told
    with desk.read() as session:
        entry = session.query(AuditEntry).filter_by(action="snapshot handed out").one()
        content = session.query(Snapshot).one().content
    assert (entry.actor, entry.subject) == ("kim", "snapshot 1")
    assert json.loads(entry.detail) == {"content": content, "followed": False}
    assert list((desk.settings.folder / EXPORTS).iterdir()) == []
    assert browser(desk, "kim", "researcher").get("/corpus/snapshots/1/card").text == card


def test_the_same_is_the_same_bytes_again_and_later_verdicts_show(desk):
    (key,) = accepted(desk, 1)
    frozen(desk)
    first, second = (downloaded(desk).fp.read() for _ in range(2))
    assert first == second
    close(desk, read(desk, [key], {"marie": [("artefacted", 1)]}, "later"))
    archive = downloaded(desk)
    assert "Rejected since it was frozen: 1" in archive.read("data_card.md").decode()
    assert len(archive.namelist()) == 4  # the film is in it still


def test_reviewers_and_a_missing_film_get_nothing(desk):
    accepted(desk, 1)
    frozen(desk)
    path = "/corpus/snapshots/1/download"
    assert browser(desk, "rosalind", "reviewer").post(path).status_code == 403
    here = browser(desk, "kim", "researcher")
    assert here.post("/corpus/snapshots/2/download").status_code == 404
    for file in desk.store.path.glob("*/*.png"):
        file.unlink()
    answer = here.post(path)
    assert answer.status_code == 422
    assert "no such file" in answer.text
    assert list((desk.settings.folder / EXPORTS).iterdir()) == []
    with desk.read() as session:
        assert session.query(AuditEntry).filter_by(action="snapshot handed out").count() == 0


@pytest.fixture
def by_engine(tmp_path, monkeypatch, few_words):  # noqa: F811
    """Return the desk of a home whose engine drew two films, the second after a structure."""
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(xla.THREADS, str(xla.cores()))
    monkeypatch.setenv("XLA_FLAGS", "")
    prepare_process()
    seed_folder(tmp_path / "home", engine())
    desk = a_desk(Settings().folder)
    structure = desk.store.put(png.encoded(image(4, SIZE)))
    artist, drawing, keys = a_user(desk, "artemisia", "researcher"), StudyEngine(desk), []
    for control, source in (("none", None), ("canny", structure)):
        asked = Asked("pneumothorax", "a film", steps=10, control=control, structure=source)
        with desk.write() as session:
            ask(session, asked, artist, Limits())
        with desk.write() as session:
            taken = claim(session, "worker")
        made = drawing.draw(asked, 0, lambda *_: None)
        keys.append(keep(desk.corpus, taken, 0, made.content, made.lineage))
        with desk.write() as session:
            finish(session, taken)
    compared(desk, keys)
    close(desk, read(desk, keys, {"rosalind": [("legitimate", 4)] * 2}))
    frozen(desk)
    return desk, keys


def test_any_film_of_a_download_is_made_again_to_the_byte(by_engine, tmp_path, capsys):
    desk, keys = by_engine
    downloaded(desk).extractall(tmp_path / "plain")
    files = [tmp_path / "plain" / "metadata" / f"{film(desk, key).sha256}.json" for key in keys]
    for file in files:  # what the second one follows is found at the desk
        assert main(["regenerate", str(file)]) == 0
        assert "the same film to the byte" in capsys.readouterr().out
    with_structure = downloaded(desk, followed="true")
    (structure,) = (one for one in with_structure.namelist() if one.startswith("followed/"))
    np.testing.assert_array_equal(
        png.decoded(with_structure.read(structure), structure), image(4, SIZE)
    )
    with_structure.extractall(tmp_path / "whole")
    shutil.rmtree(desk.settings.folder / "films")  # as on another machine
    with pytest.raises(InputError, match="its structure, of SHA-256"):
        regenerate(files[1])
    found = regenerate(tmp_path / "whole" / "metadata" / files[1].name)
    assert found.now == found.before
    assert Path(structure).stem in files[1].read_text()
