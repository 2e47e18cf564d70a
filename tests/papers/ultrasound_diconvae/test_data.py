"""Both published layouts, read exactly or refused by name, and the prepared data set."""

import os
from dataclasses import replace
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from PIL import Image

from common.data.prepare import prepare as prepare_data
from common.data.prepared import Prepared
from common.data.raw import BadFile
from common.errors import InputError
from common.metrics.biometry import head_circumference
from common.metrics.ellipse import Ellipse
from papers.ultrasound_diconvae import colors, hc18_layout
from papers.ultrasound_diconvae.config import DataConfig
from papers.ultrasound_diconvae.data import classes_of, examples, load
from papers.ultrasound_diconvae.datasets import DATASETS
from papers.ultrasound_diconvae.image import resize_labels

SMALL = DataConfig(height=32, width=48, train_fraction=0.5, validation_fraction=0.25)
HC18 = replace(SMALL, dataset="hc18")
PLANES = replace(SMALL, dataset="fetal_planes")
ROWS, COLUMNS, PIXEL = 90, 120, 0.5
HEAD = Ellipse(row=44.0, column=61.0, major=40.0, minor=30.0, angle=0.3)
LABELMAP = "# label:color_rgb\nbackground:0,0,0::\nBrain:255,0,0::\nCSP:{},0::\nLV:0,0,255::\n"


def prepare(config: DataConfig, folder: Path, raw: Path | None, skip_bad: bool = False) -> Prepared:
    return prepare_data(DATASETS[config.dataset], config, examples, folder, raw, skip_bad)


