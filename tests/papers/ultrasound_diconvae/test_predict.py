"""Prediction on users' own ultrasound: each pixel's class and a denoised image, in their size."""

import json
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from matplotlib.colors import to_rgb

from common.errors import InputError
from common.nn.predictor import Predictor
from common.pipeline.trained import find, save_index
from papers.__main__ import main
from papers.ultrasound_diconvae import figures
from papers.ultrasound_diconvae import predict as module
from papers.ultrasound_diconvae.clips import Clip
from papers.ultrasound_diconvae.config import Config
from papers.ultrasound_diconvae.evaluate import segment
from papers.ultrasound_diconvae.inputs import denoise, make_inputs
from papers.ultrasound_diconvae.predict import load_predictor, predict
from papers.ultrasound_diconvae.study import STUDY
from papers.ultrasound_diconvae.train import load_network
from tests.papers.ultrasound_diconvae.dicom_files import SECRETS, region, write
from tests.papers.ultrasound_diconvae.known_networks import CONFIG, GRAYS, head, names, units_in


@pytest.mark.parametrize("end", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_gets_three_of_its_own_size(end, channels, run, by_gray, tmp_path):
    labels = head(32, 48)
    image = GRAYS[labels].astype(np.uint8)
    source = tmp_path / f"head{end}"
    stored = image if channels == 1 else np.repeat(image[..., None], 3, -1)
    (imageio if end == ".png" else tifffile).imwrite(source, stored)
    (row,) = predict(run, source, tmp_path / "out")
    denoised, mask, overlay = (Path(file) for file in row.pop("written"))
    assert names(tmp_path / "out") == sorted([denoised.name, mask.name, overlay.name])
    assert [denoised.name, mask.name] == [f"head_denoised{end}", f"head_mask{end}"]
    reader = imageio.imread if end == ".png" else tifffile.imread
    np.testing.assert_array_equal(reader(mask), labels)
    assert np.abs(reader(denoised) - image / 2).max() <= 1
    counts = [int((labels == label).sum()) for label in (1, 2, 3)]
    assert row == {
        "file": source.name, "frames": 1, "brain_pixels": counts[0], "CSP_pixels": counts[1],
        "LV_pixels": counts[2], "brain_mm2": None, "CSP_mm2": None, "LV_mm2": None, "head_mm": None,
    }  # fmt: skip
    drawn = imageio.imread(overlay)
    assert drawn.shape == (32, 48, 3)
    for label, (_, color) in enumerate(figures.OUTLINES.values(), 1):
        outline = (drawn == np.rint(255 * np.array(to_rgb(color)))).all(-1)
        assert 8 <= outline.sum() < counts[label - 1]
        assert (labels[outline] == label).all()
    np.testing.assert_array_equal(drawn[labels == 0], 40)


@pytest.mark.parametrize("shape", [(80, 100), (20, 30), (90, 40)])
def test_any_size_is_brought_to_the_networks_and_back(shape, run, by_gray, tmp_path):
    labels = head(*shape)
    imageio.imwrite(tmp_path / "a.jpg", GRAYS[labels].astype(np.uint8), quality=95)
    (row,) = predict(run, tmp_path / "a.jpg", tmp_path / "out")
    mask = imageio.imread(tmp_path / "out" / "a_mask.png")
    assert mask.shape == imageio.imread(tmp_path / "out" / "a_denoised.png").shape == shape
    for found, true in ((mask > 0, labels > 0), (mask == 1, labels == 1)):
        assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.9
    assert row["brain_pixels"] == (mask == 1).sum()


def test_borders_of_classes_are_finer_than_the_networks_pixels(run, by_gray, tmp_path):
    imageio.imwrite(tmp_path / "a.png", GRAYS[head(64, 96)].astype(np.uint8))
    predict(run, tmp_path / "a.png", tmp_path / "out")
    mask = imageio.imread(tmp_path / "out" / "a_mask.png").reshape(32, 2, 48, 2)
    assert 5 < (mask.max((1, 3)) != mask.min((1, 3))).sum() < 200


def test_a_clip_becomes_pages_and_one_sheet(run, by_gray, tmp_path):
    labels = np.stack([head(32, 48)] * 5)
    labels[4] = 0
    labels[3, 1:3, 1:3] = 1
    write(tmp_path / "clip.dcm", GRAYS[labels].astype(np.uint8), PixelSpacing=[0.5, 2])
    (row,) = predict(run, tmp_path / "clip.dcm", tmp_path / "out")
    assert names(tmp_path / "out") == ["clip_denoised.tif", "clip_mask.tif", "clip_overlay.png"]
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "clip_mask.tif"), labels)
    denoised = tifffile.imread(tmp_path / "out" / "clip_denoised.tif")
    assert np.abs(denoised - GRAYS[labels] / 2).max() <= 1
    brain = int((labels[0] == 1).sum())
    assert (row["frames"], row["brain_pixels"]) == (5, brain)  # the median of those that show it
    assert row["brain_mm2"] == pytest.approx(brain)  # 0.5 mm x 2 mm
    sheet = imageio.imread(tmp_path / "out" / "clip_overlay.png")
    assert sheet.ndim == 3
    assert sheet.shape[1] > 700  # four in a row


