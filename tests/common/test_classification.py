"""Classification scores equal scikit-learn's, keep their laws, and refuse unusable input."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from common.metrics.classification import (
    auroc,
    average_precision,
    class_counts,
    confusion_matrix,
    f1,
    macro_f1,
    one_vs_rest,
)

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "classification.npz"))
PREDICTED, TARGET, SCORES = GOLDEN["predicted"], GOLDEN["target"], GOLDEN["scores"]
CLASSES = 5  # 3 is never predicted, 4 neither present nor predicted
AREAS = (auroc, average_precision)
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=20, deadline=None, derandomize=True)


def samples(seed, n=30, classes=3):
    """Return labels of both sides, scores with ties, and which are positive: some are, not all."""
    random = np.random.default_rng(seed)
    positive = random.permutation(np.arange(n) < random.integers(1, n))
    return *random.integers(0, classes, (2, n)), random.integers(0, 9, n) / 8, positive


# From labels


def test_confusion_matrix_and_f1_match_scikit_learn():
    found = confusion_matrix(PREDICTED, TARGET, CLASSES)
    np.testing.assert_array_equal(found, GOLDEN["confusion"])
    np.testing.assert_allclose(f1(found), GOLDEN["f1"], rtol=1e-6)
    np.testing.assert_allclose(macro_f1(found), GOLDEN["macro_f1"], rtol=1e-6)
    counts = class_counts(found)
    np.testing.assert_allclose(counts.precision()[:4], GOLDEN["precision"], rtol=1e-6)
    np.testing.assert_allclose(counts.recall()[:4], GOLDEN["recall"], rtol=1e-6)


def test_missing_classes_have_the_documented_values():
    scores = f1(confusion_matrix(PREDICTED, TARGET, CLASSES))
    assert scores[3] == 0  # present, never predicted
    assert np.isnan(scores[4])  # neither
    assert np.isnan(macro_f1(jnp.zeros((2, 2), jnp.int32)))


def test_confusion_matrix_in_jit_and_vmap():
    score = jax.jit(lambda p, t: macro_f1(confusion_matrix(p, t, CLASSES)))
    np.testing.assert_allclose(score(PREDICTED, TARGET), GOLDEN["macro_f1"], rtol=1e-6)
    matrices = jax.vmap(lambda p, t: confusion_matrix(p, t, CLASSES))(
        PREDICTED.reshape(6, 50), TARGET.reshape(6, 50)
    )
    np.testing.assert_array_equal(matrices.sum(0), GOLDEN["confusion"])
    outside = jax.jit(confusion_matrix, static_argnums=2)(
        np.array([0, -1, 2, 1]), np.array([0, 1, 1, 5]), 2
    )
    assert outside.tolist() == [[1, 0], [0, 0]]


@few
@given(seeds, st.sampled_from([1, 13]))
def test_confusion_matrix_laws(seed, cut):
    p, t, _, _ = samples(seed)
    whole = confusion_matrix(p, t, 3)
    assert whole.sum() == len(p)
    np.testing.assert_array_equal(confusion_matrix(t, p, 3), whole.T)
    order = np.random.default_rng(seed).permutation(len(p))
    parts = [confusion_matrix(p[i], t[i], 3) for i in np.split(order, [cut])]
    np.testing.assert_array_equal(parts[1] + parts[0], whole)
    np.testing.assert_array_equal(f1(whole), f1(whole.T))
    assert 0 <= macro_f1(whole) <= 1 == macro_f1(confusion_matrix(t, t, 3))
    as_numpy = np.asarray(whole)
    np.testing.assert_allclose(f1(as_numpy), f1(whole), rtol=1e-6)


def test_labels_that_are_refused():
    with pytest.raises(InputError, match=r"predicted: labels 0 to 2, .* 0 to 1"):
        confusion_matrix(PREDICTED, TARGET % 2, 2)
    with pytest.raises(InputError, match="one shape"):
        confusion_matrix(PREDICTED, TARGET[:9], CLASSES)
    with pytest.raises(InputError, match="at least one value"):
        confusion_matrix(PREDICTED[:0], TARGET[:0], CLASSES)


# From scores


def test_areas_match_scikit_learn():
    for measure, name in zip(AREAS, ("auroc", "average_precision"), strict=True):
        found = one_vs_rest(measure, SCORES, TARGET)
        np.testing.assert_allclose(found[:4], GOLDEN[name], rtol=1e-12)
        assert np.isnan(found[4])
    found = one_vs_rest(auroc, GOLDEN["probabilities"], TARGET)
    np.testing.assert_allclose(np.nanmean(found), GOLDEN["macro_auroc"], rtol=1e-12)


@few
@given(seeds)
def test_auroc_is_the_share_of_pairs_in_order(seed):
    _, _, scores, positive = samples(seed)
    above = scores[positive][:, None] - scores[~positive]
    expected = (np.sign(above) + 1).mean() / 2
    np.testing.assert_allclose(auroc(scores, positive), expected, rtol=1e-12)
    np.testing.assert_allclose(auroc(-scores, positive), 1 - expected, atol=1e-12)
    np.testing.assert_allclose(auroc(scores, ~positive), 1 - expected, atol=1e-12)


@few
@given(seeds)
def test_average_precision_is_the_sum_over_thresholds(seed):
    _, _, scores, positive = samples(seed)
    expected, recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = scores >= threshold
        gained = (chosen & positive).sum() / positive.sum()
        expected += (gained - recall) * (chosen & positive).sum() / chosen.sum()
        recall = gained
    np.testing.assert_allclose(average_precision(scores, positive), expected, rtol=1e-12)


@few
@given(seeds)
def test_areas_laws(seed):
    _, _, scores, positive = samples(seed)
    order = np.random.default_rng(seed).permutation(len(scores))
    for measure in AREAS:
        value = measure(scores, positive)
        assert 0 <= value <= 1
        assert measure(positive.astype(np.float32), positive) == 1
        assert measure(scores[order], positive[order]) == value
        assert measure(np.exp(3 * scores) - 9, positive) == value  # only the order counts
    tied = np.zeros(len(scores))
    assert auroc(tied, positive) == 0.5
    np.testing.assert_allclose(average_precision(tied, positive), positive.mean(), rtol=1e-12)


@pytest.mark.filterwarnings("error")
def test_one_class_alone_has_the_documented_values():
    scores, none = np.array([0.1, 0.7]), np.array([False, False])
    assert np.isnan([auroc(scores, none), auroc(scores, ~none)]).all()
    assert np.isnan(average_precision(scores, none))
    assert average_precision(scores, ~none) == 1


@pytest.mark.parametrize("measure", AREAS)
def test_scores_that_are_refused(measure):
    positive = TARGET == 1
    with pytest.raises(InputError, match="scores: NaN"):
        measure(np.where(positive, np.nan, 1.0), positive)
    with pytest.raises(InputError, match="one shape"):
        measure(SCORES[:, 1], positive[:9])
    with pytest.raises(InputError, match="expected at least 1, got 0"):
        measure(SCORES[:0, 1], positive[:0])
    with pytest.raises(InputError, match="scores of 300 and target of 9"):
        one_vs_rest(measure, SCORES, TARGET[:9])
    with pytest.raises(InputError, match=r"target: labels 0 to 9, .* 0 to 4"):
        one_vs_rest(measure, SCORES, TARGET * 3)
