"""What is read becomes examples, split by patient, and what each family of models is shown."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.data.loader import batches
from common.data.prepare import prepare as prepare_data
from common.data.prepared import Prepared, Reading
from common.errors import InputError
from papers.surgical_vision import data
from papers.surgical_vision.config import DataConfig
from papers.surgical_vision.data import Part
from papers.surgical_vision.datasets import DATASETS, heads, ladders
from papers.surgical_vision.pair import LADDER, Pair
from tests.papers.surgical_vision.pair_files import SIZE, config, face, write

PARTS = ("train", "validation", "test")
HEADS = replace(config(), dataset="heads", patients=4, train_fraction=0.5, validation_fraction=0.25)


def prepare(settings: DataConfig, folder: Path, raw: Path | None = None, **options) -> Prepared:
    dataset = DATASETS[settings.dataset]
    return prepare_data(dataset, settings, data.examples, folder, raw, **options)


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    """Return a folder of eight pairs of six patients."""
    raw = tmp_path_factory.mktemp("raw")
    rows = ["name;eyes;nose;chin;patient"]
    for number in range(8):
        write(raw, f"{number}")
        labels = ("1;0;0", "0;1;0", "0;1;1")[number % 3]
        rows.append(f"{number};{labels};{'ann' if number in (0, 4, 7) else ''}")
    (raw / "labels.csv").write_text("\n".join(rows))
    return raw


@pytest.fixture(scope="module")
def rendered() -> Reading[Pair]:
    return heads(None, HEADS)


def test_pairs_are_prepared_whole_and_split_by_patient(raw, tmp_path):
    prepared = prepare(config(train_fraction=0.5, validation_fraction=0.25), tmp_path / "a", raw)
    assert prepared.description == (
        "pairs of photographs: 8 pairs of 6 patients (3 eyes, 5 nose, 2 chin); split by patient"
    )
    assert not prepared.stand_in
    parts = {name: data.load(prepared, name) for name in PARTS}
    names = [part.names for part in parts.values()]
    assert sorted(sum(names, ())) == [f"{number}" for number in range(8)]
    assert sum({"0", "4", "7"} <= set(each) for each in names) == 1
    assert sum(part["patients"] for part in prepared.parts.values()) == 6
    for part in parts.values():
        assert list(part.names) == sorted(part.names)
        assert part.truth is None
        assert part.labels.dtype == np.uint8
        for name, before, label in zip(part.names, part.before, part.labels, strict=True):
            middle = face(f"{name} before")
            assert np.abs(before.mean((0, 1)) - middle.mean((0, 1))).max() < 2
            assert label.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]][int(name) % 3]
    other = prepare(
        config(split_seed=1, train_fraction=0.5, validation_fraction=0.25), tmp_path / "b", raw
    )
    assert data.load(other, "train").names != parts["train"].names


def test_bad_files_stop_the_preparation_or_are_left_out(raw, tmp_path):
    folder = tmp_path / "raw"
    for number in range(3):
        write(folder, f"{number}")
    (folder / "after" / "0.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="1 bad; fix them, or skip them") as error:
        prepare(config(), tmp_path / "out", folder)
    assert "\n  after/0.png: cannot be read" in str(error.value)
    with pytest.raises(InputError, match="2 cannot be split into train, validation and test"):
        prepare(config(), tmp_path / "out", folder, skip_bad=True)
    write(folder, "3")
    prepared = prepare(config(), tmp_path / "out", folder, skip_bad=True)
    assert prepared.skipped[0].startswith("after/0.png: cannot be read")
    assert sum(prepared.sizes.values()) == 3
    with pytest.raises(InputError, match="needs raw files"):
        prepare(config(), tmp_path / "none")


def test_rendered_heads_keep_their_truth(rendered, tmp_path):
    made = data.examples(HEADS, rendered)
    assert {part: len(members) for part, members in made.splits.items()} == {
        "train": 2, "validation": 1, "test": 1
    }  # fmt: skip
    settings = replace(HEADS, patients=3)
    part = data.load(prepare(settings, tmp_path / "out"), "test")
    own = {pair.name: pair for pair in rendered.items}[part.names[0]]  # more patients, same faces
    np.testing.assert_array_equal(part.before[0], own.before)
    np.testing.assert_array_equal(part.after[0], own.after)
    truth = part.truth
    assert own.truth is not None
    for name in ("amounts", "flow", "regions", "landmarks", "drawn"):
        np.testing.assert_array_equal(getattr(truth, name)[0], getattr(own.truth, name))
    assert ((truth.amounts > 0) == (part.labels == 1)).all()
    rungs = ladders(settings, truth)
    assert rungs.shape == (1, len(LADDER), SIZE, SIZE, 3)
    np.testing.assert_array_equal(rungs[0, LADDER.index(0)], part.before[0])


def of(labels: list[list[int]]) -> Part:
    """Return pairs whose images are their number, after surgery 100 more."""
    count = len(labels)
    before = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    names = tuple(f"{number}" for number in range(count))
    return Part(names, before, before + np.uint8(100), np.array(labels, np.uint8))


PART = of([[1, 0, 0], [0, 1, 0], [0, 1, 1], [0, 1, 0], [0, 0, 1], [0, 1, 0]])
DOMAINS = [set(range(6)), {100}, {101, 102, 103, 105}, {102, 104}]


def drawn(source, size: int, fields: tuple[str, ...], steps: int = 12) -> dict[str, np.ndarray]:
    """Return so many batches of a source, each image as its number."""
    found = [batch for batch, _ in zip(batches(source, size, seed=0), range(steps), strict=False)]
    rows = {name: np.concatenate([batch[name] for batch in found]) for name in fields}
    return {name: row if row.ndim < 4 else row[:, 0, 0, 0] for name, row in rows.items()}


def test_paired_images_are_of_one_patient_and_unpaired_of_any():
    pairs = drawn(data.paired(PART), 3, ("before", "after"))
    assert (pairs["after"] - pairs["before"] == 100).all()
    loose = drawn(data.unpaired(PART), 3, ("before", "after"))
    assert set(loose["before"]) == DOMAINS[0]
    assert set(loose["after"]) == {number + 100 for number in range(6)}
    assert (loose["after"] - loose["before"] != 100).mean() > 0.5


def test_single_images_know_what_was_operated():
    source = data.single(PART)
    assert len(source) == 12
    images = drawn(source, 4, ("image", "label"), steps=3)  # an epoch
    assert sorted(images["image"]) == [*range(6), *range(100, 106)]
    for image, label in zip(images["image"], images["label"], strict=True):
        assert label.tolist() == (PART.labels[image - 100].tolist() if image >= 100 else [0, 0, 0])


def test_references_are_of_the_target_domain_and_all_domains_meet_equally_often():
    source = data.with_references(PART)
    assert len(source) == 4 * 6
    fields = ("image", "domain", "reference", "reference2", "target")
    found = drawn(source, 4, fields, steps=6)  # an epoch
    assert Counter(found["domain"].tolist()) == Counter(found["target"].tolist())
    assert set(Counter(found["domain"].tolist()).values()) == {6}
    for image, domain, one, two, target in zip(*(found[name] for name in fields), strict=True):
        assert image in DOMAINS[domain]
        assert {one, two} <= DOMAINS[target]
        assert one != two or len(DOMAINS[target]) == 1
    assert len(set(zip(found["domain"], found["target"], strict=True))) > 8  # in any combination


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_two_references_differ_wherever_there_are_two(count):
    labels = [[1, 1, 1]] * count
    found = drawn(data.with_references(of(labels)), 4, ("reference", "reference2"), steps=count)
    assert (found["reference"] != found["reference2"]).all()


def test_a_domain_that_nobody_has_is_left_out():
    found = drawn(data.with_references(of([[1, 0, 0]] * 4)), 4, ("domain", "target"))
    assert set(found["domain"]) == set(found["target"]) == {0, 1}


def test_parts_are_cut_with_all_that_is_known(rendered):
    pairs = rendered.items
    truths = data.Truths(
        *(np.stack([getattr(pair.truth, name) for pair in pairs]) for name in data._TRUTHS)
    )
    part = replace(of([[1, 0, 0]] * len(pairs)), truth=truths)
    cut = part.rows(np.array([2, 0]))
    assert cut.names == ("2", "0")
    assert cut.truth is not None
    np.testing.assert_array_equal(cut.truth.flow[0], truths.flow[2])
    assert cut.before[:, 0, 0, 0].tolist() == [2, 0]
    assert len(part.first(3)) == 3
    assert len(part.first(99)) == len(pairs)
