"""HC18's and the four planes' layouts: nothing is left out or merged without a word."""

import shutil
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from common.data.raw import BadFile
from common.errors import InputError
from papers.ultrasound_diconvae import fetal_planes_layout, hc18_layout
from papers.ultrasound_diconvae.config import DataConfig
from papers.ultrasound_diconvae.datasets import fetal_planes
from papers.ultrasound_diconvae.datasets import hc18 as read_hc18

HC18 = ("010_HC", "010_2HC", "200_HC")
MAP = "background:0,0,0::\nBrain:255,0,0::\n"
PLANE = "Trans-thalamic"


@pytest.fixture
def hc18(tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    (raw / "training_set").mkdir(parents=True)
    for value, name in enumerate(HC18):
        image = np.full((9, 12), value, np.uint8)
        imageio.imwrite(raw / "training_set" / f"{name}.png", image)
        imageio.imwrite(raw / "training_set" / f"{name}_Annotation.png", image)
    rows = [f"{name}.png,0.2,100" for name in HC18]
    header = "filename,pixel size(mm),head circumference (mm)"
    (raw / hc18_layout.TABLE).write_text("\n".join([header, *rows]))
    return raw


@pytest.fixture
def planes(tmp_path: Path) -> Path:
    root = tmp_path / "record" / PLANE
    masks = root / f"{PLANE}-Segmentation" / "SegmentationClass"
    masks.mkdir(parents=True)
    (root / PLANE).mkdir()
    (masks.parent / "labelmap.txt").write_text(MAP)
    for who in range(1, 4):
        name = f"Patient0000{who}_Plane1_1_of_1.png"
        imageio.imwrite(root / PLANE / name, np.full((8, 12), who, np.uint8))
        imageio.imwrite(masks / name, np.zeros((8, 12, 3), np.uint8))
    return root


def names(found) -> list[str]:
    return [entry.name for entry in found.entries]


def test_images_of_hc18_are_found_in_any_case_and_the_rest_is_counted(hc18):
    (hc18 / "training_set").rename(hc18 / "Training_Set")
    folder = hc18 / "Training_Set"
    (folder / "200_HC.png").rename(folder / "200_HC.PNG")
    (folder / "x.png").mkdir()
    (folder / "Thumbs.db").touch()
    (folder / "notes.txt").touch()
    (hc18 / "test_set").mkdir()
    shutil.copy(folder / "010_HC.png", hc18 / "test_set" / "000_HC.png")
    found = hc18_layout.listing(hc18)
    assert sorted(names(found)) == sorted(HC18)
    assert found.bad == []
    assert sorted(found.ignored) == [
        "Training_Set/Thumbs.db: of the system",
        "Training_Set/notes.txt: of another kind",
        "test_set/000_HC.png: outside of the folders that are read",
    ]
    assert len(found.files) == 7


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("010_HC (1).png", ["010_HC (1).png: not named as published, 010_HC.png or 010_HC_"]),
        ("more/020_HC.png", ["training_set/more/020_HC.png: lies in a folder of training_set"]),
        ("020_HC_Annotation.png", ["020_HC_Annotation.png: an outline without its image"]),
        ("20_HC.png", ["20_HC.png: has no row in training_set_pixel"]),
        ("0200_HC.png", ["0200_HC.png: 200_HC is there too", "200_HC.png: 0200_HC is there too"]),
        ("010_hc.png", ["010_HC.png: 010_hc is there too", "010_hc.png: 010_HC is there too"]),
    ],
)  # fmt: skip
def test_what_is_not_the_layout_of_hc18_is_named(hc18, name, lines):
    file = hc18 / "training_set" / name
    file.parent.mkdir(exist_ok=True)
    imageio.imwrite(file, np.full((9, 12), 9, np.uint8))
    found = hc18_layout.listing(hc18)
    assert len(found.bad) == len(lines)
    assert all(map(str.startswith, sorted(found.bad), lines))
    assert found.ignored == []


def test_two_rows_of_one_image_are_refused(hc18):
    table = hc18 / hc18_layout.TABLE
    table.write_text(table.read_text() + "\n010_HC.png,0.3,90\n")
    found = hc18_layout.listing(hc18)
    assert sorted(names(found)) == ["010_2HC", "200_HC"]
    assert found.bad == [f"010_HC.png: has 2 rows in {table.name}, lines 2, 5; keep one"]


