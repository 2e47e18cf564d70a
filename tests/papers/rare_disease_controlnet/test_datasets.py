"""Films are read at the study's size, chosen by finding and limit, and bad ones named."""

import sys
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from common.data.images import resize_area
from common.data.raw import BadFile
from common.errors import InputError
from papers.rare_disease_controlnet import gray_film
from papers.rare_disease_controlnet.config import DataConfig
from papers.rare_disease_controlnet.datasets import DATASETS
from papers.rare_disease_controlnet.film import Film
from tests.papers.rare_disease_controlnet.film_files import blocks, nih, write, write_dicom

NIH = DataConfig(size=32, rare="Nodule")
FOLDER = replace(NIH, dataset="folder", rare="nodule")
LABELS = {
    "00000001_000": "Nodule",
    "00000001_001": "Nodule|Mass",
    "00000001_002": "No Finding",
    "00000002_000": "Mass",
    "00000002_001": "Edema",
    "00000003_000": "No Finding",
}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return nih(tmp_path / "raw", LABELS)


def read(config: DataConfig, raw: Path):
    return DATASETS[config.dataset].read(raw, config)


def names(config: DataConfig, raw: Path) -> list[str]:
    return [film.name for film in read(config, raw).items]


def test_films_come_at_the_size_with_what_is_known(raw):
    reading = read(NIH, raw)
    assert (reading.bad, reading.absent) == ([], [])
    films = {film.name: film for film in reading.items}
    assert set(films) == set(LABELS)
    film = films["00000001_001"]
    expected = np.rint(resize_area(blocks("00000001_001.png")[None], 32, 32)[0])
    np.testing.assert_array_equal(film.image, expected)
    assert (film.patient, film.findings, film.view) == ("00000001", ("Nodule", "Mass"), "PA")
    assert film.mask is film.structure is None


def test_findings_are_chosen_and_the_rest_is_counted(raw):
    config = replace(NIH, findings=("Nodule",))
    assert sorted(names(config, raw)) == [
        "00000001_000", "00000001_001", "00000001_002", "00000003_000"
    ]  # fmt: skip
    assert read(config, raw).notes[0] == "2 with other findings only left out"
    files = DATASETS["nih"].files(raw, config)
    assert {path.name for path in files} == {
        "Data_Entry_2017.csv", *(f"{name}.png" for name in names(config, raw))
    }  # fmt: skip
    with pytest.raises(InputError, match=r"data\.findings: no film of nih has 'nodul'; did you"):
        read(replace(NIH, findings=("nodul", "Nodule")), raw)
    with pytest.raises(InputError, match=r"data\.rare: no film of nih has 'Hernia'; choose one of"):
        read(replace(NIH, rare="Hernia"), raw)


def test_the_limit_takes_a_film_of_each_patient_before_a_second(raw):
    assert names(replace(NIH, limit=4), raw) == [
        "00000001_000", "00000002_000", "00000003_000", "00000001_001"
    ]  # fmt: skip


