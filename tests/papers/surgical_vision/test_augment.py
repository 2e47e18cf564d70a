"""Augmentation: what it changes, within which bounds, and both of a pair alike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import rotate

from papers.surgical_vision import augment
from papers.surgical_vision.augment import augmented
from papers.surgical_vision.config import AugmentConfig
from tests.papers.surgical_vision.small import clouds

NOTHING = AugmentConfig(flip=False, rotation=0.0, brightness=0.0)
FACES, COUNT = clouds(0, 64), 64


def changed(config, *images, key=0):
    given = map(jnp.asarray, images)
    return [np.asarray(image) for image in augmented(jax.random.key(key), config, *given)]


def halves(images):
    return images / 127.5 - 1


def test_nothing_asked_changes_nothing_but_the_range():
    (same,) = changed(NOTHING, FACES)
    np.testing.assert_allclose(same, halves(FACES), atol=1e-6)
    assert same.dtype == np.float32


def test_half_of_the_faces_are_flipped():
    (images,) = changed(AugmentConfig(rotation=0.0, brightness=0.0), FACES)
    flipped = np.abs(images - halves(FACES)[:, :, ::-1]).max((1, 2, 3)) < 1e-6
    kept = np.abs(images - halves(FACES)).max((1, 2, 3)) < 1e-6
    assert (flipped ^ kept).all()
    assert 20 < flipped.sum() < 44


def test_brightness_stays_within_its_range_and_fills_it():
    (images,) = changed(AugmentConfig(flip=False, rotation=0.0, brightness=0.3), FACES)
    ratio = ((images + 1) / 2 / (FACES / 255)).reshape(COUNT, -1)
    inside = (images.reshape(COUNT, -1) < 0.999) & (FACES.reshape(COUNT, -1) > 20)  # not cut off
    factors = np.array([row[kept].mean() for row, kept in zip(ratio, inside, strict=True)])
    for row, kept, factor in zip(ratio, inside, factors, strict=True):
        np.testing.assert_allclose(row[kept], factor, atol=1e-3)  # one for all of an image
    assert 0.7 <= factors.min() < 0.75
    assert 1.25 < factors.max() <= 1.3
    assert images.max() == 1  # what would be brighter is cut off
    assert (np.abs(images) <= 1).all()


@pytest.mark.parametrize("degrees", [-10.0, 3.0, 30.0])
def test_a_rotation_is_scipy_s_about_the_middle(degrees):
    image = FACES[0] / np.float32(255)
    ours = augment._rotated(jnp.asarray(image), jnp.float32(np.deg2rad(degrees)))
    theirs = rotate(image, degrees, reshape=False, order=1, mode="nearest")
    backwards = rotate(image, -degrees, reshape=False, order=1, mode="nearest")
    errors = [np.abs(np.asarray(ours) - other).max() for other in (theirs, backwards)]
    assert min(errors) < 1e-4
    assert max(errors) > 0.05


def test_rotations_are_within_the_degrees_and_either_way():
    point = np.zeros((COUNT, 33, 33, 3), np.uint8)
    point[:, 14:19, 26:31] = 255
    (images,) = changed(AugmentConfig(flip=False, rotation=20.0, brightness=0.0), point)
    weight = (images.mean(-1) + 1) / 2
    grid = np.arange(33) - 16
    x, y = (weight * grid).sum((1, 2)), (weight * grid[:, None]).sum((1, 2))
    angles = np.degrees(np.arctan2(y, x))
    assert -20.5 < angles.min() < -15
    assert 15 < angles.max() < 20.5
    np.testing.assert_allclose(np.hypot(x, y) / weight.sum((1, 2)), 12, atol=0.3)


def test_both_of_a_pair_change_alike_and_others_otherwise():
    config = AugmentConfig(rotation=15.0, brightness=0.2)
    one, other = changed(config, FACES, FACES)
    np.testing.assert_array_equal(one, other)
    same = np.repeat(FACES[:1], 8, 0)
    (rows,) = changed(config, same)
    assert len({row.tobytes() for row in rows}) == 8  # each row is drawn for
    (again,) = changed(config, FACES)
    np.testing.assert_array_equal(again, one)
    assert (changed(config, FACES, key=1)[0] != one).any((1, 2, 3)).all()
