"""Scores of a classifier: from labels (confusion matrix, F1), and from scores (AUROC, AUPRC)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from common.errors import InputError
from common.metrics.checks import check_finite, check_labels, check_same_shape, check_vectors
from common.metrics.overlap import Overlap

AnyArray = jax.Array | np.ndarray
Labels = Integer[AnyArray, " n"] | Bool[AnyArray, " n"]
_ROUNDING = 1e-9  # of 1 - specificity
Matrix = Integer[AnyArray, "classes classes"]


def confusion_matrix(
    predicted: Labels, target: Integer[AnyArray, ...] | Bool[AnyArray, ...], classes: int
) -> Integer[Array, "{classes} {classes}"]:
    """Return how often a class (row) was predicted as each (column); batches add up.

    Pure. Matches scikit-learn 1.9.1's with `labels=range(classes)`. Raises InputError for labels
    outside 0 to `classes` - 1 and for counts that differ; inside `jax.jit` a pair with a label
    outside the range is not counted.
    """
    check_same_shape(predicted, target, ("predicted", "target"))
    check_labels(predicted, "predicted", classes)
    check_labels(target, "target", classes)
    p, t = jnp.asarray(predicted, jnp.int32), jnp.asarray(target, jnp.int32)
    known = (p >= 0) & (p < classes) & (t >= 0) & (t < classes)
    cells = jnp.where(known, classes * t + p, classes**2)  # bincount drops what is past its length
    return jnp.bincount(cells, length=classes**2).reshape(classes, classes)


def class_counts(confusion: Matrix) -> Overlap:
    """Return the counts [classes] of which precision, recall and F1 (as `dice`) are made; pure."""
    return Overlap(confusion.diagonal(), confusion.sum(0), confusion.sum(1))


def f1(confusion: Matrix) -> Float[AnyArray, " classes"]:
    """Return the F1 score of each class, in [0, 1]; NaN for one neither present nor predicted.

    Pure. Matches scikit-learn 1.9.1's `f1_score(average=None, zero_division=nan)`.
    """
    return class_counts(confusion).dice(empty=float("nan"))


def macro_f1(confusion: Matrix) -> Float[AnyArray, ""] | np.floating:
    """Return the mean F1 score of the classes that are present or predicted, in [0, 1].

    Pure. Matches scikit-learn 1.9.1's `f1_score(average="macro")` at its other defaults. NaN for a
    matrix of zeros.
    """
    scores = f1(confusion)
    return scores.__array_namespace__().nanmean(scores)


def auroc(scores: Float[AnyArray, " n"], positive: Bool[AnyArray, ...]) -> float:
    """Return the area under the ROC curve, in [0, 1], 0.5 for scores that tell nothing.

    It is the share of pairs of a positive and a negative that are in order, ties counting half:
    scikit-learn's `roc_auc_score`, in float64. NaN where only one class is present. Raises
    InputError for NaN and counts that differ.
    """
    values, present = _checked(scores, positive)
    if present.all() or not present.any():
        return float("nan")
    return float(roc_auc_score(present, values))


def average_precision(scores: Float[AnyArray, " n"], positive: Bool[AnyArray, ...]) -> float:
    """Return the area under the precision-recall curve (AUPRC) as the average precision, in [0, 1].

    The sum over thresholds of precision times the gain in recall, without interpolation. Scores
    that tell nothing have the share of positives. scikit-learn's `average_precision_score`, in
    float64, but NaN where there are no positives, where that warns and says 0. Errors as `auroc`.
    """
    values, present = _checked(scores, positive)
    return float(average_precision_score(present, values)) if present.any() else float("nan")


def sensitivity_at(
    scores: Float[AnyArray, " n"], positive: Bool[AnyArray, ...], specificity: float = 0.95
) -> float:
    """Return the largest sensitivity of a threshold that keeps the specificity, in [0, 1].

    A point of scikit-learn's `roc_curve`, not between two: what a threshold on these data reaches.
    NaN where only one class is present. Errors as `auroc`, and for a specificity outside [0, 1].
    """
    if not 0 <= specificity <= 1:
        raise InputError(f"specificity {specificity}: expected a share from 0 to 1")
    values, present = _checked(scores, positive)
    if present.all() or not present.any():
        return float("nan")
    false, true, _ = roc_curve(present, values, drop_intermediate=False)
    return float(true[false <= 1 - specificity + _ROUNDING].max())


def one_vs_rest(
    measure: Callable[[AnyArray, AnyArray], float],
    scores: Float[AnyArray, "n classes"],
    target: Integer[AnyArray, ...],
) -> Float[np.ndarray, " classes"]:
    """Return `auroc` or `average_precision` of each class against all others.

    NaN for a class that is not in `target`; `np.nanmean` is the macro average, scikit-learn's
    `roc_auc_score(multi_class="ovr")` where every class is. Raises InputError for labels outside
    the classes, NaN and counts that differ.
    """
    check_vectors(scores, "scores")
    if len(scores) != len(target):
        raise InputError(f"scores of {len(scores)} and target of {len(target)}: expected one count")
    check_labels(target, "target", scores.shape[1])
    return np.array([measure(column, target == c) for c, column in enumerate(scores.T)])


def _checked(scores: AnyArray, positive: AnyArray) -> tuple[np.ndarray, np.ndarray]:
    check_same_shape(scores, positive, ("scores", "positive"))
    if not len(scores):
        raise InputError("scores: expected at least 1, got 0")
    check_finite(scores, "scores")
    return np.asarray(scores, np.float64), np.asarray(positive, bool)
