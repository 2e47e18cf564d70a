"""Prepared data keeps its content hash, which keys of trained networks and results depend on.

What is read is made up here by a generator that NumPy has frozen, and is the same everywhere.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.data import columns, shelf
from common.data.prepare import prepare
from common.data.prepared import Prepared, Reading
from common.data.shelf import kept
from papers.camcan_cfg import data as camcan_data
from papers.camcan_cfg import study as camcan
from papers.camcan_cfg.layout import SubjectSlices
from papers.lgg_attention_unet import data as lgg_data
from papers.lgg_attention_unet import study as lgg
from papers.lgg_attention_unet.datasets import Stack
from papers.rare_disease_controlnet import data as rare_data
from papers.rare_disease_controlnet import study as rare
from papers.rare_disease_controlnet.film import Film
from papers.rare_disease_controlnet.listing import FilmReading
from papers.surgical_vision import data as surgical_data
from papers.surgical_vision import study as surgical
from papers.surgical_vision.pair import Pair, Truth
from papers.ultrasound_diconvae import data as ultrasound_data
from papers.ultrasound_diconvae import study as ultrasound
from papers.ultrasound_diconvae.image import LabeledImage


def drawn(seed: int):
    """Return a function that draws 8-bit arrays of a shape, at most so large."""
    random = np.random.RandomState(seed)
    return lambda *shape, most=256: random.randint(0, most, shape).astype(np.uint8)


def subjects():
    for i in range(12):
        images = drawn(i)(3, 8, 10).astype(np.float32) / np.float32(255)
        yield SubjectSlices(f"S{i}", 20.0 + i, 1 + i % 2, np.arange(40, 43), images)


def stacks():
    for i in range(6):
        draw = drawn(i)
        yield Stack(f"P{i}", draw(3, 8, 10, 3), draw(3, 8, 10, most=2) > 0, 30.0 + i, i % 3)


def films():
    for i in range(60):
        draw = drawn(i)
        named = ("nodule",) if i % 3 == 0 else ("effusion",) if i % 5 == 0 else ()
        mask = draw(8, 8, most=2) > 0 if named else None
        shown = {"mask": mask, "structure": draw(8, 8) if named else None}
        yield Film(f"F{i}", f"patient{i // 2}", draw(8, 8), named, "left", i / 60, **shown)


def pairs():
    for i in range(10):
        draw = drawn(i)
        flow = draw(8, 8, 2).astype(np.float32)
        marks = draw(5, 2).astype(np.float32)
        amounts = np.array([0, 1, 0.5], np.float32)
        truth = Truth(amounts, flow, draw(8, 8), i, marks, draw(1, 1, 3))
        operated = (i % 2 == 0, i % 3 == 0, True)
        yield Pair(f"N{i}", f"N{i // 2}", draw(8, 8, 3), draw(8, 8, 3), operated, truth)


def images():
    for i in range(12):
        draw = drawn(i)
        yield LabeledImage(
            name=f"I{i}", subject=f"S{i // 2}", plane="trans-thalamic", image=draw(8, 8, 1),
            labels=draw(8, 8, most=4), mm=(0.1, 0.2), head_mm=200.0 + i, clean=draw(8, 8, 1),
        )  # fmt: skip


MADE = {
    "camcan": (camcan.STUDY, "simulated", subjects),
    "lgg": (lgg.STUDY, "simulated", stacks),
    "rare": (rare.STUDY, "films", films),
    "surgical": (surgical.STUDY, "heads", pairs),
    "ultrasound": (ultrasound.STUDY, "simulated", images),
}
SETTINGS = {
    "lgg": {"split": "folds", "folds": 3},
    "rare": {"rare": "nodule", "split": "patient", "findings": ("nodule", "effusion")},
}
HASHES = {
    "camcan": "b2ef9214e20fbb734cea0b7d5f42f0861e65cd500fc71bcf47c5443d7148bf0a",
    "lgg": "8710bcb3f0073beb417c7e6e859d47cf40366e83e8a82966ca3dc6e8e74bc293",
    "rare": "2d273cd5235028d10b05f6d6af2de8542b87925bf11d48cf5480d937f3f65eed",
    "surgical": "b852296f427cd80e2578ad80a817d092c4accc88ea35f980facabf0f36f15835",
    "ultrasound": "7a69fcbba8bce2331dc0e67f00a515fa4173adba70c9828209d09653bee03830",
}


def made_up(name: str, folder: Path) -> Prepared:
    study, dataset, items = MADE[name]
    config = replace(study.published.data, dataset=dataset, **SETTINGS.get(name, {}))
    reading = FilmReading if name == "rare" else Reading

    def read(raw, config):
        return reading(list(map(kept, items())))

    made = replace(study.datasets[dataset], read=read)
    return prepare(made, config, study.examples, folder, None)


def loaded(name: str, prepared: Prepared) -> list[np.ndarray]:
    """Return all arrays of the train part as a training has them."""
    match name:
        case "camcan":
            part: object = camcan_data.load(prepared, "train")
        case "lgg":
            config = replace(lgg.STUDY.published.data, **SETTINGS["lgg"])
            whole = lgg_data.load(prepared, config, 0)["train"]
            source = lgg_data.source(whole, config, "none", 2)
            return list(source[np.arange(len(source))].values())
        case "rare":
            part = rare_data.load(prepared, "train").rows(np.arange(5))
        case "surgical":
            part = surgical_data.load(prepared, "train")
            source = surgical_data.with_references(part).sources[1]
            faces = [part.before, part.after, part.labels, *vars(part.truth).values()]
            return [*faces, *source[np.arange(4)].values()]
        case _:
            part = ultrasound_data.load(prepared, "train")
    return [np.asarray(value) for value in vars(part).values()]


@pytest.mark.parametrize("name", MADE)
def test_what_lies_on_disk_is_what_would_be_in_memory(name, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("common.provenance.digest", lambda *_: "code")
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path))
    whole = loaded(name, made_up(name, tmp_path / "memory"))
    for module in (shelf, columns):
        monkeypatch.setattr(module, "IN_MEMORY", 0)
    monkeypatch.setattr(shelf, "_BLOCK", 2)
    prepared = made_up(name, tmp_path / "disk")
    assert prepared.content_hash == HASHES[name]
    for old, new in zip(whole, loaded(name, prepared), strict=True):
        assert old.dtype == new.dtype
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("name", MADE)
def test_the_same_examples_have_the_same_content_hash(name, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("common.provenance.digest", lambda *_: "code")  # none of the program's
    prepared = made_up(name, tmp_path / "data")
    assert prepared.content_hash == HASHES[name]