def test_a_head_is_measured_in_mm(run, by_gray, tmp_path):
    height, width = 160, 240
    write(tmp_path / "1", GRAYS[head(height, width)].astype(np.uint8), PixelSpacing=[0.5, 0.4])
    (row,) = predict(run, tmp_path / "1", tmp_path / "out")
    a, b = 0.35 * height * 0.5, 0.3 * width * 0.4
    h = ((a - b) / (a + b)) ** 2
    circumference = np.pi * (a + b) * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h)))
    assert row["head_mm"] == pytest.approx(circumference, rel=0.02)
    parts = [row[f"{name}_mm2"] for name in ("brain", "CSP", "LV")]
    assert sum(parts) == pytest.approx(np.pi * a * b, rel=0.03)
    assert names(tmp_path / "out") == ["1_denoised.png", "1_mask.png", "1_overlay.png"]
    write(tmp_path / "2", np.full((height, width), 40, np.uint8), PixelSpacing=[0.5, 0.4])
    (row,) = predict(run, tmp_path / "2", tmp_path / "out")
    assert (row["head_mm"], row["brain_pixels"], row["brain_mm2"]) == (None, 0, 0)


def test_only_the_region_of_tissue_is_shown_to_the_networks(run, by_gray, tmp_path):
    labels = head(32, 48)
    image = np.full((50, 70), 110, np.uint8)  # as bright as brain
    image[10:42, 15:63] = GRAYS[labels]
    regions = [region((10, 15, 41, 62), (0.5, 0.5))]
    write(tmp_path / "1.dcm", image, SequenceOfUltrasoundRegions=regions)
    predict(run, tmp_path / "1.dcm", tmp_path / "out")
    mask = imageio.imread(tmp_path / "out" / "1_mask.png")
    np.testing.assert_array_equal(mask[10:42, 15:63], labels)
    assert not np.pad(labels, [(10, 8), (15, 7)])[mask == 0].any()
    denoised = imageio.imread(tmp_path / "out" / "1_denoised.png").astype(int)
    assert np.abs(denoised[10:42, 15:63] - image[10:42, 15:63] / 2).max() <= 1
    denoised[10:42, 15:63] = 110
    assert (denoised == 110).all()


def test_trained_networks_answer_as_in_the_evaluation(run):
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 48)).astype(np.uint8)
    trained = find(run, STUDY.name, Config())
    denoiser, segmenter = (
        load_network(trained.folder(name), name, CONFIG) for name in ("denoiser", "segmenter_raw")
    )
    predicted = load_predictor([trained], 2)(Clip(frames, (slice(0, 32), slice(0, 48))))
    images = frames[..., None]
    denoised = make_inputs("denoised", images, Predictor(denoiser, denoise, 2))
    np.testing.assert_array_equal(predicted[0], denoised[..., 0])
    labels = Predictor(segmenter, segment, 2)(images)
    np.testing.assert_array_equal(predicted[1], labels)
    assert len(np.unique(labels)) > 1


