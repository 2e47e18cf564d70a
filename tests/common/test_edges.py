"""Recall of edges against a loop over pixels."""

import numpy as np
import pytest

from common.errors import InputError
from common.metrics.edges import edge_recall


def test_recall_is_that_of_a_loop_over_pixels():
    random = np.random.default_rng(0)
    found, expected, region = random.random((3, 4, 9, 11)) < 0.15
    for tolerance in (0, 1, 2):
        for inside in (None, region):
            hits = np.zeros(4)
            total = np.zeros(4)
            for image, row, column in np.argwhere(expected):
                if inside is not None and not inside[image, row, column]:
                    continue
                top, left = max(0, row - tolerance), max(0, column - tolerance)
                near = found[image, top : row + tolerance + 1, left : column + tolerance + 1]
                hits[image] += near.any()
                total[image] += 1
            np.testing.assert_array_equal(
                edge_recall(found, expected, tolerance, inside), hits / total
            )


def test_nothing_expected_is_no_number_and_bad_input_is_named():
    none = np.zeros((1, 4, 4), bool)
    assert np.isnan(edge_recall(~none, none)[0])
    with pytest.raises(InputError, match="expected one shape"):
        edge_recall(none, none[:, :3])
    with pytest.raises(InputError, match="tolerance -1"):
        edge_recall(none, none, -1)
