"""The Kaggle layout and the simulated patients, prepared, split and loaded."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from common.data.prepare import prepare as prepare_data
from common.data.prepared import Prepared
from common.errors import InputError
from papers.lgg_attention_unet.config import DataConfig
from papers.lgg_attention_unet.data import (
    crop_window,
    load,
    network_input,
    network_target,
    scale,
    source,
)
from papers.lgg_attention_unet.datasets import Stack
from papers.lgg_attention_unet.study import STUDY

FOLDS = DataConfig(height=16, width=16, split="folds", folds=3, validation_fraction=0.25)
SLICES = 12


def prepare(config: DataConfig, folder: Path, raw: Path | None, skip_bad: bool = False) -> Prepared:
    """Prepare one of the study's data sets in a folder."""
    dataset = STUDY.datasets[config.dataset]
    return prepare_data(dataset, config, STUDY.examples, folder, raw, skip_bad)


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    """Six patients of twelve slices; slice n of patient p is 10 p + n everywhere."""
    root = tmp_path / "raw" / "kaggle_3m"
    rows = ["Patient;gender;age_at_initial_pathologic"]
    for patient in range(6):
        name = f"TCGA_AA_000{patient}"
        folder = root / f"{name}_19990101"
        folder.mkdir(parents=True)
        for number in range(1, SLICES + 1):
            image = np.full((32, 32, 3), 10 * patient + number, np.uint8)
            mask = np.zeros((32, 32), np.uint8)
            if number in (5, 6):
                mask[8:16, 4:12] = 255
            tifffile.imwrite(folder / f"{name}_19990101_{number}.tif", image)
            tifffile.imwrite(folder / f"{name}_19990101_{number}_mask.tif", mask)
        rows.append(f"{name};{1 + patient % 2};{30 + patient}")
    (root / "data.csv").write_text("\n".join(rows))
    return tmp_path / "raw"


def path(raw: Path, patient: int, name: str) -> Path:
    stem = f"TCGA_AA_000{patient}_19990101"
    return raw / "kaggle_3m" / stem / f"{stem}_{name}.tif"


def names(part) -> list[str]:
    return [one.name for one in part.stacks]


def test_volumes_come_back_in_numeric_order_with_age_and_sex(kaggle, tmp_path):
    prepared = prepare(FOLDS, tmp_path / "out", kaggle)
    parts = load(prepared, FOLDS, seed=0)
    stack = next(s for part in parts.values() for s in part.stacks if s.name == "TCGA_AA_0003")
    assert stack.images[:, 0, 0, 0].tolist() == [30 + n for n in range(1, SLICES + 1)]
    assert np.flatnonzero(stack.masks.any((1, 2))).tolist() == [4, 5]
    assert stack.masks[4].sum() == 64
    assert (stack.age, stack.sex) == (33, 2)


def test_listing_splits_patients_by_name_as_published(kaggle, tmp_path):
    config = replace(FOLDS, split="listing", test_fraction=0.2, validation_fraction=0.4)
    prepared = prepare(config, tmp_path / "out", kaggle)
    parts = load(prepared, config, seed=5)
    assert names(parts["train"]) == [f"TCGA_AA_000{i}" for i in (0, 1, 2)]
    assert names(parts["validation"]) == ["TCGA_AA_0003", "TCGA_AA_0004"]
    assert names(parts["test"]) == ["TCGA_AA_0005"]
    assert prepared.sizes == {"train": 36, "validation": 24, "test": 12}


def test_folds_test_every_patient_once_and_never_train_on_one_tested(kaggle, tmp_path):
    prepared = prepare(FOLDS, tmp_path / "out", kaggle)
    tested = []
    for seed in range(3):
        parts = load(prepared, FOLDS, seed)
        together = [name for part in parts.values() for name in names(part)]
        assert sorted(together) == [f"TCGA_AA_000{i}" for i in range(6)]
        assert len(parts["validation"].stacks) == 1
        tested += names(parts["test"])
    assert sorted(tested) == [f"TCGA_AA_000{i}" for i in range(6)]
    assert names(load(prepared, FOLDS, 3)["test"]) == names(load(prepared, FOLDS, 0)["test"])


