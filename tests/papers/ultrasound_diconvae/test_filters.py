"""The baselines against findpeaks (tests/golden/make_filters.py) and against their equations."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from papers.ultrasound_diconvae import filters

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "filters.npz")
IMAGE = GOLDEN["image"][None, ..., None]


@pytest.mark.parametrize("size", [3, 5, 7])
def test_lee_and_kuan_are_findpeaks(size):
    window = size - 1  # findpeaks's windows lack their last row and column
    lee = filters.lee(IMAGE, window, 0.25)[0, ..., 0]
    np.testing.assert_allclose(lee, GOLDEN[f"lee{size}"], atol=2e-6)
    kuan = filters.kuan(IMAGE, window, 0.4)[0, ..., 0]
    np.testing.assert_allclose(kuan, GOLDEN[f"kuan{size}"], atol=2e-6)


@pytest.mark.parametrize("size", [5, 7])
def test_findpeaks_form_of_frost_is_findpeaks(size):
    ours = np.asarray(filters.frost(IMAGE, size - 1, 2.0, "findpeaks"))[0, ..., 0]
    inner = slice(size // 2, -(size // 2))  # it cuts windows at the edges one pixel short
    np.testing.assert_allclose(
        ours[inner, inner], GOLDEN[f"frost{size}"][inner, inner], rtol=1e-4, atol=1e-6
    )


def by_definition(image: np.ndarray, window: int, pixel) -> np.ndarray:
    """Return `pixel(values, distances, z)` of every pixel's window, cut at the edges."""
    half, result = window // 2, np.zeros_like(image)
    for i, j in np.ndindex(image.shape):
        rows = np.arange(max(i - half, 0), min(i + half + 1, image.shape[0]))
        columns = np.arange(max(j - half, 0), min(j + half + 1, image.shape[1]))
        distances = np.hypot(rows[:, None] - i, columns[None] - j)
        result[i, j] = pixel(image[np.ix_(rows, columns)], distances, image[i, j])
    return result


def test_filters_are_their_equations():
    image = IMAGE[0, ..., 0].astype(float)

    def weight(p):
        return max(0, 1 - 0.3**2 / max(p.std() / p.mean(), 1e-9) ** 2)

    def frost(p, t, _):
        share = np.exp(-2.0 * (p.std() / p.mean()) ** 2 * t)
        return (share * p).sum() / share.sum()

    expected = {
        "lee": lambda p, _, z: p.mean() + weight(p) * (z - p.mean()),
        "kuan": lambda p, _, z: p.mean() + weight(p) / (1 + 0.3**2) * (z - p.mean()),
        "frost": frost,
    }
    ours = {
        "lee": filters.lee(IMAGE, 5, 0.3),
        "kuan": filters.kuan(IMAGE, 5, 0.3),
        "frost": filters.frost(IMAGE, 5, 2.0),
    }
    for name, pixel in expected.items():
        truth = by_definition(image, 5, pixel)
        np.testing.assert_allclose(np.asarray(ours[name])[0, ..., 0], truth, atol=2e-5)


@pytest.mark.parametrize("name", filters.available())
def test_every_baseline_takes_speckle_off(name):
    random = np.random.default_rng(0)
    clean = np.full((2, 32, 40, 1), 0.3, np.float32)
    clean[:, 8:24, 10:30] = 0.6
    noisy = (clean * (1 + 0.2 * random.standard_normal(clean.shape))).clip(0, 1).astype(np.float32)
    found = np.asarray(filters.BASELINES[name](noisy))
    assert found.shape == noisy.shape
    assert found.dtype == np.float32
    assert 0 <= found.min() <= found.max() <= 1
    assert np.mean((found - clean) ** 2) < 0.6 * np.mean((noisy - clean) ** 2)


def test_noise_level_is_the_noises():
    random = np.random.default_rng(0)
    slope = np.mgrid[:64, :80][0] / 100
    noisy = slope + 0.07 * random.standard_normal(slope.shape)
    assert filters.noise_level(noisy) == pytest.approx(0.07, rel=0.05)
    assert filters.noise_level(slope) == pytest.approx(0, abs=1e-12)


def test_black_images_stay_black():
    black = np.zeros((1, 16, 16, 1), np.float32)
    for run in (filters.lee, filters.kuan, filters.frost):
        np.testing.assert_array_equal(run(black), black)


@pytest.mark.skipif(find_spec("bm3d") is not None, reason="bm3d is installed")
def test_missing_bm3d_is_skipped_with_the_reason():
    assert set(filters.BASELINES) - set(filters.available()) == {"bm3d"}
    assert "non-commercial" in filters.skipped()["bm3d"]
    with pytest.raises(InputError, match="bm3d: not installed"):
        filters.bm3d(IMAGE)


def test_window_of_one_pixel_is_refused():
    with pytest.raises(InputError, match="window of 1 pixels"):
        filters.lee(IMAGE, 1)
