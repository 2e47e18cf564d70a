"""Kaggle's layout: nothing in it is left out, merged or overwritten without a word."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from common.data import kaggle_lgg
from common.data.raw import BadFile
from common.errors import InputError

NAMES = ("TCGA_CS_1001", "TCGA_DU_1002")


def write(folder: Path, exam: str, numbers=(1, 2), end: str = ".tif") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        image = np.full((4, 5, 3), number, np.uint8)
        tifffile.imwrite(folder / f"{exam}_{number}{end}", image, photometric="rgb")
        tifffile.imwrite(folder / f"{exam}_{number}_mask{end}", image[..., 0] * 0)
    return folder


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    root = tmp_path / "raw" / "kaggle_3m"
    for name in NAMES:
        write(root / f"{name}_19990101", f"{name}_19990101")
    (root / "data.csv").write_text("Patient\n")
    return root.parent


def test_files_are_those_of_the_patients_whatever_the_case_of_names(raw):
    folder = raw / "kaggle_3m" / "TCGA_CS_1001_19990101"
    for file in list(folder.iterdir()):
        file.rename(file.with_suffix(".TIF"))
    (raw / "kaggle_3m").rename(raw / "Kaggle_3M")
    (raw / "Kaggle_3M" / "data.csv").rename(raw / "Kaggle_3M" / "DATA.CSV")
    (raw / "notes.txt").touch()
    found = kaggle_lgg.listing(raw)
    assert list(found.patients) == list(NAMES)
    assert [len(files) for files in found.patients.values()] == [4, 4]
    assert len(found.files) == 9
    assert (found.bad, found.ignored) == ([], ["notes.txt: of another kind"])


def test_the_second_copy_in_kaggle_s_archive_is_ignored_and_counted(raw):
    shutil.copytree(raw / "kaggle_3m", raw / "lgg-mri-segmentation" / "kaggle_3m")
    found = kaggle_lgg.listing(raw)
    assert found.bad == []
    assert sum(line.endswith(": there a second time") for line in found.ignored) == 8
    write(raw / "lgg-mri-segmentation" / "kaggle_3m" / "TCGA_HT_9_1", "TCGA_HT_9999_20000101")
    (line,) = kaggle_lgg.listing(raw).bad
    assert line.startswith("lgg-mri-segmentation/kaggle_3m/TCGA_HT_9_1: holds 4 images named as")


def copied(raw: Path) -> None:
    folder = raw / "kaggle_3m" / "TCGA_CS_1001_19990101"
    shutil.copytree(folder, folder.with_name(f"{folder.name} - Copy"))


def of_another(raw: Path) -> None:
    write(raw / "kaggle_3m" / "TCGA_CS_1001_19990101", "TCGA_HT_1003_19990101")


def second(raw: Path) -> None:
    write(raw / "kaggle_3m" / "TCGA_CS_1001_20050505", "TCGA_CS_1001_20050505")


def spelled(raw: Path) -> None:
    write(raw / "kaggle_3m" / "TCGA_cs_1001_19990101", "TCGA_cs_1001_19990101")


def renamed(raw: Path) -> None:
    folder = raw / "kaggle_3m" / "TCGA_CS_1001_19990101"
    shutil.copy(folder / f"{folder.name}_1.tif", folder / f"{folder.name}_1 (1).tif")


def empty(raw: Path) -> None:
    (raw / "kaggle_3m" / "TCGA_HT_1003_19990101").mkdir()


@pytest.mark.parametrize(
    ("spoil", "lines"),
    [
        (copied, ["kaggle_3m/TCGA_CS_1001_19990101 - Copy: holds 4 images named as those of"]),
        (of_another, ["kaggle_3m/TCGA_CS_1001_19990101: holds 4 images named as those of another"]),
        (second, ["TCGA_CS_1001: has 2 examinations, TCGA_CS_1001_19990101 and TCGA_CS_1001_2005"]),
        (spelled, ["TCGA_CS_1001: TCGA_cs_1001 is there too; keep one",
                   "TCGA_cs_1001: TCGA_CS_1001 is there too; keep one"]),
        (renamed, ["kaggle_3m/TCGA_CS_1001_19990101/TCGA_CS_1001_19990101_1 (1).tif: not named"]),
        (empty, ["kaggle_3m/TCGA_HT_1003_19990101: holds no TCGA_HT_1003_19990101_<slice>.tif"]),
    ],
)  # fmt: skip
def test_what_cannot_be_told_apart_is_bad(raw, spoil, lines):
    spoil(raw)
    found = kaggle_lgg.listing(raw)
    assert len(found.bad) == len(lines)
    assert all(map(str.startswith, found.bad, lines))
    assert found.ignored == []


def test_a_slice_that_comes_twice_is_bad(raw):
    folder = raw / "kaggle_3m" / "TCGA_CS_1001_19990101"
    shutil.copy(folder / f"{folder.name}_1.tif", folder / f"{folder.name}_01.tif")
    files = kaggle_lgg.listing(raw).patients["TCGA_CS_1001"]
    with pytest.raises(BadFile, match="is there under another name too: 1 comes twice; keep one"):
        kaggle_lgg.read_stack(files)


def test_two_tables_are_refused(raw):
    (raw / "kaggle_3m" / "DATA.csv").touch()
    with pytest.raises(InputError, match=r"both kaggle_3m/.* and kaggle_3m/.* are there"):
        kaggle_lgg.listing(raw)