def test_both_separators_give_the_same_data(kaggle, tmp_path):
    one = prepare(FOLDS, tmp_path / "one", kaggle)
    table = kaggle / "kaggle_3m" / "data.csv"
    table.write_text(table.read_text().replace(";", ","))
    assert prepare(FOLDS, tmp_path / "two", kaggle / "kaggle_3m").content_hash == one.content_hash


def test_every_bad_file_is_named_and_skip_bad_leaves_its_patient_out(kaggle, tmp_path):
    broken = path(kaggle, 0, "3")
    broken.write_bytes(broken.read_bytes()[:60])
    path(kaggle, 1, "5_mask").unlink()
    tifffile.imwrite(path(kaggle, 2, "7_mask"), np.zeros((16, 32), np.uint8))
    gray = np.zeros((32, 32), np.uint8)
    gray[3, 4:7] = 127
    tifffile.imwrite(path(kaggle, 3, "2_mask"), gray)
    with pytest.raises(InputError, match="4 bad") as error:
        prepare(FOLDS, tmp_path / "out", kaggle)
    lines = str(error.value).split("\n  ")[1:]
    expected = (
        "TCGA_AA_0000: TCGA_AA_0000_19990101_3.tif cannot be read",
        "TCGA_AA_0001: slice 5 has no mask",
        "TCGA_AA_0002: mask 7 is (16, 32), the first image (32, 32)",
        "TCGA_AA_0003: TCGA_AA_0003_19990101_2_mask.tif holds 127",
    )
    assert len(lines) == 4
    assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True))
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="of 2 patients"):
        prepare(FOLDS, tmp_path / "out", kaggle, skip_bad=True)
    path(kaggle, 1, "5_mask").write_bytes(path(kaggle, 1, "4_mask").read_bytes())
    prepared = prepare(FOLDS, tmp_path / "out", kaggle, skip_bad=True)
    assert sum(part["patients"] for part in prepared.parts.values()) == 3
    assert len(prepared.skipped) == 3
    assert "3 bad left out" in prepared.description


def test_a_patient_of_another_size_than_most_is_named_and_can_be_left_out(kaggle, tmp_path):
    for file in path(kaggle, 2, "1").parent.iterdir():
        image = tifffile.imread(file)
        kind = "rgb" if image.ndim == 3 else "minisblack"
        tifffile.imwrite(file, image.repeat(2, 0).repeat(2, 1), photometric=kind)
    with pytest.raises(InputError, match=r"\n.*_0002: images of 64x64, most are 32x32"):
        prepare(FOLDS, tmp_path / "out", kaggle)
    assert len(prepare(FOLDS, tmp_path / "out", kaggle, skip_bad=True).skipped) == 1


def test_a_gap_in_the_numbers_is_named(kaggle, tmp_path):
    for name in ("6", "6_mask"):
        path(kaggle, 4, name).unlink()
    with pytest.raises(InputError, match="TCGA_AA_0004: slice 6 has no image"):
        prepare(FOLDS, tmp_path / "out", kaggle)


def test_raw_files_are_asked_for_and_folds_must_fit(kaggle, tmp_path):
    with pytest.raises(InputError, match="--raw DIR"):
        prepare(FOLDS, tmp_path / "out", None)
    with pytest.raises(InputError, match="folds=7 of 6 patients"):
        prepare(replace(FOLDS, folds=7), tmp_path / "out", kaggle)


def stack(tumor: bool = True) -> Stack:
    images = np.zeros((2, 8, 8, 3), np.uint8)
    images[:, 2:6, 2:6] = (50, 100, 200)
    masks = np.zeros((2, 8, 8), bool)
    masks[0, 2:4, 2:5] = tumor
    return Stack("one", images, masks)


