"""rare_disease_controlnet's `paper`, begun with a tiny model and ControlNet of one's own."""

import json
from functools import partial
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from common.latent_diffusion.checkpoint import load
from common.pretrained.registered import register
from papers.__main__ import main
from papers.rare_disease_controlnet.corpus import lineage
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.corpus import open_corpus
from papers.rare_disease_controlnet.corpus.tables import Film
from papers.rare_disease_controlnet.engine import assembly
from tests.common.latent_diffusion.models import single, write_folder
from tests.papers.rare_disease_controlnet.film_files import blocks, nih, write

FEW = {  # steps and films
    "data.size": 64, "data.findings": ["Effusion", "Pneumothorax"], "data.train_fraction": 0.4,
    "data.validation_fraction": 0.2, "data.review_fraction": 0.2,
    "adapt.steps": 2, "adapt.batch_size": 2, "adapt.rank": 2,
    "synthesis.steps": 10, "synthesis.accepted": 2, "synthesis.others": 1, "synthesis.tries": 1,
    "synthesis.batch_size": 2, "review.visible": 0.0, "review.edges": 0.0, "review.copy": 0.0,
    "review.steps": 2, "classifier.channels": [4, 8], "classifier.blocks": [1, 1],
    "classifier.steps": 2, "classifier.batch_size": 4, "arms.rare": [2], "arms.main": 2,
    "arms.doses": [2], "train.log_every": 1,
}  # fmt: skip


def as_one_file(folder: Path, root: Path) -> tuple[Path, Path]:
    """Return a model and its ControlNet, each as a single file."""
    root.mkdir()
    files = root / "model.safetensors", root / "control.safetensors"
    save_file(single(folder, ("unet", "vae", "text")), files[0])
    save_file(single(folder, ("controlnet",)), files[1])
    return files


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the command that begins the experiment on a few films, with a home of its own."""
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "home"))
    kinds = ("No Finding", "Pneumothorax", "Effusion|Pneumothorax", "Effusion")
    raw = nih(tmp_path / "raw", {f"{i:08}_000": kinds[i % 4] for i in range(1, 41)})
    chosen = [f"--set={name}={json.dumps(value)}" for name, value in FEW.items()]
    return ["replicate", "rare", "paper", "--raw", str(raw), "--seeds", "1", *chosen]


def test_single_files_are_drawn_with(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "diffusers")
    # of other sizes and words than Stable Diffusion's, which a single file is taken to have
    monkeypatch.setattr(assembly, "load", partial(load, config=folder))
    model, control = as_one_file(folder, tmp_path / "single")
    register("sd15", model)
    register("canny", control)
    assert main([*command, "--only", "synthesis_2"]) == 0
    (made,) = (tmp_path / "home").rglob("synthesis_2-*/seed_0")
    with open_corpus(made / "corpus").read() as session:
        assert session.query(Film).count() == 2 + 2  # rare ones; one normal, one of the other


def test_folders_are_trained_and_drawn_with(command: list[str], tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "diffusers")
    register("sd15", folder)
    register("canny", folder / "controlnet")
    assert main([*command, "--stage", "train"]) == 0
    networks = next((tmp_path / "home" / "runs").glob("*/networks"))
    names = {folder.name.rpartition("-")[0] for folder in networks.iterdir()}
    assert {"reviewer", "adaptation_2", "synthesis_2", "classifier_selected_2"} <= names
    assert not {"autoencoder", "denoiser", "controlnet"} & names  # no engine of our own
    (adapted,) = networks.glob("adaptation_2-*/seed_0/train.jsonl")
    assert len(adapted.read_text().splitlines()) == 2
    (made,) = networks.glob("synthesis_2-*/seed_0")
    with open_corpus(made / "corpus").read() as session:
        film = session.query(Film).first()
    assert film is not None
    told = lineage.loads(film.lineage, "film")
    assert (film.label, told.spec.control) == ("Pneumothorax", "canny")
    assert {"unet", "vae", "text", "controlnet"} <= {one.name for one in told.engine.networks}

    depth = write(tmp_path / "depth.png", blocks("depth", 64, 64))
    asked = ["--depth", str(depth), "--count", "2", "--out", str(tmp_path / "drawn")]
    assert main(["sample", "rare", *asked]) == 0
    first, second = sorted((tmp_path / "drawn").glob("pneumothorax_?.json"))
    told = lineage.read(first)
    assert (told.spec.control, told.spec.structure) == ("depth", None)
    (followed,) = (tmp_path / "drawn").glob("depth_*.png")
    assert told.spec.depth == digest(followed.read_bytes())
    assert main(["regenerate", str(second)]) == 0
    followed.unlink()
    assert main(["regenerate", str(first)]) == 2  # it says which map is not there
    plain = ["--count", "1", "--out", str(tmp_path / "plain")]
    assert main(["sample", "rare", *plain]) == 0  # without a map another film
    files = [tmp_path / folder / "pneumothorax_0.png" for folder in ("drawn", "plain")]
    assert files[0].read_bytes() != files[1].read_bytes()
