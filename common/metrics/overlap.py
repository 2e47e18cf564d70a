"""Overlap of segmentations, per class: of images, of whole patient volumes, and as a loss.

With P the pixels predicted as a class and T those that are of it:

    Dice      = 2 |P ∩ T| / (|P| + |T|)                                                        (1)
    IoU       =   |P ∩ T| / |P ∪ T|                                                            (2)
    precision =   |P ∩ T| / |P|                                                                (3)
    recall    =   |P ∩ T| / |T|                                                                (4)

All lie in [0, 1]. Where only one of P and T is empty they are 0; where both are, they take the
value of the argument `empty`: 1 by default, NaN to leave such images out of a mean. Equations (1)
and (2) match MONAI 1.4.0's `compute_dice` and `compute_iou` with `ignore_empty=False`, (3) and (4)
scikit-learn's `precision_score` and `recall_score` with `zero_division=0`, save where both are
empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer

from common.errors import InputError
from common.metrics.checks import check_labels, check_probabilities, check_same_shape

AnyArray = jax.Array | np.ndarray
Labels = Integer[AnyArray, "batch *space"] | Bool[AnyArray, "batch *space"]
Counts = Integer[AnyArray, "*images classes"]
Scores = Float[AnyArray, "*images classes"]


class Overlap(NamedTuple):
    """Pixels of each class: in prediction and target at once, in the prediction, in the target."""

    both: Counts
    predicted: Counts
    target: Counts

    def merge(self, other: Overlap) -> Overlap:
        """Return the counts of both together, in int64 on the host, where no sum overflows.

        Raises InputError where they are not of as many images and classes.
        """
        check_same_shape(self.both, other.both, ("counts", "those to merge"))
        return Overlap(*map(_summed, map(np.stack, zip(self, other, strict=True))))

    def total(self) -> Overlap:
        """Return the counts [classes] of all images together, in int64 on the host."""
        return Overlap(*(_summed(np.reshape(n, (-1, n.shape[-1]))) for n in self))

    def dice(self, empty: float = 1.0) -> Scores:
        """Return equation (1): the F1 score of pixels."""
        return self._score(self.predicted / 2 + self.target / 2, empty)

    def iou(self, empty: float = 1.0) -> Scores:
        """Return equation (2), the Jaccard index: Dice / (2 - Dice)."""
        return self._score(self.predicted - self.both + self.target, empty)

    def precision(self, empty: float = 1.0) -> Scores:
        """Return equation (3), the positive predictive value."""
        return self._score(self.predicted, empty)

    def recall(self, empty: float = 1.0) -> Scores:
        """Return equation (4), the sensitivity."""
        return self._score(self.target, empty)

    def _score(self, whole: AnyArray, empty: float) -> AnyArray:
        xp = self.both.__array_namespace__()
        neither = (self.predicted == 0) & (self.target == 0)
        return xp.where(neither, empty, self.both / xp.where(whole > 0, whole, 1))


def overlap(
    predicted: Labels, target: Integer[AnyArray, ...] | Bool[AnyArray, ...], classes: int
) -> Overlap:
    """Return the counts [batch classes] of each image or volume; class 0 is the background.

    `predicted` and `target` [batch ...] are labels from 0 to `classes` - 1, or boolean masks with
    `classes` = 2. Pure. Raises InputError for other labels and for shapes that differ; inside
    `jax.jit` a label outside the range belongs to no class. An image may have 2³¹ - 1 pixels.
    """
    check_same_shape(predicted, target, ("predicted", "target"))
    check_labels(predicted, "predicted", classes)
    check_labels(target, "target", classes)
    return _count(predicted, target, classes)


@dataclass(frozen=True)
class PatientOverlap:
    """Counts [patients classes] over each patient's whole volume, patients in order of name."""

    patients: tuple[str, ...]
    counts: Overlap

    @classmethod
    def of(cls, counts: Overlap, patients: Sequence[str]) -> PatientOverlap:
        """Return the counts [slices classes] added up for each patient.

        `patients` names the patient of each slice. Raises InputError where there are more or fewer
        names than slices, or none.
        """
        if len(patients) != len(counts.both) or not len(patients):
            raise InputError(
                f"{len(patients)} patient names for {len(counts.both)} slices: expected one each"
            )
        names, rows = np.unique(np.asarray(patients), return_inverse=True)

        def total(values: AnyArray) -> np.ndarray:
            sums = np.zeros((len(names), values.shape[1]), np.int64)
            np.add.at(sums, rows, np.asarray(values))
            return sums

        return cls(tuple(names.tolist()), Overlap(*map(total, counts)))

    def merge(self, other: PatientOverlap) -> PatientOverlap:
        """Return the counts of both together; a patient may have slices in both."""
        check_same_shape(self.counts.both[0], other.counts.both[0], ("classes", "those to merge"))
        joined = (np.concatenate(pair) for pair in zip(self.counts, other.counts, strict=True))
        return PatientOverlap.of(Overlap(*joined), self.patients + other.patients)


