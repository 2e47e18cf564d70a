"""The three combinations and the segmenter's losses against their formulas."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common.errors import InputError
from common.metrics.ssim import MS_WEIGHTS, ms_ssim, ssim
from common.pretrained.perceptual import LAYOUTS, perceptual_features, perceptual_network
from papers.ultrasound_diconvae.config import TrainConfig
from papers.ultrasound_diconvae.losses import (
    TAPS,
    denoising_loss,
    ms_weights,
    segmentation_loss,
)
from tests.golden.seeded_lpips import seeded_lpips

random = np.random.default_rng(0)
CLEAN = jnp.asarray(random.random((2, 24, 20, 1), np.float32))
OUTPUT = jnp.clip(CLEAN + 0.1 * random.standard_normal(CLEAN.shape, np.float32), 0, 1)
CONFIG = TrainConfig()


def test_l1_msssim_is_its_formula_and_has_a_slope_down_to_the_clean_image():
    value, slope = jax.jit(jax.value_and_grad(lambda x: denoising_loss(x, CLEAN, CONFIG)))(OUTPUT)
    unlike = 1 - ms_ssim(OUTPUT, CLEAN, ms_weights(24, 20)).mean()
    assert float(value) == pytest.approx(
        0.84 * float(unlike) + 0.16 * float(jnp.abs(OUTPUT - CLEAN).mean()), rel=1e-5
    )
    assert np.isfinite(slope).all()
    nearer = jnp.clip(OUTPUT - 0.01 * jnp.sign(slope), 0, 1)
    assert float(denoising_loss(nearer, CLEAN, CONFIG)) < float(value)
    assert float(denoising_loss(CLEAN, CLEAN, CONFIG)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("side", "scales"), [(11, 1), (20, 1), (21, 2), (41, 3), (81, 4), (160, 4), (161, 5), (256, 5)]
)
def test_small_images_have_fewer_scales(side, scales):
    weights = ms_weights(side, 300)
    assert len(weights) == scales
    assert sum(weights) == pytest.approx(1, abs=1e-3)
    if scales == 5:
        assert weights == MS_WEIGHTS
    with pytest.raises(InputError, match="MS-SSIM of 10x300: expected at least 11x11"):
        ms_weights(10, 300)


def test_one_scale_is_ssim():
    ours = jax.jit(lambda x: denoising_loss(x, CLEAN, replace(CONFIG, mix=1.0)))(OUTPUT)
    assert float(ours) == pytest.approx(1 - float(ssim(OUTPUT, CLEAN).mean()), rel=1e-4)


@pytest.fixture(scope="module")
def vgg():
    return perceptual_network("vgg", seeded_lpips("vgg"))


@pytest.mark.parametrize("name", ["l1_perceptual", "l2_perceptual"])
def test_perceptual_losses_are_their_formulas(vgg, name):
    config = replace(CONFIG, loss=name, perceptual=0.5, perceptual_layer="relu2_2")
    features = jax.jit(lambda network, images: perceptual_features(network, images)[1])
    taps = [features(vgg, images) for images in (OUTPUT, CLEAN)]
    power = 1 if name[:2] == "l1" else 2
    expected = jnp.mean(jnp.abs(OUTPUT - CLEAN) ** power) + 0.5 * jnp.mean((taps[0] - taps[1]) ** 2)
    step = jax.value_and_grad(lambda x, network: denoising_loss(x, CLEAN, config, network))
    value, slope = jax.jit(step)(OUTPUT, vgg)
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    assert float(jnp.abs(slope).max()) > 0
    with pytest.raises(InputError, match=f"{name}: needs VGG16's weights"):
        denoising_loss(OUTPUT, CLEAN, config)


def test_layers_are_vggs_in_order(vgg):
    assert len(TAPS) == len(LAYOUTS["vgg"].stages)
    taps = jax.eval_shape(perceptual_features, vgg, CLEAN)
    assert [tap.shape[-1] for tap in taps] == [64, 128, 256, 512, 512]


def test_segmentation_losses_are_their_formulas():
    logits = jnp.asarray(random.standard_normal((2, 4, 5, 3), np.float32))
    labels = jnp.asarray(random.integers(0, 2, (2, 4, 5)))  # class 2 is not there
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    truth = np.eye(3)[labels]
    entropy = -np.log((p * truth).sum(-1)).mean()
    assert float(segmentation_loss(logits, labels, CONFIG)) == pytest.approx(entropy, rel=1e-5)
    dice = (2 * (p * truth).sum((0, 1, 2)) + 1) / ((p + truth).sum((0, 1, 2)) + 1)
    both = segmentation_loss(logits, labels, replace(CONFIG, segmenter_loss="cross_entropy_dice"))
    assert float(both) == pytest.approx(entropy + 1 - dice.mean(), rel=1e-5)
