"""Changes of color have their CIELAB values, and moved edges are none."""

import numpy as np
import pytest

from common.errors import InputError
from common.metrics.color_difference import JUST_NOTICEABLE, color_difference

ALL = np.ones((1, 8, 8), bool)


def plain(*color):
    return np.full((1, 8, 8, 3), color, np.float32)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 0), (1, 1, 1), 100),
        # L* a* b* of sRGB's primaries: (53.24, 80.09, 67.20), (87.73, -86.18, 83.18)
        ((1, 0, 0), (0, 1, 0), np.sqrt(34.49**2 + 166.27**2 + 15.98**2)),
        ((1, 0, 0), (1, 1, 1), np.sqrt(46.76**2 + 80.09**2 + 67.20**2)),
        ((0.3, 0.5, 0.4), (0.3, 0.5, 0.4), 0),
    ],
)
def test_known_colors(a, b, expected):
    # CIE's white is rounded otherwise from source to source
    assert color_difference(plain(*a), plain(*b), ALL) == pytest.approx(expected, abs=0.05)
    assert color_difference(plain(*b), plain(*a), ALL) == pytest.approx(expected, abs=0.05)


def face(shift=0.0, lips=(0.7, 0.3, 0.3), skin=(0.85, 0.65, 0.55)):
    """Return lips of 20 x 6 pixels in skin, both of uneven color, moved down; and their mask."""
    row, column = np.mgrid[:32, :32]
    inside = np.clip(3 - np.abs(row - 16 - shift) + 0.5, 0, 1) * (np.abs(column - 15.5) < 10)
    shade = 0.03 * np.sin(row * 0.9) * np.cos(column * 0.7)
    image = inside[..., None] * np.array(lips) + (1 - inside[..., None]) * np.array(skin)
    return (image + shade[..., None]).astype(np.float32)[None], (inside > 0.5)[None]


def test_a_moved_edge_is_no_change_of_color():
    before, mask = face()
    for shift in (0.5, 1, -1):
        assert color_difference(before, face(shift)[0], mask) < JUST_NOTICEABLE
    painted = face(lips=(0.75, 0.2, 0.35))[0]
    assert color_difference(before, painted, mask) > 2 * JUST_NOTICEABLE
    moved = face(1, lips=(0.75, 0.2, 0.35))[0]
    expected = color_difference(before, painted, mask)
    np.testing.assert_allclose(color_difference(before, moved, mask), expected, atol=1.5)


def test_noise_is_no_change_of_color_and_the_mask_decides():
    before, mask = face()
    noise = np.random.default_rng(0).normal(0, 0.03, before.shape)
    noisy = (before + noise).clip(0, 1).astype(np.float32)
    assert color_difference(before, noisy, mask) < 1.5
    painted = np.where(mask[..., None], before * 0.8, before)
    assert color_difference(before, painted, mask) > 5
    assert color_difference(before, painted, ~mask) == 0


def test_every_image_has_its_value_and_an_empty_mask_has_none():
    a, b = np.concatenate([plain(0, 0, 0)] * 3), np.concatenate([plain(0, 0, 0)] * 3)
    b[1] = 1
    mask = np.concatenate([ALL, ALL, ~ALL])
    np.testing.assert_allclose(color_difference(a, b, mask), [0, 100, np.nan], atol=1e-3)


@pytest.mark.parametrize(
    ("a", "b", "mask", "message"),
    [
        (plain(1, 1, 1) * 255, plain(1, 1, 1), ALL, "first images: .* divide by 255"),
        (plain(1, 1, 1), -plain(1, 1, 1), ALL, "second images: values down to -1"),
        (plain(1, 1, 1)[..., :1], plain(1, 1, 1)[..., :1], ALL, "1 channels, expected 3"),
        (plain(1, 1, 1), plain(1, 1, 1)[:, 1:], ALL, "one shape"),
        (plain(1, 1, 1), plain(1, 1, 1), ALL[:, 1:], r"mask \(1, 7, 8\) of bool"),
    ],
)
def test_bad_input_is_one_error(a, b, mask, message):
    with pytest.raises(InputError, match=message):
        color_difference(a, b, mask)
