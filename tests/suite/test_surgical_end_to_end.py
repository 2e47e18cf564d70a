"""surgical_vision from the command line: whole once, and parts of it alone, killed, on devices.

Its nineteen networks are too many to be trained whole again for every test of `test_end_to_end`.
"""

import json
import os
import subprocess
from pathlib import Path

import imageio.v3 as imageio
import pytest

from papers import studies
from papers.surgical_vision.faces.patient import patient
from papers.surgical_vision.variants import MODELS
from tests.suite.exporting import exported
from tests.suite.test_end_to_end import (
    OFTEN,
    ROOT,
    kill,
    replicate,
    resolved,
    same_training,
    smoke,
    training,
    tree_of,
)

STUDY = "surgical_vision"
FIGURES = {
    "models",
    "domains",
    "attention",
    "latent_units",
    "denoising",
    "learning_curves",
    "quality_and_share",
    "colors",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the home and the results of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    replicate(STUDY, folder / "home", "--out", str(folder / "results"))
    return folder


def test_results_are_whole_and_get_no_verdict(whole: Path) -> None:
    results = whole / "results"
    manifest = json.loads((results / "manifest.json").read_text())
    assert manifest["dataset"]["stand_in"]
    networks = set(studies.load(STUDY).networks(resolved(STUDY)))
    assert networks > set(MODELS)
    assert set(manifest["stages"]["seeds"]["0"]["train"]) == networks
    models = json.loads((results / "metrics.json").read_text())["seeds"]["0"]["models"]
    assert list(models) == sorted(MODELS)
    for name, found in models.items():
        for measure in ("ssim", "psnr", "kid", "fid_pixels"):
            assert found[measure] is not None, (name, measure)
    assert {figure.stem for figure in (results / "figures").glob("*.png")} == FIGURES
    claims = (results / "tables" / "claims.md").read_text()
    assert "no verdict" in claims
    quality = (results / "tables" / "quality.md").read_text()
    assert all(variant.title in quality for variant in MODELS.values())


def test_what_was_trained_predicts(whole: Path, tmp_path: Path) -> None:
    from papers.surgical_vision.photos import find

    try:
        find.finder(download=False)
    except Exception as reason:
        pytest.skip(str(reason))
    imageio.imwrite(tmp_path / "1.png", patient(3, 0, 256).before)
    where = ["--checkpoint", whole / "home", "--input", tmp_path / "1.png", "--out", tmp_path / "o"]
    done = subprocess.run(
        [*smoke(STUDY)[:3], "predict", STUDY, "--json", *map(str, where)], cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (row,) = json.loads(done.stdout)["files"]
    assert row["file"] == "1.png"
    assert all(Path(file).is_file() for file in row["written"])


def test_models_are_exported_with_what_they_learned_from(
    whole: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    found = exported(STUDY, whole / "home", tmp_path / "networks", monkeypatch, capsys)
    assert {"stargan", "pix2pix", "stable_diffusion", "latent_autoencoder"} < set(found["networks"])
    assert len(found["differences"]) == 8  # a model of each family


def test_a_model_alone_in_a_tree_of_its_own_killed_ends_with_the_same_bits(
    whole: Path, tmp_path: Path
) -> None:
    tree, home = tree_of(STUDY, tmp_path / "tree"), tmp_path / "home"
    kill([*smoke(STUDY), *OFTEN, "--only", "cyclegan"], tree, home, 1, "cyclegan-*")
    replicate(STUDY, home, *OFTEN, "--only", "cyclegan", cwd=tree)
    ours, theirs = (
        next((folder / "runs").rglob("networks/cyclegan-*/seed_0/train.jsonl"))
        for folder in (home, whole / "home")
    )
    assert ours.read_bytes() == theirs.read_bytes()
    assert {log.parents[1].name.partition("-")[0] for log in home.rglob("train.jsonl")} == {
        "cyclegan"
    }


def test_eight_devices_train_as_one(tmp_path: Path) -> None:
    wanted = ["--only", "stargan", "--set", "stargan.batch_size=8"]
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    replicate(STUDY, tmp_path / "eight", *wanted, XLA_FLAGS=flags)
    replicate(STUDY, tmp_path / "one", *wanted)
    same_training(training(tmp_path / "eight"), training(tmp_path / "one"))