def test_every_bad_film_is_named(raw):
    images = raw / "images"
    (images / "00000001_000.png").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    whole = (images / "00000001_001.png").read_bytes()
    (images / "00000001_001.png").write_bytes(whole[: len(whole) // 2])
    write(images / "00000001_002.png", np.full((40, 40), 9, np.uint8))
    write(images / "00000002_000.png", blocks("a", 40, 90))
    write(images / "00000002_001.png", blocks("a", 40, 20))
    deep = Image.fromarray(blocks("a").astype(np.uint16) * 256)
    deep.save(images / "00000003_000.png")
    reading = read(NIH, raw)
    assert reading.items == []
    bad = dict(line.split(": ", 1) for line in reading.bad)
    assert bad.pop("images/00000001_001.png").startswith("cannot be read")
    assert bad == {
        "images/00000001_000.png": "cannot be read: it is a Git LFS pointer (fetch the file: git "
        "lfs pull), expected PNG, JPEG or DICOM",
        "images/00000001_002.png": "is of one gray value, not a film",
        "images/00000002_000.png": "is 90x40, which is not the shape of a chest film",
        "images/00000002_001.png": "is 20x40, expected at least 32 pixels a side",
        "images/00000003_000.png": "has more than 8 bits a pixel; save it with 8, or give the "
        "DICOM file",
    }


def test_of_equal_films_one_is_kept_unless_their_findings_differ(tmp_path):
    raw = tmp_path / "raw"
    write(raw / "normal" / "ann.png", blocks("1"))
    write(raw / "normal" / "bob.png", blocks("1"))
    write(raw / "nodule" / "cid.png", blocks("2"))
    reading = read(FOLDER, raw)
    assert len(reading.items) == 2
    assert (reading.bad, reading.notes) == ([], ["1 copies of others left out"])
    write(raw / "normal" / "cid.png", blocks("2"))
    (line,) = read(FOLDER, raw).bad
    assert line.endswith("cid.png, which has other findings")


def test_smaller_films_are_enlarged_smoothly_and_counted(raw):
    reading = read(replace(NIH, size=80), raw)
    assert reading.notes[0] == "6 smaller than 80 pixels, enlarged"
    ramp = np.tile(np.arange(0, 240, 6, dtype=np.uint8), (40, 1))
    large = gray_film.resized(ramp, 80)
    assert large.shape == (80, 80)
    assert np.diff(large[:, 2:-2].astype(int), axis=1).min() >= 2
    assert np.diff(large.astype(int), axis=1).max() <= 4


def test_squares_lose_some_of_the_longer_side_and_get_edges_for_the_rest():
    film = blocks("a", 100, 90)
    np.testing.assert_array_equal(gray_film.square(film), film[5:95])
    film = blocks("a", 60, 100)
    made = gray_film.square(film)
    assert made.shape == (85, 85)
    assert not made[:13].any()
    assert not made[73:].any()
    np.testing.assert_array_equal(made[13:73], film[:, 7:92])
    np.testing.assert_array_equal(gray_film.square(film.T), made.T)


@pytest.mark.parametrize(
    ("end", "modes"), [("png", ("L", "RGB", "RGBA", "LA", "P")), ("jpg", ("L", "RGB", "CMYK"))]
)
def test_gray_films_of_every_kind_are_the_same(tmp_path, end, modes):
    image = np.repeat(np.arange(40, 240, 5, dtype=np.uint8)[:, None], 40, 1)
    for mode in modes:
        Image.fromarray(image).convert(mode).save(tmp_path / f"a.{end}", quality=95)
        found = gray_film.read(tmp_path / f"a.{end}").astype(int)
        assert np.abs(found - image).max() <= (0 if end == "png" else 4)


def test_colors_are_refused_and_orientation_is_heeded(tmp_path):
    color = np.stack([blocks("a"), blocks("b"), blocks("c")], -1)
    with pytest.raises(BadFile, match="is in color, a film is gray"):
        gray_film.read(write(tmp_path / "a.png", color))
    exif = Image.Exif()
    exif[0x0112] = 6  # the stored top is the right side
    Image.fromarray(blocks("a")).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(gray_film.read(tmp_path / "a.png"), np.rot90(blocks("a"), -1))
    Image.fromarray(np.zeros((40, 40, 4), np.uint16).view(np.uint8)[..., :4]).save(
        tmp_path / "b.png"
    )
    content = bytearray((tmp_path / "b.png").read_bytes())
    content[24] = 16  # as a PNG of 16 bits with transparency begins
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    (tmp_path / "b.png").write_bytes(content)
    with pytest.raises(BadFile, match="has 16 bits and colors or transparency"):
        gray_film.read(tmp_path / "b.png")


def test_dicom_films_of_a_folder_are_read_like_all(tmp_path):
    raw = tmp_path / "raw"
    write_dicom(raw / "nodule" / "a.dcm", 255 - blocks("1"), "MONOCHROME1")
    write_dicom(raw / "nodule" / "b.dcm", blocks("2"), BurnedInAnnotation="YES")
    write(raw / "normal" / "c.png", blocks("3"))
    reading = read(FOLDER, raw)
    assert reading.bad == [
        "nodule/b.dcm: has burned-in annotations, which may name the patient; remove them first"
    ]
    film = next(film for film in reading.items if film.findings)
    np.testing.assert_array_equal(film.image, gray_film.resized(blocks("1"), 32))
    assert film.view == "PA"


def test_simulated_films_are_those_of_the_simulator(monkeypatch):
    config = replace(NIH, dataset="films", findings=("Nodule",), films=(1, 1))
    drawn = [Film("0", "0", blocks("0")), Film("1", "1", blocks("1"), ("Nodule",))]
    simulator = SimpleNamespace(films=lambda given: iter(drawn if given == config else []))
    name = "papers.rare_disease_controlnet.simulate"
    monkeypatch.setitem(sys.modules, name, simulator)
    monkeypatch.setattr("papers.rare_disease_controlnet.simulate", simulator, raising=False)
    assert DATASETS["films"].read(None, config).items == drawn
    assert DATASETS["films"].stand_in
    assert not any(DATASETS[name].stand_in for name in ("nih", "kermany", "folder"))
