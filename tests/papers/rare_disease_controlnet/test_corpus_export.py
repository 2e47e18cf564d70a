"""Exports: what is in them, and that the same films are the same bytes."""

import csv
import hashlib
import json
import os
import time
import zipfile

import pytest

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.corpus import open_corpus
from papers.rare_disease_controlnet.corpus.decisions import decide
from papers.rare_disease_controlnet.corpus.export import COLUMNS, export
from papers.rare_disease_controlnet.corpus.lineage import read
from papers.rare_disease_controlnet.corpus.snapshots import freeze
from papers.rare_disease_controlnet.corpus.tables import AUTOMATIC
from tests.papers.rare_disease_controlnet.corpus_made_up import filled, film

NAMES = [film(number)[1].output for number in range(4)]


@pytest.fixture
def corpus(tmp_path):
    """Return a corpus of four films: accepted, accepted and then rejected, rejected, and open."""
    corpus = open_corpus(tmp_path / "corpus")
    a, b, c, _ = filled(corpus, 4)
    with corpus.write() as session:
        for key in (a, b):
            decide(session, key, reviewer=AUTOMATIC, kind="rule", verdict="accepted")
        decide(
            session, a, reviewer="r1", kind="reading", verdict="accepted", score=4,
            reasons=["grain"], comment="= fine, “really”",
        )  # fmt: skip
        decide(session, a, reviewer="r2", kind="reading", verdict="accepted", score=5)
        decide(session, c, reviewer=AUTOMATIC, kind="rule", verdict="rejected")
    with corpus.write() as session:
        freeze(session, "v1", "me")
        decide(session, b, reviewer="r1", kind="reading", verdict="rejected", score=1)
    return corpus


def rows(text: str) -> dict[str, dict[str, str]]:
    return {row["sha256"]: row for row in csv.DictReader(text.splitlines())}


def test_a_zip_has_the_accepted_films_with_what_is_known_of_them(corpus, tmp_path):
    assert export(corpus, tmp_path / "films.zip") == 1
    with zipfile.ZipFile(tmp_path / "films.zip") as archive:
        assert archive.namelist() == [
            "manifest.csv", f"images/{NAMES[0]}.png", f"metadata/{NAMES[0]}.json",
        ]  # fmt: skip
        assert archive.read(f"images/{NAMES[0]}.png") == film(0)[0]
        (row,) = rows(archive.read("manifest.csv").decode()).values()
        about = json.loads(archive.read(f"metadata/{NAMES[0]}.json"))
    assert tuple(row) == COLUMNS
    assert (row["label"], row["side"], row["seed"]) == ("pneumothorax", "left", str(2**32 - 1))
    assert (row["accepted"], row["rejected"], row["score"]) == ("3", "0", "4.5")
    assert about["lineage"] == json.loads(film(0)[1].dumps())
    assert [one["reviewer"] for one in about["decisions"]] == ["automatic", "r1", "r2"]
    assert about["decisions"][1]["reasons"] == ["grain"]
    assert about["decisions"][1]["comment"] == "= fine, “really”"


def test_a_folder_has_the_same_files_and_their_lineage_can_be_read(corpus, tmp_path):
    export(corpus, tmp_path / "films.zip")
    out = tmp_path / "deep" / "films"
    export(corpus, out)
    with zipfile.ZipFile(tmp_path / "films.zip") as archive:
        for name in archive.namelist():
            assert (out / name).read_bytes() == archive.read(name)
    assert sum(one.is_file() for one in out.rglob("*")) == 3
    assert [one.name for one in out.parent.iterdir()] == ["films"]
    assert read(out / "metadata" / f"{NAMES[0]}.json") == film(0)[1]


def test_a_snapshot_or_everything_can_be_exported(corpus, tmp_path):
    assert export(corpus, tmp_path / "frozen", snapshot="v1") == 2
    assert set(rows((tmp_path / "frozen" / "manifest.csv").read_text())) == set(NAMES[:2])
    assert export(corpus, tmp_path / "all", everything=True) == 4
    found = rows((tmp_path / "all" / "manifest.csv").read_text())
    counts = {name: (row["accepted"], row["rejected"]) for name, row in found.items()}
    assert counts == dict(zip(NAMES, [("3", "0"), ("1", "1"), ("0", "1"), ("0", "0")], strict=True))
    with pytest.raises(InputError, match="snapshot 'v9': there is no such snapshot"):
        export(corpus, tmp_path / "none", snapshot="v9")
    assert not (tmp_path / "none").exists()


def test_the_same_films_are_the_same_bytes_at_another_time(corpus, tmp_path, monkeypatch):
    export(corpus, tmp_path / "a.zip", everything=True)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setenv("TZ", "Asia/Seoul")
    mask = os.umask(0o077)
    try:
        export(corpus, tmp_path / "b.zip", everything=True)
    finally:
        os.umask(mask)
    one, two = ((tmp_path / name).read_bytes() for name in ("a.zip", "b.zip"))
    assert hashlib.sha256(one).digest() == hashlib.sha256(two).digest()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}


@pytest.mark.parametrize("name", ["films.zip", "films"])
def test_a_damaged_film_leaves_nothing_behind(corpus, tmp_path, name):
    out = tmp_path / "out" / name
    (file,) = corpus.store.path.glob(f"*/{NAMES[0]}.png")
    file.write_bytes(b"damaged")
    with pytest.raises(InputError, match=rf"{NAMES[0]}\.png: damaged, its SHA-256 is"):
        export(corpus, out)
    assert list(out.parent.iterdir()) == []


def test_nothing_is_written_over_and_nothing_empty(corpus, tmp_path):
    (tmp_path / "there.zip").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for name in ("there.zip", "full"):
        with pytest.raises(InputError, match=rf"--out .*{name}: is there already; give another"):
            export(corpus, tmp_path / name)
    (tmp_path / "empty").mkdir()
    assert export(corpus, tmp_path / "empty") == 1
    with pytest.raises(InputError, match="there is no accepted film to export"):
        export(open_corpus(tmp_path / "new"), tmp_path / "none")


def test_a_place_that_cannot_be_written_is_one_line(corpus, tmp_path):
    (tmp_path / "file").touch()
    for name in ("films.zip", "films"):
        with pytest.raises(InputError, match=r"--out .*: cannot be written \("):
            export(corpus, tmp_path / "file" / name)
