"""Inception Score (Salimans et al. 2016) from the class logits of generated images.

IS = exp of mean over x of KL(p(y|x) || p(y)),  p(y) = mean over x of p(y|x)               (1)
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import jax
import numpy as np
import scipy.special
from jaxtyping import Float

from common.errors import InputError
from common.metrics.checks import check_vectors


@dataclass(frozen=True)
class InceptionScore:
    """Mean and standard deviation over the splits, with how many images and splits there were."""

    mean: float
    std: float
    n: int
    splits: int


def inception_score(
    logits: Float[jax.Array | np.ndarray, "n classes"], *, splits: int = 10, seed: int = 2020
) -> InceptionScore:
    """Return the Inception Score of a set from `common.pretrained.inception.inception_logits`.

    In [1, classes], computed in float64; it falls with the size of a split: compare only at equal n
    and splits. Shuffled, split and summed as torch-fidelity 0.4.0's `isc_features_to_metric`, whose
    logits are those without the last layer's bias. Raises InputError for NaN and for fewer images
    than splits.
    """
    if splits < 1:
        raise InputError(f"splits {splits}: expected at least 1")
    check_vectors(logits, "logits", splits)
    order = np.random.RandomState(seed).permutation(len(logits))
    log_p = scipy.special.log_softmax(np.asarray(logits, np.float64)[order], axis=1)
    bounds = np.arange(splits + 1) * len(log_p) // splits
    scores = []
    for start, end in pairwise(bounds):
        part = log_p[start:end]
        mixture = scipy.special.logsumexp(part, axis=0) - np.log(len(part))
        scores.append(np.exp((np.exp(part) * (part - mixture)).sum(1).mean()))
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)), len(log_p), splits)
