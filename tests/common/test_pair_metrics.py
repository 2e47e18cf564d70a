"""MS-SSIM, PSNR and GMSD equal their references, keep their laws, and refuse unusable input."""

from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from common.metrics.gmsd import gmsd
from common.metrics.psnr import psnr
from common.metrics.ssim import ms_ssim
from tests.golden.image_pairs import image_pairs

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "perceptual.npz"))
PAIRS = image_pairs()
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=6, deadline=None, derandomize=True)


def three_scales(x, y):
    return ms_ssim(x, y, (0.2, 0.3, 0.5))


METRICS = (three_scales, gmsd, psnr)
COMPILED = [jax.jit(metric) for metric in METRICS]
BOUNDS = ((0, 1), (0, 0.5), (0, np.inf))


def noise(seed, n=2, height=45, width=48, channels=1):
    return np.random.default_rng(seed).random((n, height, width, channels), dtype=np.float32)


@pytest.mark.parametrize("name", ["gray", "color"])
def test_ms_ssim_matches_pytorch_msssim(name):
    x, y = PAIRS[name]
    found = jax.jit(ms_ssim)(x, y), COMPILED[0](x, y)
    np.testing.assert_allclose(found[0], GOLDEN[f"ms_ssim_{name}_5"], atol=1e-5)
    np.testing.assert_allclose(found[1], GOLDEN[f"ms_ssim_{name}_3"], atol=1e-5)


def test_ms_ssim_has_the_gradient_of_pytorch_msssim():
    x, y = PAIRS["color"]
    slope = jax.jit(jax.grad(lambda x, y: ms_ssim(x, y).mean()))(x, y)
    expected = GOLDEN["ms_ssim_color_gradient"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(slope[:, ::16, ::16], expected, atol=2e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", PAIRS)
def test_psnr_matches_skimage_and_gmsd_matches_piq(name):
    np.testing.assert_allclose(psnr(*PAIRS[name]), GOLDEN[f"psnr_{name}"], atol=1e-5)
    np.testing.assert_allclose(gmsd(*PAIRS[name]), GOLDEN[f"gmsd_{name}"], atol=1e-5)
    assert np.ptp(GOLDEN[f"psnr_{name}"]) > 1e-2  # values that a constant would not meet


@few
@given(seeds)
def test_identity_symmetry_bounds_and_order(seed):
    x, y = noise(seed), noise(seed + 1)
    order = np.random.default_rng(seed).permutation(2)
    for metric, (low, high) in zip(COMPILED, BOUNDS, strict=True):
        found = metric(x, y)
        np.testing.assert_allclose(metric(y, x), found, rtol=1e-5)
        np.testing.assert_allclose(metric(x[order], y[order]), found[order], rtol=1e-5)
        for values in (found, metric(x, 1 - x)):
            assert np.all((low <= values) & (values <= high))
    for metric, expected in zip(COMPILED, (1, 0, np.inf), strict=True):
        np.testing.assert_allclose(metric(x, x), expected, atol=1e-5)


def test_vmap_is_the_loop():
    x, y = noise(0, 4), noise(1, 4)
    stacks = [z.reshape(2, 2, *z.shape[1:]) for z in (x, y)]
    for metric, compiled in zip(METRICS, COMPILED, strict=True):
        mapped = jax.jit(jax.vmap(metric))(*stacks)
        expected = np.stack([compiled(a, b) for a, b in zip(*stacks, strict=True)])
        np.testing.assert_allclose(mapped, expected, rtol=1e-4)


def test_gradients_are_finite_at_the_ends_of_the_range():
    x = noise(0)
    x[:, :20] = 0  # the image's own gradient vanishes in there
    slopes = [jax.jit(jax.grad(lambda a, b, f=f: f(a, b).sum())) for f in (three_scales, gmsd)]
    for y in (x, np.zeros_like(x), 1 - x):  # the last: MS-SSIM is 0
        for slope in slopes:
            assert np.isfinite(slope(x, y)).all()
    for slope in slopes:
        assert np.any(slope(x, np.sqrt(x)) != 0)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x * 255, "divide by 255"),
        (lambda x: (x * 255).round(), "divide by 255"),
        (lambda x: x * 2 - 1, "x / 2"),
        (lambda x: np.where(x > 0.5, np.float32(np.nan), x), "NaN"),
        (lambda x: x[:0], "0 given"),
        (lambda x: x[:, :-1], "expected one shape"),
        (lambda x: x[:1], "expected one shape"),
    ],
)
def test_images_that_are_refused(spoil, message):
    x = noise(0)
    for metric in METRICS:
        for pair in ((x, spoil(x)), (spoil(x), x)):
            with pytest.raises(InputError, match=message):
                metric(*pair)


def test_channels_and_sizes_that_gmsd_refuses():
    channels, line = noise(0, channels=2), noise(0, height=1)
    with pytest.raises(InputError, match="2 channels, expected 1 or 3"):
        gmsd(channels, channels)
    with pytest.raises(InputError, match="1x48, expected at least 2x2"):
        gmsd(line, line)


@pytest.mark.parametrize(("scales", "smallest"), [(5, 161), (4, 81), (3, 41), (1, 11)])
def test_ms_ssim_says_how_small_it_goes(scales, smallest):
    weights = (1 / scales,) * scales
    short = noise(0, 1, smallest - 1, 165)
    with pytest.raises(
        InputError, match=f"{smallest - 1}x165, .*expected at least {smallest}x{smallest}"
    ):
        ms_ssim(short, short, weights)
    enough = jax.ShapeDtypeStruct((1, smallest, 165, 1), np.float32)
    shape = jax.eval_shape(lambda x: ms_ssim(x, x, weights), enough).shape
    assert shape == (1,)


def test_ms_ssim_wants_a_scale():
    with pytest.raises(InputError, match="weights"):
        ms_ssim(noise(0), noise(1), ())
