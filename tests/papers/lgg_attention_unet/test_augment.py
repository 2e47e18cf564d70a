"""Augmentation against Keras's, and that masks follow images."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common.nn.affine import affine, sample
from papers.lgg_attention_unet.augment import augment
from papers.lgg_attention_unet.config import TrainConfig

STILL = TrainConfig(rotation_degrees=0.0, shift=0.0, shear_degrees=0.0, zoom=0.0)
GOLDEN = Path(__file__).parents[2] / "golden" / "affine.npz"


def test_maps_are_those_of_keras():
    with np.load(GOLDEN) as golden:
        image, maps, moved = (golden[name] for name in ("image", "maps", "moved"))
    rotation, right, down, shear, wide, high = jnp.asarray(maps).T
    both = affine(
        jnp.radians(rotation), jnp.radians(shear), jnp.stack([wide, high]),
        jnp.stack([right, down]),
    )  # fmt: skip
    images = jnp.broadcast_to(image, (len(maps), *image.shape))
    np.testing.assert_allclose(sample(images, *both), moved, atol=2e-5)


@pytest.fixture
def slices():
    random = np.random.default_rng(0)
    images = random.random((6, 16, 24, 3)).astype(np.float32)
    masks = np.zeros((6, 16, 24, 1), np.float32)
    masks[:, 3:9, 4:12] = 1
    return jnp.asarray(images), jnp.asarray(masks)


def test_nothing_happens_without_ranges(slices):
    images, masks = augment(jax.random.key(0), *slices, STILL)
    np.testing.assert_array_equal(images, slices[0])
    np.testing.assert_array_equal(masks, slices[1])


def test_the_published_ranges_move_every_slice_its_own_way(slices):
    images, masks = slices
    moved, _ = augment(jax.random.key(1), jnp.repeat(images[:1], 6, 0), masks, TrainConfig())
    assert len(np.unique(np.asarray(moved).sum((1, 2, 3)))) == 6
    again, _ = augment(jax.random.key(1), jnp.repeat(images[:1], 6, 0), masks, TrainConfig())
    np.testing.assert_array_equal(moved, again)


def test_masks_follow_images_and_stay_binary(slices):
    _, masks = slices
    config = replace(TrainConfig(), rotation_degrees=15.0, zoom=0.2, flip=0.5)
    images, moved = augment(jax.random.key(2), jnp.tile(masks, (1, 1, 1, 3)), masks, config)
    assert set(np.unique(moved)) == {0, 1}
    np.testing.assert_array_equal(np.asarray(images)[..., :1] >= 0.5, moved > 0)
    assert np.abs(np.asarray(moved) - masks).sum() > 50


def test_flips_mirror_left_and_right_as_often_as_asked(slices):
    images, masks = (jnp.repeat(one[:1], 200, 0) for one in slices)
    flipped, _ = augment(jax.random.key(3), images, masks, replace(STILL, flip=0.25))
    mirrored = np.isclose(flipped, images[:, :, ::-1], atol=1e-6).all((1, 2, 3))
    np.testing.assert_array_equal(~mirrored, np.isclose(flipped, images, atol=1e-6).all((1, 2, 3)))
    assert 0.15 < mirrored.mean() < 0.35


def test_intensity_changes_images_and_not_masks(slices):
    images, masks = augment(jax.random.key(4), *slices, replace(STILL, intensity=0.2))
    np.testing.assert_array_equal(masks, slices[1])
    ratio = np.asarray(images) / slices[0]
    assert ratio.std() > 0.01
    gain_and_power = np.exp(0.2)
    bright = slices[0] > 0.5
    assert np.all(ratio[bright] < gain_and_power * 0.5 ** -(1 - np.exp(-0.2)) + 1e-5)
    assert np.all(ratio[bright] > 1 / gain_and_power * 0.5 ** (np.exp(0.2) - 1) - 1e-5)