SMALL = replace(FOLDS, height=4, width=4)


def test_network_size_takes_means_of_images_and_majorities_of_masks():
    images = network_input(stack(), SMALL)
    assert images.dtype == np.uint8
    assert images[0, 1, 1].tolist() == [50, 100, 200]
    masks = network_target(stack(), SMALL)[0, ..., 0]
    assert masks.tolist() == [[0] * 4, [0, 1, 1, 0], [0] * 4, [0] * 4]


def test_the_window_is_the_image_or_the_head_in_the_network_s_proportions():
    assert crop_window(stack(), SMALL) == (slice(0, 8), slice(0, 8))
    assert crop_window(stack(), replace(SMALL, width=8)) == (slice(0, 8), slice(-4, 12))
    head = replace(SMALL, window="head")
    assert crop_window(stack(), head) == (slice(2, 6), slice(2, 6))
    assert network_target(stack(), head)[0, ..., 0].sum() == stack().masks[0].sum() == 6
    speck = stack()
    speck.images[:, 0, 0] = 255
    assert crop_window(speck, head) == (slice(2, 6), slice(2, 6))


@pytest.mark.parametrize("window", ["image", "head"])
def test_a_slice_alone_is_what_it_is_among_all(window):
    one, config = stack(), replace(SMALL, height=3, width=5, window=window)
    one.images[:] = one.images * np.random.default_rng(0).random(one.images.shape)
    one.images[1, :, :4] = 0  # which alone would have another window
    alone = network_input(one, config, slice(1, 2))
    np.testing.assert_array_equal(alone, network_input(one, config)[1:2])


def test_volume_normalization_gives_every_channel_of_the_head_one_median():
    np.testing.assert_allclose(scale(stack(), "none"), 1 / 255)
    np.testing.assert_allclose(scale(stack(), "volume"), [0.4 / 50, 0.4 / 100, 0.4 / 200])
    black = Stack("black", np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 8, 8), bool))
    assert np.isfinite(scale(black, "volume")).all()


def test_slices_with_tumor_are_repeated_for_training(kaggle, tmp_path):
    prepared = prepare(FOLDS, tmp_path / "out", kaggle)
    train = load(prepared, FOLDS, 0)["train"]
    once = source(train, FOLDS, "none")
    more = source(train, FOLDS, "none", tumor_repeats=3)
    patients = len(train.stacks)
    assert (len(once), len(more)) == (12 * patients, 16 * patients)
    example = more[4]
    assert example["image"].shape == (16, 16, 3)
    assert example["mask"].sum() == 16
    assert {name: value.dtype.name for name, value in example.items()} == {
        "image": "uint8",
        "mask": "uint8",
        "scale": "float32",
    }


def test_real_patients_are_whole(tmp_path):
    raw = os.environ.get("STUDY_DATA")
    if not raw or not (Path(raw) / "lgg-mri-segmentation").is_dir():
        pytest.skip("STUDY_DATA does not name a folder with lgg-mri-segmentation")
    config = replace(FOLDS, height=64, width=64, folds=5)
    prepared = prepare(config, tmp_path / "out", Path(raw))
    assert prepared.skipped == ()
    assert not prepared.stand_in
    parts = load(prepared, config, 0)
    stacks = [one for part in parts.values() for one in part.stacks]
    assert len({one.name for one in stacks}) == len(stacks) >= 30
    assert all(one.masks.shape[1:] == (256, 256) and one.masks.any() for one in stacks)
    assert all(18 <= one.age <= 80 or one.age == 0 for one in stacks)
    brighter = []
    for one in stacks:  # tumor lies inside the head, and FLAIR is brighter there in nearly all
        flair = one.images[..., 1].astype(float)
        assert (flair > 15)[one.masks].mean() > 0.9
        brighter.append(flair[one.masks].mean() > 1.1 * flair[flair > 15].mean())
    assert np.mean(brighter) > 0.95
