"""Cam-CAN's layout: no volume is left out or merged with another without a word."""

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from common.errors import InputError
from papers.camcan_cfg.camcan_layout import listing, read
from papers.camcan_cfg.config import DataConfig

CONFIG = DataConfig(dataset="camcan", height=12, width=16, slices=4)
SUBJECTS = ("CC001", "CC002", "CC003")


def save(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).uniform(0, 255, (5, 6, 9)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-2.0, 2, 2, 1])), path)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    for seed, name in enumerate(SUBJECTS):
        save(raw / f"batch{seed}" / f"sub-{name}_defaced_T1.nii.gz", seed)
    rows = [f"{name},{20 + i},{'FM'[i % 2]}" for i, name in enumerate(SUBJECTS)]
    (raw / "phenotype.csv").write_text("\n".join(["Subject,Age,Sex", *rows]))
    return raw


def test_volumes_are_found_in_all_folders_and_in_any_case(raw):
    (raw / "batch0" / "sub-CC001_defaced_T1.nii.gz").rename(raw / "sub-CC001_defaced_T1.NII.GZ")
    (raw / "phenotype.csv").rename(raw / "Phenotype.CSV")
    save(raw / "batch1" / "sub-CC002_T2.nii.gz", 7)
    (raw / "batch1" / "notes.txt").touch()
    found = read(raw, CONFIG)
    assert [one.name for one in found.items] == list(SUBJECTS)
    assert [one.sex for one in found.items] == [1, 2, 1]
    assert (found.bad, found.absent) == ([], [])
    assert sorted(found.ignored) == [
        "batch1/notes.txt: of another kind",
        "batch1/sub-CC002_T2.nii.gz: not named as published",
    ]


def test_of_two_volumes_of_one_subject_neither_is_read(raw):
    save(raw / "again" / "sub-CC001_defaced_T1.nii.gz", 8)
    found = read(raw, CONFIG)
    assert [one.name for one in found.items] == ["CC002", "CC003"]
    (line,) = found.bad
    assert line.startswith("CC001: has 2 volumes, again/sub-CC001_defaced_T1.nii.gz and batch0/")
    assert found.absent == []


def test_subjects_that_differ_only_in_case_or_zeros_are_bad(raw):
    save(raw / "sub-cc1_defaced_T1.nii.gz", 8)
    found = read(raw, CONFIG)
    assert [line.partition(" is there too")[0] for line in found.bad] == [
        "CC001: sub-cc1_defaced_T1.nii.gz",
        "cc1: batch0/sub-CC001_defaced_T1.nii.gz",
    ]


def test_a_row_of_another_spelling_is_named(raw):
    table = raw / "phenotype.csv"
    table.write_text(table.read_text().replace("CC002", "cc002"))
    found = read(raw, CONFIG)
    assert found.bad == [
        "sub-CC002_defaced_T1.nii.gz: has no row in phenotype.csv, but line 3 has 'cc002'"
    ]


def test_a_row_with_more_cells_than_the_header_is_bad_and_no_age_is_cut(raw):
    (raw / "phenotype.csv").write_text("Subject,Age,Sex\nCC001,45,1,2\nCC002,50,1\nCC003,51,2\n")
    found = read(raw, CONFIG)
    assert [one.name for one in found.items] == ["CC002", "CC003"]
    assert found.bad == [
        "phenotype.csv: line 2 has 4 cells, its header 3",
        "sub-CC001_defaced_T1.nii.gz: has no row in phenotype.csv",
    ]


def test_a_percentile_is_white_whatever_the_scanner_s_numbers_are(raw):
    path = raw / "batch0" / "sub-CC001_defaced_T1.nii.gz"
    volume = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(40 * volume.get_fdata(), volume.affine), path)
    (line,) = read(raw, CONFIG).bad
    assert "scale them to 0 to 255, or let --set data.percentile=99.5 do it" in line
    config = replace(CONFIG, percentile=90.0)
    found = read(raw, config)
    assert found.bad == []
    for one in found.items:
        assert 0 <= one.images.min() < one.images.max() <= 1
    bright = found.items[0].images
    nibabel.save(nibabel.Nifti1Image(volume.get_fdata(), volume.affine), path)
    np.testing.assert_allclose(bright, read(raw, config).items[0].images, rtol=1e-5)


def test_two_tables_are_refused(raw):
    (raw / "PHENOTYPE.csv").touch()
    with pytest.raises(InputError, match=r"both .* and .* are there; keep one"):
        listing(raw)
