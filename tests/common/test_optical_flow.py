"""Displacements are found where and as far as they are, and nothing else is taken for one."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from common.errors import InputError
from common.metrics.optical_flow import found_flow, shape_change
from tests.common.warped import SIDE, moved, operated, true_flow

SEEDS = range(4)
BEFORE = np.stack([operated(seed, 0) for seed in SEEDS])
AFTER = np.stack([operated(seed, 1) for seed in SEEDS])
FLOW = np.stack([true_flow()] * len(SEEDS))


def change(after, before=BEFORE):
    return shape_change(before, after.astype(np.float32), FLOW)


def blurred(images, sigma):
    return gaussian_filter(images, (0, sigma, sigma, 0))


@pytest.mark.parametrize("shift", [(2, 0), (0, 2), (-1.5, 1)])
def test_flow_points_from_before_to_after(shift):
    after = np.stack([moved(seed, lambda points: np.array(shift)) for seed in SEEDS])
    found = found_flow(BEFORE, after)[:, 8:-8, 8:-8]
    np.testing.assert_allclose(np.median(found, (1, 2)), [shift] * len(SEEDS), atol=0.1)


def test_the_true_after_has_the_true_flow():
    found = found_flow(BEFORE, AFTER)
    middle = slice(SIDE // 2 - 4, SIDE // 2 + 5)
    error = (found - FLOW)[:, middle, middle]
    assert np.abs(error).mean() < 0.2
    np.testing.assert_allclose(change(AFTER), 1, atol=0.15)


def test_it_grows_with_the_share_in_either_direction():
    np.testing.assert_array_equal(change(BEFORE), 0)
    found = [change(np.stack([operated(s, q) for s in SEEDS])).mean() for q in (0.5, 1, 2, -1)]
    np.testing.assert_allclose(found, [0.5, 1, 2, 1], atol=0.15)
    assert 0.35 < change((BEFORE + AFTER) / 2).mean() < 0.65


def test_light_color_and_blur_are_no_shape_change():
    random = np.random.default_rng(0)
    columns = np.linspace(0.6, 1, SIDE)[:, None]
    noise = (BEFORE + random.normal(0, 0.01, BEFORE.shape)).clip(0, 1)
    tint, gray = BEFORE * np.array([1, 0.8, 0.6]), BEFORE * 0.6 + 0.3
    for changed in (tint, gray, BEFORE**0.8, BEFORE * columns, noise):
        assert np.all(change(changed) < 0.2)
    for sigma in (0.7, 1.5, 3):
        assert np.all(change(blurred(BEFORE, sigma)) < 0.05)
    np.testing.assert_allclose(change(blurred(AFTER, 1.5) * 0.7 + 0.1), 1, atol=0.25)
    np.testing.assert_allclose(change(AFTER, blurred(BEFORE, 1)), 1, atol=0.25)


def test_another_color_beside_the_region_is_no_shape_change():
    hair = np.arange(SIDE)[:, None, None] < 10
    light, dark = (np.where(hair, BEFORE * shade, BEFORE) for shade in (0.8, 0.4))
    assert np.all(change(dark, light.astype(np.float32)) < 0.2)


def test_stated_values_and_gray_images():
    assert np.isnan(shape_change(BEFORE, AFTER, 0 * FLOW)).all()
    flat = np.full_like(BEFORE, 0.5)
    np.testing.assert_array_equal(found_flow(flat, flat), 0)
    gray = shape_change(BEFORE[..., :1], AFTER[..., :1], FLOW)
    np.testing.assert_allclose(gray, change(AFTER), atol=0.05)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((BEFORE * 255, AFTER, FLOW), "images before: .* divide by 255"),
        ((BEFORE, AFTER * 2 - 1, FLOW), "images after: values down to"),
        ((BEFORE, AFTER[:3], FLOW), "one shape"),
        ((BEFORE, AFTER, FLOW[..., :1]), r"true flow \(4, 64, 64, 1\)"),
        ((BEFORE, AFTER, FLOW * np.nan), "true flow: NaN"),
        ((BEFORE[:, :15], AFTER[:, :15], FLOW[:, :15]), "15x64: expected at least 16x16"),
    ],
)
def test_bad_input_is_one_error(given, message):
    with pytest.raises(InputError, match=message):
        shape_change(*given)
