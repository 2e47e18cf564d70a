"""The share of an operation is found on images that show a known share of it."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from common.errors import InputError
from common.metrics.ladder import changed_region, share_of_ladder
from tests.common.warped import SHARES, SIDE, operated, true_flow

SEEDS = range(4)
LADDERS = np.stack([[operated(seed, share) for share in SHARES] for seed in SEEDS])
BEFORE, AFTER = LADDERS[:, 1], LADDERS[:, 3]
WEIGHTS = changed_region(np.stack([true_flow()] * len(SEEDS)))


def shares_of(images, ladders=LADDERS):
    return share_of_ladder(images.astype(np.float32), ladders, SHARES, WEIGHTS)


def blurred(images, sigma):
    return gaussian_filter(images, (0, sigma, sigma, 0))


@pytest.mark.parametrize("share", [-0.3, 0, 0.25, 0.7, 1, 1.4, 2])
def test_a_known_share_is_found(share):
    found = shares_of(np.stack([operated(seed, share) for seed in SEEDS]))
    np.testing.assert_allclose(found.share, share, atol=0.04)
    assert np.all(found.peak > 0.97)


def test_rungs_and_a_cross_fade_lie_where_they_must():
    np.testing.assert_allclose(shares_of(AFTER).peak, 1, atol=1e-6)
    np.testing.assert_allclose(shares_of((BEFORE + AFTER) / 2).share, 0.5, atol=0.1)
    # beyond the ladder: its end and half a step
    short = share_of_ladder(LADDERS[:, 5], LADDERS[:, :3], SHARES[:3], WEIGHTS)
    np.testing.assert_allclose(short.share, 0.75)


@pytest.mark.parametrize("images", [BEFORE, AFTER], ids=["before", "after"])
def test_light_tint_blur_and_noise_move_it_little(images):
    expected = 0 if images is BEFORE else 1
    random = np.random.default_rng(0)
    noise = (images + random.normal(0, 0.02, images.shape)).clip(0, 1)
    tint = images * np.array([1, 0.9, 0.7])
    for changed in (images * 0.6 + 0.3, tint, noise, blurred(images, 0.75), blurred(images, 2)):
        np.testing.assert_allclose(shares_of(changed).share, expected, atol=0.06)


def test_the_peak_falls_with_blur_and_noise_and_not_with_brightness():
    random = np.random.default_rng(0)
    noise = (AFTER + random.normal(0, 0.1, AFTER.shape)).clip(0, 1)
    np.testing.assert_allclose(shares_of(AFTER * 0.5 + 0.2).peak, 1, atol=1e-6)
    peaks = [shares_of(images).peak for images in (AFTER, blurred(AFTER, 1), blurred(AFTER, 2))]
    assert np.all(np.diff(peaks, axis=0) < -5e-4)
    assert np.all(shares_of(noise).peak < 0.9)
    assert np.all(np.abs(shares_of(AFTER[[1, 2, 3, 0]]).peak) < 0.8)  # another's texture


def test_only_the_region_counts():
    outside = WEIGHTS[..., None] == 0
    assert 0.3 < outside.mean() < 0.9
    other = np.where(outside, BEFORE[[1, 2, 3, 0]], AFTER)
    np.testing.assert_allclose(shares_of(other).peak, 1, atol=1e-6)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(shares_of(np.where(outside, AFTER, BEFORE)).share, 1, atol=0.5)


def test_the_region_is_where_it_moves():
    flow = np.zeros((2, 20, 20, 2), np.float32)
    flow[0, 5:10, 5:10] = [0, 4]
    flow[0, 15:18, 15:18] = [0.9, 0]  # under a quarter of 4
    weights = changed_region(flow)
    assert weights.shape == (2, 20, 20)
    assert weights[0, 7, 7] > 0.9
    assert weights[0, 16, 16] < 0.01
    assert 0.1 < weights[0, 4, 7] < 0.5
    assert weights[0].sum() == pytest.approx(25, rel=1e-3)
    assert not weights[1].any()


def test_nothing_to_correlate_is_nan():
    flat = np.full_like(BEFORE, 0.5)
    for found in (shares_of(flat), share_of_ladder(AFTER, LADDERS, SHARES, 0 * WEIGHTS)):
        assert np.isnan(found.share).all()
        assert np.isnan(found.peak).all()
    one = AFTER.copy()
    one[1] = 0.5
    assert np.isnan(shares_of(one).share).tolist() == [False, True, False, False]


def test_gray_images_do_too():
    gray = LADDERS[..., :1]
    found = share_of_ladder(gray[:, 4], gray, SHARES, WEIGHTS)
    np.testing.assert_allclose(found.share, 1.5, atol=0.03)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": AFTER * 255}, "images: values up to .* divide by 255"),
        ({"ladders": LADDERS * 2 - 1}, "ladders: values down to"),
        ({"ladders": LADDERS[:, :5]}, r"6 shares: expected \(4, 6, 64, 64, 3\)"),
        ({"ladders": LADDERS[:3]}, r"ladders \(3, 6"),
        ({"shares": SHARES[:2]}, "3 or more"),
        ({"shares": (0, 1, 3)}, "equal steps"),
        ({"shares": SHARES[::-1]}, "increase"),
        ({"weights": WEIGHTS[:, 1:]}, r"weights \(4, 63, 64\)"),
        ({"weights": WEIGHTS - 1}, "weights down to -1"),
        ({"weights": WEIGHTS * np.nan}, "weights: NaN"),
        ({"images": np.repeat(AFTER, 2, 3), "ladders": np.repeat(LADDERS, 2, 4)}, "6 channels"),
    ],
)
def test_bad_input_is_one_error(change, message):
    given = {"images": AFTER, "ladders": LADDERS, "shares": SHARES, "weights": WEIGHTS}
    with pytest.raises(InputError, match=message):
        share_of_ladder(**given | change)
    with pytest.raises(InputError, match="flow: NaN"):
        changed_region(np.full((1, SIDE, SIDE, 2), np.nan, np.float32))
