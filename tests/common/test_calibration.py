"""Reliability and sensitivity against scikit-learn."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_curve

from common.errors import InputError
from common.metrics.calibration import reliability
from common.metrics.classification import sensitivity_at

RANDOM = np.random.default_rng(0)
SCORES = RANDOM.random(200)
POSITIVE = RANDOM.random(200) < SCORES**2


def test_bins_are_those_of_scikit_learn():
    found = reliability(SCORES, POSITIVE)
    observed, predicted = calibration_curve(POSITIVE, SCORES, n_bins=10)
    np.testing.assert_allclose(found.observed, observed, rtol=1e-12)
    np.testing.assert_allclose(found.predicted, predicted, rtol=1e-12)
    assert found.count.sum() == 200
    by_hand = np.sum(np.abs(observed - predicted) * found.count) / 200
    assert found.error == pytest.approx(by_hand)


def test_the_error_is_zero_where_probabilities_are_right_and_one_where_they_are_wrong():
    sure = np.array([1.0, 1.0, 0.0, 0.0])
    assert reliability(sure, sure > 0).error == 0
    found = reliability(sure, sure == 0)
    assert found.error == 1
    assert np.isnan(found.observed[5])
    assert found.count[5] == 0


def test_sensitivity_is_the_best_of_the_thresholds_that_keep_the_specificity():
    false, true, _ = roc_curve(POSITIVE, SCORES)
    for specificity in (0.5, 0.95, 1.0):
        best = max(t for f, t in zip(false, true, strict=True) if f <= 1 - specificity + 1e-12)
        assert sensitivity_at(SCORES, POSITIVE, specificity) == pytest.approx(best, abs=1e-12)
    assert sensitivity_at(SCORES, POSITIVE) < sensitivity_at(SCORES, POSITIVE, 0.5)
    assert np.isnan(sensitivity_at(SCORES, np.ones(200, bool)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reliability(SCORES + 1, POSITIVE), "values from 0 to 1"),
        (lambda: reliability(SCORES, POSITIVE, 0), "in 0 bins"),
        (lambda: sensitivity_at(SCORES, POSITIVE, 1.5), "specificity 1.5"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
