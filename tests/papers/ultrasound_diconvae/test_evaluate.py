"""What is measured on test pictures, on labels whose numbers are known by hand."""

from dataclasses import replace

import numpy as np
import pytest

from papers.ultrasound_diconvae.config import Config
from papers.ultrasound_diconvae.data import Part
from papers.ultrasound_diconvae.evaluate import segmentation, stray_colours
from papers.ultrasound_diconvae.inputs import in_8_bits, kinds

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
    found = segmentation(labels, part(labels, (0.5, 0.5), 63.4), CLASSES)
    assert (found["dice"], found["area_ratio"]) == (1, 1)
    assert found["classes"]["CSP"]["hd95"] == 0
    assert (found["classes"]["LV"]["n"], found["classes"]["brain"]["n"]) == (0, 1)
    assert np.isnan(found["classes"]["LV"]["dice"])
    assert found["hc_error_mm"] < 1  # an ellipse with semi-axes of 8 and 12 mm


def test_a_segmentation_that_marks_too_much() -> None:
    labels = head()
    more = np.where(np.roll(labels, 2, 1) | labels, 1, 0).astype(np.uint8)
    found = segmentation(more, part(labels, (0.5, 1.0)), CLASSES)
    assert found["area_ratio"] == pytest.approx((more > 0).sum() / (labels > 0).sum())
    assert found["classes"]["CSP"]["dice"] == 0
    assert found["classes"]["brain"]["hd95"] > 2  # the cavum is a hole in the true brain
    assert found["pictures"]["p0"] == pytest.approx(found["classes"]["brain"]["dice"] / 2)
    assert np.isnan(found["hc_error_mm"])  # nobody knows the circumference


def test_a_class_that_a_picture_does_not_show_does_not_count() -> None:
    labels = np.concatenate([head(), np.minimum(head(), 1)])
    found = segmentation(labels, part(labels), CLASSES)
    assert found["classes"]["CSP"]["n"] == 1
    assert found["pictures"] == {"p0": 1.0, "p1": 1.0}
    nothing = np.zeros_like(labels)
    assert segmentation(nothing, part(labels), CLASSES)["dice"] == 0


def test_only_interpolation_gives_stray_colours() -> None:
    shares = stray_colours(head())
    assert shares["nearest"] == 0
    assert 0.01 < shares["bilinear"] < 0.3


def test_kinds_of_pictures() -> None:
    config = Config()
    assert kinds(config) == ("raw", "denoised")
    more = replace(config, train=replace(config.train, strengths=(0.25, 0.5), filters=("lee",)))
    assert kinds(more) == ("raw", "denoised", "denoised25", "denoised50", "lee")
    assert in_8_bits(np.array([[[[-0.1]], [[0.5]], [[1.2]]]])).ravel().tolist() == [0, 128, 255]