def test_the_command_works_on_a_folder(run, tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "a").mkdir(parents=True)
    image = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    imageio.imwrite(source / "10.png", image)
    imageio.imwrite(source / "9.png", image)
    imageio.imwrite(source / "9_mask.png", image)
    write(source / "a" / "clip.dcm", np.stack([image] * 3))
    before = {name: (source / name).read_bytes() for name in names(source)}
    command = ["predict", "ultrasound", "--checkpoint", str(run), "--input", str(source)]
    assert main([*command, "--out", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    assert f"networks: {run / 'seed_0'}" in printed.err
    rows = json.loads(printed.out)["files"]
    assert [(row["file"], row["frames"]) for row in rows] == [
        ("9.png", 1), ("10.png", 1), ("a/clip.dcm", 3)
    ]  # fmt: skip
    assert sorted(file for row in rows for file in row["written"]) == [
        str(out / name) for name in names(out)
    ]
    assert names(out) == [
        "10_denoised.png", "10_mask.png", "10_overlay.png",
        "9_denoised.png", "9_mask.png", "9_overlay.png",
        "a/clip_denoised.tif", "a/clip_mask.tif", "a/clip_overlay.png",
    ]  # fmt: skip
    assert main([*command, "--out", str(source)]) == 2
    assert "9_mask.png is there, among the input" in capsys.readouterr().err
    assert before == {name: (source / name).read_bytes() for name in names(source)}


def test_bad_files_stop_everything_before_anything_is_written(run, by_gray, tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    imageio.imwrite(source / "1.png", head(32, 48))
    (source / "2.png").write_bytes((source / "1.png").read_bytes()[:60])
    (source / "letter.dcm").write_text("a letter")
    with pytest.raises(
        InputError,
        match=r"2 bad.*\n  2.png: cannot be read.*\n  letter.dcm: cannot be read: it is text",
    ):
        predict(run, source, out)
    assert not out.exists()
    assert [row["file"] for row in predict(run, source, out, skip_bad=True)] == ["1.png"]
    assert "skipped 2 bad files" in capsys.readouterr().err
    assert names(out) == ["1_denoised.png", "1_mask.png", "1_overlay.png"]


def test_an_error_on_the_way_leaves_nothing_of_the_file(run, by_gray, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_overlay", lambda *_: 1 / 0)
    imageio.imwrite(tmp_path / "1.png", head(32, 48))
    with pytest.raises(ZeroDivisionError):
        predict(run, tmp_path / "1.png", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_networks_that_are_not_there_are_told(tmp_path):
    imageio.imwrite(tmp_path / "1.png", head(32, 48))
    with pytest.raises(
        InputError, match=r"no network there or below \(a folder with networks.json"
    ):
        predict(tmp_path, tmp_path / "1.png", tmp_path / "out")
    run, units = units_in(tmp_path)
    save_index(run, 0, units[1:])
    with pytest.raises(InputError, match=r"no network 'denoiser' there, only segmenter_raw;"):
        predict(run.work, tmp_path / "1.png", tmp_path / "out")
    save_index(run, 0, units)
    with pytest.raises(InputError, match=r"denoiser-.*/checkpoints: no checkpoint"):
        predict(run.work, tmp_path / "1.png", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("frames", [1, 3])
def test_nothing_of_the_header_comes_into_what_is_written(frames, run, by_gray, tmp_path, capsys):
    images = np.stack([GRAYS[head(32, 48)].astype(np.uint8)] * frames)
    write(tmp_path / "1.dcm", images)
    content = (tmp_path / "1.dcm").read_bytes()
    secrets = [secret.encode() for secret in SECRETS.values()]
    assert all(secret in content for secret in secrets)
    rows = predict(run, tmp_path / "1.dcm", tmp_path / "out")
    printed = "".join(capsys.readouterr())
    outputs = [(tmp_path / "out" / name).read_bytes() for name in names(tmp_path / "out")]
    assert len(outputs) == 3
    for secret in secrets:
        assert not any(secret in output for output in [*outputs, json.dumps(rows).encode()])
        assert secret.decode() not in printed
    assert not any(chunk in output for output in outputs for chunk in (b"tEXt", b"iTXt", b"zTXt"))
