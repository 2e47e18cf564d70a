"""What users choose in prediction on ultrasound: a pixel's size, a threshold, maps, all seeds."""

import csv
import json
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile

from common.errors import InputError
from common.pipeline.trained import find_seeds
from papers.__main__ import main
from papers.ultrasound_diconvae.clips import Clip
from papers.ultrasound_diconvae.config import Config
from papers.ultrasound_diconvae.options import Options
from papers.ultrasound_diconvae.predict import load_predictor, predict
from papers.ultrasound_diconvae.study import STUDY
from tests.papers.ultrasound_diconvae.dicom_files import write
from tests.papers.ultrasound_diconvae.known_networks import GRAYS, head, names, saved

HEADER = "filename,pixel size(mm),head circumference (mm)"


def circumference(mm: float, height: int = 160, width: int = 240) -> float:
    """Return that of `head` by pixels of this side, in mm."""
    a, b = 0.35 * height * mm, 0.3 * width * mm
    h = ((a - b) / (a + b)) ** 2
    return np.pi * (a + b) * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h)))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder as HC18's, of two heads with their outlines."""
    folder = tmp_path / "training_set"
    folder.mkdir()
    for name in ("010_HC", "011_HC"):
        imageio.imwrite(folder / f"{name}.png", GRAYS[head(160, 240)].astype(np.uint8))
        imageio.imwrite(folder / f"{name}_Annotation.png", np.zeros((160, 240), np.uint8))
    return folder


def test_a_given_size_of_pixels_measures_images_in_mm(run, by_gray, images, tmp_path):
    rows = predict(run, images, tmp_path / "out", options=Options(pixel_mm=0.25))
    assert [row["file"] for row in rows] == ["010_HC.png", "011_HC.png"]  # no outline among them
    for row in rows:
        assert row["head_mm"] == pytest.approx(circumference(0.25), rel=0.02)
        assert row["brain_mm2"] == pytest.approx(row["brain_pixels"] / 16)


def test_a_file_s_own_size_of_pixels_counts_before_a_given_one(run, by_gray, tmp_path):
    write(tmp_path / "1", GRAYS[head(160, 240)].astype(np.uint8), PixelSpacing=[0.5, 0.5])
    (row,) = predict(run, tmp_path / "1", tmp_path / "out", options=Options(pixel_mm=0.1))
    assert row["head_mm"] == pytest.approx(circumference(0.5), rel=0.02)


@pytest.mark.parametrize("beside", [False, True])
def test_hc18_s_table_of_sizes_is_found(beside, run, by_gray, images, tmp_path, capsys):
    place = tmp_path if beside else images
    table = f"{HEADER}\n010_HC.png,0.2,99.1\n"
    (place / "training_set_pixel_size_and_HC.csv").write_text(table)
    (tmp_path / "test_set_pixel_size.csv").write_text("filename,pixel size(mm)\n011_HC.png,9\n")
    known, unknown = predict(run, images, tmp_path / "out")
    assert known["head_mm"] == pytest.approx(circumference(0.2), rel=0.02)
    assert unknown["head_mm"] is None
    assert (
        "1 files without a pixel's size: no mm of them; see --pixel-mm" in capsys.readouterr().err
    )


def test_a_size_that_cannot_be_is_a_bad_file(run, by_gray, images, tmp_path):
    table = f"{HEADER}\n010_HC.png,200,99.1\n011_HC.png,0.2,99.1\n"
    (images / "sizes.csv").write_text(table)
    with pytest.raises(
        InputError, match=r"010_HC.png: pixel size\(mm\) 200 is outside 0.001 to 10"
    ):
        predict(run, images, tmp_path / "out")
    (images / "sizes.csv").write_text(table.replace("200", "0.1"))
    (images / "more.csv").write_text(f"{HEADER}\n010_HC.png,0.3,99.1\n")
    with pytest.raises(InputError, match=r"has pixels of 0.1 and 0.3 mm by several tables"):
        predict(run, images, tmp_path / "out")


def test_an_outline_is_no_scan(run, images, tmp_path):
    with pytest.raises(InputError, match=r"Annotation.png: drawn on a scan by its name; give the"):
        predict(run, images / "010_HC_Annotation.png", tmp_path / "out")


def test_probabilities_are_maps_of_each_class_and_a_threshold_moves_the_mask(
    run, by_gray, images, tmp_path
):
    options = Options(probabilities=True)
    (row,) = predict(run, images / "010_HC.png", tmp_path / "one", options=options)
    maps = {
        name: tifffile.imread(tmp_path / "one" / f"010_HC_{name}_probability.tif")
        for name in ("brain", "CSP", "LV")
    }
    assert [Path(file).name for file in row["written"][3:]] == [
        f"010_HC_{name}_probability.tif" for name in maps
    ]
    total = sum(maps.values())
    assert total.dtype == np.float32
    mask = imageio.imread(tmp_path / "one" / "010_HC_mask.png")
    assert (total[mask > 0] > 0.49).all()
    options = Options(threshold=0.999)
    predict(run, images / "010_HC.png", tmp_path / "two", options=options)
    strict = imageio.imread(tmp_path / "two" / "010_HC_mask.png")
    np.testing.assert_array_equal(strict > 0, total >= np.float32(0.999))
    assert 0 < (strict > 0).sum() < (mask > 0).sum()


def test_of_several_seeds_the_mean_of_the_probabilities_counts(tmp_path, capsys):
    work = saved(tmp_path / "home", (0, 1, 2))
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 48)).astype(np.uint8)
    clip = Clip(frames, (slice(0, 32), slice(0, 48)))

    def segmented(folder: Path):
        return load_predictor(find_seeds(folder, STUDY.name, Config()), 2, keep=True)(clip)

    every = segmented(work)
    alone = [segmented(work / f"seed_{seed}") for seed in (0, 1, 2)]
    assert "comes of a smoke run" in capsys.readouterr().err
    chances = [one.chances for one in alone]
    assert np.abs(chances[0] - chances[1]).max() > 1e-3
    np.testing.assert_allclose(every.chances, np.mean(chances, 0), atol=1e-6)
    np.testing.assert_array_equal(every.labels, every.chances.argmax(-1))
    mean = np.mean([one.denoised.astype(float) for one in alone], 0)
    assert np.abs(every.denoised - mean).max() <= 1.5


def test_the_command_takes_these_as_flags_and_writes_a_table(run, images, tmp_path, capsys):
    command = ["predict", "ultrasound", "--checkpoint", str(run), "--input", str(images)]
    table, out = tmp_path / "found.csv", tmp_path / "out"
    flags = ["--pixel-mm", "0.25", "--probabilities", "--csv", str(table), "--device", "cpu"]
    assert main([*command, "--out", str(out), "--json", *flags]) == 0
    rows = json.loads(capsys.readouterr().out)["files"]
    with table.open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [one["file"] for one in read] == ["010_HC.png", "011_HC.png"]
    assert [float(one["brain_mm2"]) for one in read] == [row["brain_mm2"] for row in rows]
    assert "written" not in read[0]
    assert "010_HC_LV_probability.tif" in names(out)
    table.write_text("mine")
    assert main([*command, "--out", str(out), *flags]) == 2
    assert f"--csv {table}: is there, and not as it was written here" in capsys.readouterr().err
    assert table.read_text() == "mine"
    assert main([*command, "--out", str(out), "--pixel-mm", "0"]) == 2
    assert "--pixel-mm = 0: expected from 0.001 to 10" in capsys.readouterr().err