def test_an_outline_of_ones_is_told_from_one_of_nothing(hc18):
    entry = hc18_layout.listing(hc18).entries[0]
    line = np.zeros((9, 12), np.uint8)
    line[2:6, 3] = 1
    imageio.imwrite(entry.outline, line)
    with pytest.raises(BadFile, match=r"_Annotation\.png holds 1 at most, its line should be 255"):
        hc18_layout.read(entry, 8, 8)


def test_images_of_a_plane_are_found_in_any_case_and_the_rest_is_counted(planes):
    (planes / PLANE / "._Patient00001_Plane1_1_of_1.png").write_bytes(b"of a Mac")
    for file in list((planes / PLANE).glob("P*.png")):
        file.rename(file.with_suffix(".PNG"))
    shutil.copytree(planes / PLANE, planes / "JPEGImages of another size")
    raw = planes.rename(planes.with_name("trans-THALAMIC")).parent
    found = fetal_planes_layout.listing(raw, ["thalamic"])
    assert len(found.entries) == 3
    assert found.bad == []
    reasons = sorted(line.partition(": ")[2] for line in found.ignored)
    assert reasons == ["hidden"] * 2 + ["outside of the folders that are read"] * 3


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_labelmap_is_read_in_any_encoding(planes, encoding):
    file = planes / f"{PLANE}-Segmentation" / "labelmap.txt"
    file.write_text(MAP.replace("\n", "\r\n"), encoding)
    found = fetal_planes_layout.listing(planes.parent, ["thalamic"])
    assert found.entries[0].colors[255, 0, 0] == 1
    file.write_bytes(MAP.encode("utf-16-le"))
    with pytest.raises(InputError, match=r"labelmap\.txt: line 1 holds NUL"):
        fetal_planes_layout.listing(planes.parent, ["thalamic"])


def test_images_and_masks_without_each_other_and_spelled_alike_are_bad(planes):
    images = planes / PLANE
    masks = planes / f"{PLANE}-Segmentation" / "SegmentationClass"
    (masks / "Patient00001_Plane1_1_of_1.png").unlink()
    (images / "Patient00002_Plane1_1_of_1.png").unlink()
    shutil.copy(images / "Patient00003_Plane1_1_of_1.png", images / "Patient3_Plane1_1_of_1.png")
    found = fetal_planes_layout.listing(planes.parent, ["thalamic"])
    assert found.entries == []
    assert [line.partition("_Plane1_1_of_1.png")[::2] for line in found.bad] == [
        (f"{PLANE}/Patient00001", ": has no mask"),
        (f"{PLANE}/{PLANE}/Patient00003",
         ": Patient3_Plane1_1_of_1.png is there too; keep one, or name them apart"),
        (f"{PLANE}/{PLANE}/Patient3",
         ": Patient00003_Plane1_1_of_1.png is there too; keep one, or name them apart"),
        (f"{PLANE}/Patient00002", ": a mask only"),
    ]  # fmt: skip


def test_copies_are_told_from_leaks(planes):
    images = planes / PLANE
    masks = planes / f"{PLANE}-Segmentation" / "SegmentationClass"
    for new in ("Patient00001_Plane1_2_of_2", "Patient00009_Plane1_1_of_1"):
        for folder in (images, masks):
            shutil.copy(folder / "Patient00001_Plane1_1_of_1.png", folder / f"{new}.png")
    config = DataConfig(dataset="fetal_planes", planes=("thalamic",), height=8, width=12)
    found = fetal_planes(planes.parent, config)
    assert len(found.items) == 3
    assert found.ignored == [
        "Patient00001_Plane1_2_of_2.png, as Patient00001_Plane1_1_of_1: copied"
    ]
    (line,) = found.bad
    assert line.startswith("Patient00009_Plane1_1_of_1.png: shows the same as Patient00001")


def test_every_fault_of_a_folder_comes_into_the_reading(hc18):
    (hc18 / "training_set" / "x.png").touch()
    (hc18 / "notes.txt").touch()
    found = read_hc18(hc18, DataConfig(dataset="hc18"))
    assert "x.png: not named as published" in found.bad[0]
    assert found.ignored == ["notes.txt: outside of the folders that are read"]
