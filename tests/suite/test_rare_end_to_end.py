"""rare_disease_controlnet's smoke run, whole, on films of a made-up chest."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.results.metrics_file import flatten
from papers.__main__ import main
from papers.rare_disease_controlnet import prompts, simulate
from papers.rare_disease_controlnet.corpus import lineage, png
from papers.rare_disease_controlnet.corpus.check import check
from papers.rare_disease_controlnet.corpus.corpus import Corpus, open_corpus
from papers.rare_disease_controlnet.corpus.decisions import films
from papers.rare_disease_controlnet.corpus.tables import Film, Job
from papers.rare_disease_controlnet.synthesis import synthetic_films
from tests.papers.rare_disease_controlnet import phantom
from tests.papers.rare_disease_controlnet.small_engine import know_few_words
from tests.suite.exporting import exported
from tests.suite.toy_project import run

STUDY, FINDINGS = "rare_disease_controlnet", ("effusion", "pneumothorax", "nodule")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the folder of a run's home and results."""
    folder = tmp_path_factory.mktemp("rare")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPLICATIONS_HOME", str(folder / "home"))
        patch.setattr(simulate, "anatomy", phantom.chest)
        know_few_words(patch)
        assert main(["replicate", "rare", "smoke", "--out", str(folder / "results")]) == 0
        yield folder
    prompts.tokenizer.cache_clear()


def unit(folder: Path, name: str) -> Path:
    """Return the folder of a unit."""
    (found,) = (folder / "home" / "runs" / STUDY / "networks").glob(f"{name}-*/seed_0")
    return found


def test_results_are_whole_and_get_no_verdict(whole: Path) -> None:
    results = whole / "results"
    metrics = json.loads((results / "metrics.json").read_text())["seeds"]["0"]
    assert set(metrics) == {
        *("main", "classifiers", "gains", "engine", "reviewer", "training"),
    }
    assert {"real_2", "selected_2", "upper_4", "pretrained_4", "selected_4_dose_2"} <= set(
        metrics["classifiers"]
    )
    scores = flatten(metrics["classifiers"])
    assert all(0 <= scores[name] <= 1 for name in scores if name.endswith("rare_f1"))
    for name in ("autoencoder", "denoiser", "controlnet", "adaptation_4", "reviewer"):
        assert np.isfinite(metrics["training"][name]["loss"]).all()
    assert "no verdict" in (results / "tables" / "claims.md").read_text()
    drawn = {file.stem for file in (results / "figures").glob("*.png")}
    assert {"arms", "gains", "films", "lesions", "control", "denoising"} <= drawn


def test_a_set_of_films_is_whole_and_reviewed(whole: Path) -> None:
    folder = unit(whole, "synthesis_4")
    corpus = open_corpus(folder / "corpus")
    assert check(corpus) == []
    with corpus.read() as session:
        drawn, jobs = session.query(Film).all(), session.query(Job).all()
        accepted = {film.sha256 for film in films(session, "accepted")}
    assert {job.state for job in jobs} == {"done"}
    labels = [film.label for film in drawn]
    assert {name: labels.count(name) for name in ("normal", *FINDINGS)} == dict.fromkeys(
        ("normal", *FINDINGS), 4
    )
    made = synthetic_films(folder, FINDINGS)
    assert made.images.shape == (16, 32, 32, 1)
    np.testing.assert_array_equal(made.labels.sum(0), [4, 4, 4])
    assert {film.label for film in drawn if film.sha256 in accepted} <= {"pneumothorax"}
    told = [made.accepted[i] for i, film in enumerate(drawn) if film.sha256 in accepted]
    assert all(told)


def test_a_film_has_a_lineage_that_says_what_it_is(whole: Path) -> None:
    corpus: Corpus = open_corpus(unit(whole, "synthesis_4") / "corpus")
    with corpus.read() as session:
        film = session.query(Film).filter(Film.label == "pneumothorax").first()
    assert film is not None
    found = lineage.loads(film.lineage, "film")
    assert found.output == film.sha256
    assert found.spec.label == "pneumothorax"
    assert "<pneumothorax>" in found.spec.prompt
    assert {network.name for network in found.engine.networks} == {
        *("vae", "unet", "text", "controlnet"),
    }
    assert found.spec.structure is not None
    structure = png.decoded(corpus.store.get(found.spec.structure), "structure")
    assert structure.shape == (32, 32)


def test_shared_networks_are_trained_once_and_others_for_each_seed(whole: Path) -> None:
    lines = (whole / "home").rglob("network.json")
    seeds = {json.loads(file.read_text())["network"]: file.parent.name for file in lines}
    assert seeds["autoencoder"] == seeds["controlnet"] == "seed_0"
    manifest = json.loads((whole / "results" / "manifest.json").read_text())
    trained = manifest["stages"]["seeds"]["0"]["train"]
    assert {"autoencoder", "synthesis_2", "classifier_upper_4"} <= set(trained)


def test_what_is_exported_works_without_the_training(
    whole: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    networks = tmp_path / "networks"
    found = exported(STUDY, whole / "home", networks, monkeypatch, capsys)
    assert set(found["networks"]) == {
        *("autoencoder", "controlnet", "adaptation_4", "classifier_selected_4"),
    }
    where = ("--checkpoint", networks, "--json", "--out")
    status, told, err = run(capsys, "sample", "rare", *where, tmp_path / "films")
    assert status == 0, err
    film, lineage_file = json.loads(told)["files"][0]["written"]
    for checkpoint, expected in ((networks, 0), (whole / "home", 1)):  # rounded, and trained
        status, told, err = run(
            capsys, "regenerate", lineage_file, "--checkpoint", checkpoint, "--json"
        )
        assert status == expected, err
    status, told, err = run(capsys, "predict", "rare", "--input", film, *where, tmp_path / "heat")
    assert status == 0, err
    assert json.loads(told)["files"][0]["classifier"] == "selected_4"