def soft_dice(
    probabilities: Float[AnyArray, "*shape"],
    target: Float[AnyArray, ...] | Integer[AnyArray, ...] | Bool[AnyArray, ...],
    *,
    smooth: float = 0.1,
    axis: int | tuple[int, ...] | None = None,
) -> Float[Array, "*rest"]:
    """Return (2 Σpt + s) / (Σp + Σt + s), in (0, 1]; 1 less it is the Dice loss.

    Of the whole batch at once by default, as lgg_attention_unet trains; `axis` names the axes of
    one sum: all but the first for a value per image. Pure. Matches MONAI 1.4.0's `DiceLoss` with
    `smooth_nr` and `smooth_dr` = s (and `batch=True`). Raises InputError for probabilities or
    masks outside [0, 1], NaN, shapes that differ, and s not above 0.
    """
    product, total = _soft_sums(probabilities, target, smooth, axis)
    return (2 * product + smooth) / (total + smooth)


def soft_iou(
    probabilities: Float[AnyArray, "*shape"],
    target: Float[AnyArray, ...] | Integer[AnyArray, ...] | Bool[AnyArray, ...],
    *,
    smooth: float = 0.1,
    axis: int | tuple[int, ...] | None = None,
) -> Float[Array, "*rest"]:
    """Return (Σpt + s) / (Σp + Σt - Σpt + s), in (0, 1]: the soft Jaccard index.

    Arguments and errors as `soft_dice`. Matches MONAI 1.4.0's `DiceLoss` with `jaccard=True` and
    `smooth_nr` and `smooth_dr` = 2 s, where that loss doubles sums but not its smoothing.
    """
    product, total = _soft_sums(probabilities, target, smooth, axis)
    return (product + smooth) / (total - product + smooth)


@partial(jax.jit, static_argnums=2)
def _count(predicted: AnyArray, target: AnyArray, classes: int) -> Overlap:
    """Return the counts of each class, one axis of comparisons before those that are summed."""
    labels = jnp.arange(classes).reshape(-1, *(1,) * (predicted.ndim - 1))
    p, t = predicted[:, None] == labels, target[:, None] == labels
    space = tuple(range(2, p.ndim))
    return Overlap(*(jnp.sum(mask, space, dtype=jnp.int32) for mask in (p & t, p, t)))


def _summed(counts: AnyArray) -> np.ndarray:
    """Return sums over the first axis that do not overflow."""
    return np.asarray(np.sum(np.asarray(counts), 0, dtype=np.int64))


def _soft_sums(p: AnyArray, t: AnyArray, smooth: float, axis) -> tuple[Array, Array]:
    """Return Σpt and Σp + Σt."""
    check_same_shape(p, t, ("probabilities", "target"))
    check_probabilities(p, "probabilities")
    check_probabilities(t, "target")
    if not smooth > 0:
        raise InputError(f"smooth {smooth:g}: expected above 0, else two empty masks give 0 / 0")
    p, t = jnp.asarray(p), jnp.asarray(t, p.dtype)
    return jnp.sum(p * t, axis), jnp.sum(p, axis) + jnp.sum(t, axis)
