"""How well a classifier does: on its classes one by one, and on the rare one in detail."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from common.metrics.calibration import reliability
from common.metrics.classification import (
    auroc,
    confusion_matrix,
    f1,
    macro_f1,
    sensitivity_at,
)

Probabilities = Float[np.ndarray, "films classes"]  # of no finding, then of each
Labels = UInt8[np.ndarray, "films findings"]
SPECIFICITY = 0.95


def classes_of(labels: Labels) -> np.ndarray:
    """Return the class of films with one finding at most: 0 is normal."""
    return np.where(labels.any(1), 1 + labels.argmax(1), 0)


def single(
    probability: Probabilities, labels: Labels, findings: tuple[str, ...], rare: int
) -> dict[str, Any]:
    """Return the scores of films with one finding at most; the likeliest class is predicted.

    `rare` is the rare finding's column of `labels`.
    """
    target = classes_of(labels)
    matrix = np.asarray(confusion_matrix(probability.argmax(1), target, len(findings) + 1))
    each = np.asarray(f1(matrix))
    return {
        "f1": dict(zip(("normal", *findings), map(float, each), strict=True)),
        "rare_f1": float(each[1 + rare]),
        "macro_f1": float(macro_f1(matrix)),
        "confusion": [[int(cell) for cell in row] for row in matrix],
        **_of_rare(probability[:, 1 + rare], labels[:, rare] > 0),
        "auroc": _areas(probability, labels, findings),
    }


def several(
    probability: Probabilities,
    labels: Labels,
    findings: tuple[str, ...],
    rare: int,
    thresholds: Float[np.ndarray, " findings"],
) -> dict[str, Any]:
    """Return the scores of films with any number of findings, each predicted above a threshold."""
    predicted = probability[:, 1:] > thresholds
    each = [
        float(np.asarray(f1(confusion_matrix(column.astype(int), labels[:, i], 2)))[1])
        for i, column in enumerate(predicted.T)
    ]
    return {
        "f1": dict(zip(findings, each, strict=True)),
        "rare_f1": each[rare],
        "macro_f1": float(np.nanmean(each)),
        **_of_rare(probability[:, 1 + rare], labels[:, rare] > 0),
        "auroc": _areas(probability, labels, findings),
    }


def gains(classifiers: dict[str, Any], main: int) -> dict[str, dict[str, float]]:
    """Return what every arm gains over real films alone, at the main number of them."""
    real, end = classifiers[f"real_{main}"], f"_{main}"
    return {
        name.removesuffix(end): {
            metric: found[metric] - real[metric] for metric in ("rare_f1", "macro_f1", "rare_auroc")
        }
        for name, found in classifiers.items()
        if name.endswith(end) and "_dose_" not in name
    }


def best_thresholds(probability: Probabilities, labels: Labels) -> Float[np.ndarray, " findings"]:
    """Return for each finding the threshold of the highest F1 on these films: validation's.

    0.5 for a finding that none of them has.
    """
    return np.array(
        [
            _best(probability[:, 1 + column], labels[:, column] > 0)
            for column in range(labels.shape[1])
        ]
    )


def _best(probability: np.ndarray, positive: np.ndarray) -> float:
    if not positive.any():
        return 0.5
    order = np.argsort(-probability, kind="stable")
    hits = np.cumsum(positive[order])
    scores = 2 * hits / (np.arange(1, len(order) + 1) + positive.sum())
    last = int(scores.argmax())
    below = probability[order[last + 1]] if last + 1 < len(order) else 0.0
    return float((probability[order[last]] + below) / 2)


def _of_rare(probability: np.ndarray, positive: np.ndarray) -> dict[str, Any]:
    found = reliability(probability, positive)
    return {
        "rare_auroc": auroc(probability, positive),
        "rare_sensitivity": sensitivity_at(probability, positive, SPECIFICITY),
        "rare_calibration_error": found.error,
        "rare_reliability": {
            "predicted": [float(value) for value in found.predicted],
            "observed": [float(value) for value in found.observed],
            "count": [int(value) for value in found.count],
        },
        "n_rare": int(positive.sum()),
        "n": len(positive),
    }


def _areas(
    probability: Probabilities, labels: Labels, findings: tuple[str, ...]
) -> dict[str, float]:
    return {
        finding: auroc(probability[:, 1 + column], labels[:, column] > 0)
        for column, finding in enumerate(findings)
    }
