"""Concentration of changes whose place is known."""

import numpy as np
import pytest

from common.errors import InputError
from common.metrics.concentration import concentration

BEFORE = np.full((1, 20, 20, 3), 0.5, np.float32)


def with_change(change):
    return (BEFORE + change).astype(np.float32)


def test_known_changes():
    point = np.zeros((1, 20, 20, 3))
    point[0, 3, 4, 1] = 0.2
    half = np.zeros((1, 20, 20, 3))
    half[:, :10] = -0.3
    assert concentration(BEFORE, with_change(point)) == 1
    np.testing.assert_allclose(concentration(BEFORE, with_change(0.1)), 0.1)
    np.testing.assert_allclose(concentration(BEFORE, with_change(half)), 0.2)
    np.testing.assert_allclose(concentration(BEFORE, with_change(half), share=0.25), 0.5)
    # pixels that change by 1, 2, ... 400: the 40 largest of them
    ramp = np.random.default_rng(0).permutation(np.arange(1, 401)).reshape(1, 20, 20, 1) / 1000
    expected = np.arange(361, 401).sum() / np.arange(1, 401).sum()
    np.testing.assert_allclose(concentration(BEFORE, with_change(-ramp)), expected, rtol=1e-4)


def test_channels_add_up_and_signs_do_not_cancel():
    change = np.zeros((1, 20, 20, 3))
    change[0, :4, :10] = [0.2, -0.2, 0]
    change[0, 10:, :] = [0.1, 0, 0]
    expected = 40 * 0.4 / (40 * 0.4 + 200 * 0.1)
    np.testing.assert_allclose(concentration(BEFORE, with_change(change)), expected, rtol=1e-5)


def test_every_image_has_its_value_and_a_copy_none():
    both = np.concatenate([BEFORE, with_change(0.1)])
    found = concentration(np.concatenate([BEFORE, BEFORE]), both)
    np.testing.assert_allclose(found, [np.nan, 0.1])


def test_bad_input_is_one_error():
    with pytest.raises(InputError, match=r"images after: .* divide by 255"):
        concentration(BEFORE, BEFORE * 255)
    with pytest.raises(InputError, match="one shape"):
        concentration(BEFORE, BEFORE[:, 1:])
    for share in (0, 1, 10):
        with pytest.raises(InputError, match=f"share {share} of the pixels"):
            concentration(BEFORE, BEFORE, share)
