"""Canny's edges are OpenCV's to the pixel, and a map without edges is warned of."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from common.latent_diffusion.canny import canny, edge_map

GOLDEN = dict(np.load(Path(__file__).parents[2] / "golden" / "canny.npz"))
IMAGES = {name[6:]: image for name, image in GOLDEN.items() if name.startswith("image_")}
NOISE = IMAGES["noise"]


@pytest.mark.parametrize("name", IMAGES)
def test_is_opencv_to_the_pixel(name):
    image, thresholds = IMAGES[name], GOLDEN["thresholds"]
    packed = GOLDEN[f"edges_{name}"]
    size = len(thresholds) * image.shape[0] * image.shape[1]
    expected = np.unpackbits(packed, count=size).reshape(-1, *image.shape[:2]) * 255
    for (low, high), edges in zip(thresholds, expected, strict=True):
        found = canny(image, float(low), float(high))
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, edges, f"{low} {high}")


def test_defaults_gray_in_color_and_the_given_image():
    before = NOISE.copy()
    expected = canny(NOISE, 100, 200)
    np.testing.assert_array_equal(canny(NOISE), expected)
    np.testing.assert_array_equal(canny(np.repeat(NOISE[..., None], 3, 2)), expected)
    np.testing.assert_array_equal(canny(np.asfortranarray(NOISE)), expected)
    np.testing.assert_array_equal(NOISE, before)
    assert 0.05 < (expected > 0).mean() < 0.95


def test_no_gradient_reaches_a_threshold_beyond_all():
    assert not canny(NOISE, 1e10, 1e12).any()  # where OpenCV's integers overflow
    assert not canny(NOISE, 2040, 2040).any()


def test_hint_is_three_equal_channels():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hint = edge_map(NOISE, 50, 100)
    assert hint.dtype == np.float32
    expected = np.repeat(canny(NOISE, 50, 100)[..., None] / 255, 3, 2)
    np.testing.assert_array_equal(hint, expected)


def test_empty_map_is_warned_of():
    faint = (np.arange(64 * 64).reshape(64, 64) % 64 // 32 * 20).astype(np.uint8)  # a step of 20
    with pytest.warns(UserWarning, match=r"0\.00% of .* 100 and 200.*; choose lower thresholds"):
        hint = edge_map(faint)
    assert not hint.any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert edge_map(faint, 10, 50).mean() == 1 / 64
    spot = np.zeros((100, 100), np.uint8)
    spot[50, 50] = 255
    few = canny(spot).astype(bool).mean()
    assert few < 0.001
    with pytest.warns(UserWarning, match=f"{few:.2%}"):
        edge_map(spot)


@pytest.mark.parametrize(
    ("image", "low", "high", "message"),
    [
        (NOISE / np.float32(255), 100, 200, "type float32, expected uint8; times 255 and round"),
        (NOISE.astype(np.int64), 100, 200, "type int64, expected uint8$"),
        (NOISE > 0, 100, 200, "type bool, expected uint8$"),
        (NOISE[0], 100, 200, r"shape \(57,\), expected \[height, width\] or"),
        (NOISE[None, None], 100, 200, r"shape \(1, 1, 48, 57\), expected"),
        (NOISE[:0], 100, 200, r"shape \(0, 57\), expected"),
        (NOISE, float("nan"), 200, "low: nan, expected a finite threshold"),
        (NOISE, 100, float("inf"), "high: inf, expected a finite threshold"),
    ],
)
def test_input_that_is_refused(image, low, high, message):
    for function in (canny, edge_map):
        with pytest.raises(InputError, match=message):
            function(image, low, high)