def line_around(head: Ellipse, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    """A line of about two pixels on the ellipse, 255 on 0."""
    grid = np.mgrid[:rows, :columns].astype(float)
    return np.where(np.abs(head.distance(*grid)) < 1, 255, 0).astype(np.uint8)


def write_table(raw: Path, rows: list[str]) -> None:
    header = "filename,pixel size(mm),head circumference (mm)"
    (raw / hc18_layout.TABLE).write_text("\r\n".join([header, *rows]))


@pytest.fixture
def hc18(tmp_path: Path) -> Path:
    """Seven images of five subjects, all with the same head; image n is n everywhere."""
    raw = tmp_path / "raw"
    (raw / "training_set").mkdir(parents=True)
    names = ["010_HC", "010_2HC", "010_3HC", "011_HC", "012_HC", "200_HC", "805_HC"]
    for value, name in enumerate(names):
        image = np.full((ROWS, COLUMNS), 10 * value, np.uint8)
        imageio.imwrite(raw / "training_set" / f"{name}.png", image)
        imageio.imwrite(raw / "training_set" / f"{name}_Annotation.png", line_around(HEAD))
    write_table(raw, [f"{name}.png,{PIXEL},{HEAD.circumference * PIXEL:.2f}" for name in names])
    return raw


def png(raw: Path, name: str) -> Path:
    return raw / "training_set" / f"{name}.png"


def everything(prepared):
    return [load(prepared, part) for part in ("train", "validation", "test")]


def test_hc18_outlines_become_masks_with_their_size_in_mm(hc18, tmp_path):
    prepared = prepare(HC18, tmp_path / "out", hc18)
    assert classes_of("hc18") == ("background", "brain")
    assert prepared.description == "HC18: 7 images of 5 subjects; split by subject"
    assert not prepared.stand_in
    for part in everything(prepared):
        assert part.images.shape == (len(part), 32, 48, 1)
        assert part.clean is None
        np.testing.assert_allclose(part.mm, [[PIXEL * ROWS / 32, PIXEL * COLUMNS / 48]] * len(part))
        for labels, mm, head in zip(part.labels, part.mm, part.head_mm, strict=True):
            assert set(np.unique(labels)) == {0, 1}
            assert head_circumference(labels == 1, mm.tolist()) == pytest.approx(head, rel=0.01)


def test_subjects_with_several_images_stay_together(hc18, tmp_path):
    for seed in range(2):
        prepared = prepare(replace(HC18, split_seed=seed), tmp_path / f"out{seed}", hc18)
        subjects = [set(part.subjects) for part in everything(prepared)]
        assert sum(len(one) for one in subjects) == len(set.union(*subjects)) == 5
        assert sum(prepared.sizes.values()) == 7
    limited = prepare(replace(HC18, limit=6), tmp_path / "limited", hc18)
    names = sorted(name for part in everything(limited) for name in part.names)
    assert names == ["010_2HC", "010_3HC", "011_HC", "012_HC", "200_HC", "805_HC"]


def test_a_gap_and_the_image_s_edge_do_not_spoil_a_mask():
    grid = np.mgrid[:ROWS, :COLUMNS].astype(float)
    line = line_around(HEAD)
    line[:, 50:62] = 0
    found = hc18_layout.outlined(line > 0).level(*grid) <= 1
    assert (found != (HEAD.level(*grid) <= 1)).sum() < 30
    cut = replace(HEAD, row=24.0)
    found = hc18_layout.outlined(line_around(cut) > 0)
    assert found.circumference == pytest.approx(cut.circumference, rel=0.005)


def test_every_bad_file_of_hc18_is_named(hc18, tmp_path):
    dashes = line_around(HEAD)
    dashes[(np.mgrid[:ROWS, :COLUMNS].sum(0) // 25) % 2 == 0] = 0
    imageio.imwrite(png(hc18, "010_HC_Annotation"), dashes)
    square = np.zeros((ROWS, COLUMNS), np.uint8)
    square[20:70, 30:90] = 255
    imageio.imwrite(png(hc18, "010_2HC_Annotation"), square)
    imageio.imwrite(png(hc18, "010_3HC_Annotation"), line_around(replace(HEAD, major=35.0)))
    png(hc18, "011_HC").write_bytes(png(hc18, "011_HC").read_bytes()[:50])
    png(hc18, "012_HC_Annotation").unlink()
    imageio.imwrite(png(hc18, "200_HC_Annotation"), dashes[:40])
    imageio.imwrite(png(hc18, "300_HC"), dashes)
    table = (hc18 / hc18_layout.TABLE).read_text().replace("805_HC.png,0.5", "805_HC.png,a")
    (hc18 / hc18_layout.TABLE).write_text(table + "\n999_HC.png,0.1,200\n")
    with pytest.raises(InputError, match="9 bad") as error:
        prepare(HC18, tmp_path / "out", hc18)
    for reason in (
        "300_HC.png: has no row in training_set_pixel_size_and_HC.csv",
        "999_HC: in training_set_pixel_size_and_HC.csv, but no such image",
        "010_2HC.png: 010_2HC_Annotation.png is no ellipse: its line leaves",
        "010_3HC.png: 010_3HC_Annotation.png measures 102.3 mm",
        "010_HC.png: 010_HC_Annotation.png is not closed: its line follows",
        "011_HC.png: cannot be read",
        "012_HC.png: has no 012_HC_Annotation.png",
        "200_HC.png: 200_HC_Annotation.png is (40, 120), its image (90, 120)",
        "805_HC.png: pixel size(mm) 'a' is not a number (line 8 of training_set_pixel_size_and_HC",
    ):
        assert reason in str(error.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="nothing is left to work with"):
        prepare(HC18, tmp_path / "out", hc18, skip_bad=True)


@pytest.fixture
def planes(tmp_path: Path) -> Path:
    """The record unpacked: three images a plane, CSP of two colors."""
    raw = tmp_path / "record"
    folders = {
        "Trans-thalamic": ("Trans-thalamic", "Trans-thalamic-Segmentation"),
        "Trans-ventricular": ("Trans-ventricular", "Trans-ventricular-segmentation-mask"),
        "Trans-cerebellum": ("Trans-cerebellum", "Trans-cerebellum-Segmentation"),
        "Diverse Fetal Head Images": (
            "Orginal_train_images_to_959_661",
            "Test-Dataset-Segmentation",
        ),
    }
    stems = ("Patient{}_Plane3_1", "Patient{}_Plane3_2", "Patient{}_Plane3_3", "{}_HC")
    for stem, (plane, (images, export)) in zip(stems, folders.items(), strict=True):
        csp = (255, 255, 0) if plane.startswith("Diverse") else (0, 255, 0)
        masks = raw / plane / export / "SegmentationClass"
        masks.mkdir(parents=True)
        (raw / plane / images).mkdir(exist_ok=True)
        (masks.parent / "labelmap.txt").write_text(LABELMAP.format(f"{csp[0]},{csp[1]}"))
        other = raw / plane / f"{plane}-PASCAL"
        (other / "SegmentationClass").mkdir(parents=True)
        (other / "labelmap.txt").write_text("Brain:128,0,0::\n")
        for who in ("007", "019", "105"):
            gray = np.full((40, 60, 3), int(who) + stems.index(stem), np.uint8)
            imageio.imwrite(raw / plane / images / f"{stem.format(who)}.png", gray)
            mask = np.zeros((40, 60, 3), np.uint8)
            mask[5:35, 10:50] = (255, 0, 0)
            mask[15:20, 30:40] = csp
            mask[22:30, 20:30] = (0, 0, 255)
            imageio.imwrite(masks / f"{stem.format(who)}.png", mask)
    return raw


def test_four_planes_are_decoded_exactly_and_subjects_shared(planes, tmp_path):
    hard = replace(PLANES, height=40, width=60, train_fraction=0.4)
    prepared = prepare(hard, tmp_path / "out", planes)
    assert "3 of 1565 thalamic, 3 of 584 ventricular, 3 of 684" in prepared.description
    parts = everything(prepared)
    assert sum(len(part) for part in parts) == 12
    for part in parts:
        for labels in part.labels:
            counts = np.bincount(labels.ravel())
            assert counts.tolist() == [2400 - 1200, 1200 - 50 - 80, 50, 80]
        assert np.isnan(part.mm).all()
        assert np.isnan(part.head_mm).all()
    pairs = [pair for part in parts for pair in zip(part.names, part.subjects, strict=True)]
    subjects = dict(pairs)
    assert subjects["007_HC"] == "HC18-007"
    assert subjects["Patient007_Plane3_1"] == subjects["Patient007_Plane3_3"] == "Patient007"
    one = prepare(replace(hard, planes=("thalamic", "diverse")), tmp_path / "two", planes)
    assert sum(one.sizes.values()) == 6


def test_off_palette_colors_are_named_with_their_count(planes, tmp_path):
    path = planes / "Trans-thalamic/Trans-thalamic-Segmentation/SegmentationClass"
    path = path / "Patient007_Plane3_1.png"
    mask = imageio.imread(path)
    mask[0, :3], mask[1, 1] = (54, 65, 23), (254, 0, 0)
    imageio.imwrite(path, mask)
    with pytest.raises(InputError) as error:
        prepare(PLANES, tmp_path / "out", planes)
    assert (
        "Patient007_Plane3_1.png: SegmentationClass/Patient007_Plane3_1.png holds 4 pixels of "
        "2 off-palette colors, most of them (54, 65, 23); its labelmap.txt has (0, 0, 0), "
        "(0, 0, 255), (0, 255, 0), (255, 0, 0)" in str(error.value)
    )
    prepared = prepare(PLANES, tmp_path / "out", planes, skip_bad=True)
    assert sum(prepared.sizes.values()) == 11


def test_missing_pieces_of_the_record_are_named(planes, tmp_path):
    thalamic, masks = planes / "Trans-thalamic", "Trans-thalamic-Segmentation/SegmentationClass"
    (thalamic / masks / "Patient007_Plane3_1.png").unlink()
    (thalamic / "Trans-thalamic" / "Patient019_Plane3_1.png").unlink()
    with pytest.raises(InputError) as error:
        prepare(PLANES, tmp_path / "out", planes)
    assert "Trans-thalamic/Patient007_Plane3_1.png: has no mask" in str(error.value)
    assert "Trans-thalamic/Patient019_Plane3_1.png: a mask only" in str(error.value)
    (planes / "Trans-cerebellum").rename(planes / "elsewhere")
    with pytest.raises(InputError, match="no folder 'Trans-cerebellum'; download the record"):
        prepare(PLANES, tmp_path / "out", planes)
    (planes / "Trans-cerebellum.zip").touch()
    with pytest.raises(InputError, match=r"unpack Trans-cerebellum\.zip, or leave 'cerebellum'"):
        prepare(PLANES, tmp_path / "out", planes)
    with pytest.raises(InputError, match="--raw DIR"):
        prepare(PLANES, tmp_path / "out", None)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Brain:255,0::", "'Brain:255,0::' is not name:red,green,blue::"),
        ("Brain:255,0,300::", "is not name:red,green,blue::"),
        ("Brian:255,0,0::", "class 'Brian'; did you mean 'brain'?"),
        ("Brain:9,9,9::\nLV:9,9,9::", "'LV:9,9,9::' has the color of brain"),
    ],
)
def test_bad_labelmaps_are_refused_by_line(tmp_path, line, reason):
    path = tmp_path / "labelmap.txt"
    path.write_text(f"# label:color_rgb:parts:actions\n{line}\n")
    with pytest.raises(InputError) as error:
        colors.read_labelmap(path)
    assert str(error.value).startswith(f"{path}: ")
    assert reason in str(error.value)


def test_masks_with_a_palette_are_read_as_colors(planes, tmp_path):
    path = planes / "Trans-cerebellum/Trans-cerebellum-Segmentation/SegmentationClass"
    path = path / "Patient019_Plane3_3.png"
    before = prepare(PLANES, tmp_path / "before", planes).content_hash
    Image.open(path).quantize(8, dither=Image.Dither.NONE).save(path)
    assert Image.open(path).mode == "P"
    assert prepare(PLANES, tmp_path / "after", planes).content_hash == before


def test_interpolated_masks_hold_colors_of_no_class():
    labels = np.zeros((66, 96), np.uint8)
    labels[HEAD.mask(90, 120)[10:76, 10:106]] = 1
    labels[30:40, 40:60] = 3
    mask = colors.encode(labels)
    np.testing.assert_array_equal(colors.decode(mask, colors.PAINT), labels)
    resized = colors.resized(mask, 40, 40)
    assert not colors.off_palette(resized["nearest"]).any()
    outside = colors.off_palette(resized["bilinear"])
    assert outside.sum() > 50
    small = resize_labels(labels, 40, 40)
    edges = np.zeros_like(outside)
    for axis in (0, 1):
        step = np.diff(small.astype(int), axis=axis, append=0) != 0
        edges |= step | np.roll(step, 1, axis)
    assert outside[edges].sum() > 0.8 * outside.sum()  # they are where two classes meet
    with pytest.raises(BadFile, match="off-palette colors"):
        colors.decode(resized["bilinear"], colors.PAINT)


def test_real_outlines_have_the_circumference_of_the_table(tmp_path):
    raw = os.environ.get("STUDY_DATA")
    if not raw or not (Path(raw) / "hc18").is_dir():
        pytest.skip("STUDY_DATA does not name a folder with hc18")
    config = replace(HC18, height=256, width=256, limit=6)
    prepared = prepare(config, tmp_path / "out", Path(raw))
    assert prepared.skipped == ()
    for part in everything(prepared):
        for labels, mm, head in zip(part.labels, part.mm, part.head_mm, strict=True):
            assert head_circumference(labels == 1, mm.tolist()) == pytest.approx(head, rel=0.03)
    found = hc18_layout.listing(Path(raw))
    entries, bad = found.entries, found.bad
    assert bad == []
    cut = next((one for one in entries if one.name == "346_HC"), None)
    if cut is not None:  # the head leaves the image at the top, the outline is open there
        assert hc18_layout.read(cut, 64, 64).labels.mean() > 0.3
