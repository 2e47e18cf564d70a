"""What is measured on test images, on labels whose numbers are known by hand."""

from dataclasses import replace

import numpy as np
import pytest

from papers.ultrasound_diconvae.config import Config
from papers.ultrasound_diconvae.data import Part
from papers.ultrasound_diconvae.evaluate import off_palette_colors, segmentation
from papers.ultrasound_diconvae.inputs import in_8_bits, make_inputs

CLASSES = ("background", "brain", "CSP", "LV")


def part(labels: np.ndarray, mm: tuple = (np.nan, np.nan), head: float = np.nan) -> Part:
    count = len(labels)
    return Part(
        names=tuple(f"p{i}" for i in range(count)),
        subjects=tuple(f"s{i}" for i in range(count)),
        planes=("thalamic",) * count,
        images=np.zeros((*labels.shape, 1), np.uint8),
        labels=labels,
        mm=np.tile(np.array(mm, np.float32), (count, 1)),
        head_mm=np.full(count, head, np.float32),
    )


def head() -> np.ndarray:
    rows, columns = np.mgrid[:64, :64] - 31.5
    labels = (np.hypot(rows / 16, columns / 24) <= 1).astype(np.uint8)
    labels[30:34, 24:32] = 2
    return labels[None]


def test_a_perfect_segmentation() -> None:
    labels = head()
    scores = segmentation(labels, part(labels, (0.5, 0.5), 63.4), CLASSES)
    assert (scores["dice"], scores["area_ratio"]) == (1, 1)
    assert scores["classes"]["CSP"]["hd95"] == 0
    assert (scores["classes"]["LV"]["n"], scores["classes"]["brain"]["n"]) == (0, 1)
    assert np.isnan(scores["classes"]["LV"]["dice"])
    assert scores["hc_error_mm"] < 1  # an ellipse with semi-axes of 8 and 12 mm


def test_a_segmentation_that_marks_too_much() -> None:
    labels = head()
    more = np.where(np.roll(labels, 2, 1) | labels, 1, 0).astype(np.uint8)
    scores = segmentation(more, part(labels, (0.5, 1.0)), CLASSES)
    assert scores["area_ratio"] == pytest.approx((more > 0).sum() / (labels > 0).sum())
    assert scores["classes"]["CSP"]["dice"] == 0
    assert scores["classes"]["brain"]["hd95"] > 2  # the cavum is a hole in the true brain
    assert scores["images"]["p0"] == pytest.approx(scores["classes"]["brain"]["dice"] / 2)
    assert np.isnan(scores["hc_error_mm"])  # nobody knows the circumference


def test_a_class_that_an_image_does_not_show_does_not_count() -> None:
    labels = np.concatenate([head(), np.minimum(head(), 1)])
    scores = segmentation(labels, part(labels), CLASSES)
    assert scores["classes"]["CSP"]["n"] == 1
    assert scores["images"] == {"p0": 1.0, "p1": 1.0}
    nothing = np.zeros_like(labels)
    assert segmentation(nothing, part(labels), CLASSES)["dice"] == 0


def test_only_interpolation_gives_off_palette_colors() -> None:
    shares = off_palette_colors(head())
    assert shares["nearest"] == 0
    assert 0.01 < shares["bilinear"] < 0.3


def test_inputs_are_mixed_with_denoised_ones_by_their_strength() -> None:
    images = np.full((2, 16, 16, 1), 200, np.uint8)

    def darker(rows):
        return rows.astype(np.float32) / 255 / 2

    shades = {"raw": 200, "denoised": 100, "denoised25": 175, "denoised50": 150, "median": 200}
    for variant, shade in shades.items():
        assert (make_inputs(variant, images, darker) == shade).all()
    assert (make_inputs("median", images, None) == 200).all()
    with pytest.raises(ValueError, match="denoised50 images need a denoiser"):
        make_inputs("denoised50", images, None)


def test_variants_of_images() -> None:
    config = Config()
    assert config.input_variants == ("raw", "denoised")
    more = replace(config, train=replace(config.train, strengths=(0.25, 0.5), filters=("lee",)))
    assert more.input_variants == ("raw", "denoised", "denoised25", "denoised50", "lee")
    assert in_8_bits(np.array([[[[-0.1]], [[0.5]], [[1.2]]]])).ravel().tolist() == [0, 128, 255]
