"""Ellipses fitted to masks against the ellipses that the masks were drawn from."""

import math

import numpy as np
import pytest

from common.errors import InputError
from common.metrics.biometry import area_ratio, fit_ellipse, head_circumference
from common.metrics.ellipse import Ellipse, fit
from common.metrics.overlap import overlap


def draw(shape, size, center, axes, angle) -> np.ndarray:
    """Return the mask of an ellipse given in mm, on pixels of `size`."""
    rows, columns = (np.arange(n) * s for n, s in zip(shape, size, strict=True))
    down, right = rows[:, None] - center[0], columns[None] - center[1]
    along = right * np.cos(angle) + down * np.sin(angle)
    across = down * np.cos(angle) - right * np.sin(angle)
    return (along / axes[0]) ** 2 + (across / axes[1]) ** 2 <= 1


@pytest.mark.parametrize("size", [(0.5, 0.5), (0.4, 0.7)])
@pytest.mark.parametrize("angle", [0.0, 0.4, 1.5, 2.8])
def test_fitted_ellipse_is_the_one_drawn(size, angle):
    center, axes = (40.2, 51.7), (36.0, 27.0)
    found = fit_ellipse(draw((200, 240), size, center, axes, angle), size)
    assert found is not None
    assert (found.row, found.column) == pytest.approx(center, abs=0.1)
    assert (found.major, found.minor) == pytest.approx(axes, abs=0.15)
    assert math.remainder(found.angle - angle, math.pi) == pytest.approx(0, abs=0.02)
    truth = Ellipse(*center, *axes, angle)
    assert found.circumference == pytest.approx(truth.circumference, rel=0.003)


def test_circumference_is_the_integral():
    assert Ellipse(0.0, 0.0, 3.0, 3.0, 0.0).circumference == pytest.approx(6 * math.pi)
    assert Ellipse(0.0, 0.0, 2.0, 1e-9, 0.0).circumference == pytest.approx(8)
    a, b = 65.0, 50.0  # mm, of a head: Ramanujan's approximation is good to 1e-9 there
    h = ((a - b) / (a + b)) ** 2
    ramanujan = math.pi * (a + b) * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))
    for axes in ((a, b), (b, a)):
        one = Ellipse(0.0, 0.0, *axes, 0.0)
        assert one.circumference == pytest.approx(ramanujan, rel=1e-8)


def test_holes_specks_and_a_cut_edge_change_little():
    size = (0.5, 0.5)
    mask = draw((200, 200), size, (50.0, 50.0), (40.0, 30.0), 0.3)
    whole = head_circumference(mask, size)
    mask[95:105, 95:105] = False
    mask[2:5, 2:5] = True
    assert head_circumference(mask, size) == pytest.approx(whole, rel=1e-9)
    assert head_circumference(mask[40:], size) == pytest.approx(whole, rel=0.15)


def test_squeezed_image_has_the_same_circumference():
    long = draw((270, 400), (0.4, 0.4), (54.0, 80.0), (45.0, 35.0), 0.5)
    square = draw((256, 256), (0.4 * 270 / 256, 0.4 * 400 / 256), (54.0, 80.0), (45.0, 35.0), 0.5)
    expected = head_circumference(long, (0.4, 0.4))
    found = head_circumference(square, (0.4 * 270 / 256, 0.4 * 400 / 256))
    assert found == pytest.approx(expected, rel=0.002)


@pytest.mark.parametrize("angle", [0.0, 0.7, 1.5, 1.9, 2.8])
def test_an_ellipse_is_found_in_a_part_of_its_line(angle):
    one = Ellipse(44.0, 61.0, 40.0, 30.0, angle)
    turn = np.linspace(0, 4, 30)  # not all the way around
    along, across = one.major * np.cos(turn), one.minor * np.sin(turn)
    down = along * np.sin(angle) + across * np.cos(angle)
    right = along * np.cos(angle) - across * np.sin(angle)
    found = fit(np.stack([one.row + down, one.column + right], 1))
    assert found is not None
    for name in ("row", "column", "major", "minor"):
        assert getattr(found, name) == pytest.approx(getattr(one, name), abs=1e-6)
    assert math.remainder(found.angle - angle, math.pi) == pytest.approx(0, abs=1e-6)


def test_a_line_is_no_ellipse():
    assert fit(np.stack([np.arange(9.0), np.arange(9.0)], 1)) is None


def test_masks_without_an_ellipse_have_no_circumference():
    empty = np.zeros((8, 8), bool)
    assert fit_ellipse(empty, (1.0, 1.0)) is None
    assert math.isnan(head_circumference(empty, (1.0, 1.0)))


def test_area_ratio_is_of_each_class():
    target = np.array([[[0, 0, 1, 1], [0, 0, 1, 1]]])
    predicted = np.array([[[0, 1, 1, 1], [0, 1, 1, 1]]])
    ratio = area_ratio(overlap(predicted, target, 3))
    np.testing.assert_allclose(ratio, [[0.5, 1.5, np.nan]])
    np.testing.assert_allclose(area_ratio(overlap(predicted, target, 3).total()), ratio[0])


def test_bad_input_is_one_error():
    mask = np.ones((4, 4), bool)
    with pytest.raises(InputError, match="expected one boolean mask"):
        fit_ellipse(mask[None], (1.0, 1.0))
    with pytest.raises(InputError, match="pixel size"):
        fit_ellipse(mask, (1.0, 0.0))
