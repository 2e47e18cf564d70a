"""What the source did not measure: leakage by its split, and whether training slices come back."""

import numpy as np

from common.metrics.memorization import nearest_neighbors
from common.metrics.regression import regression_errors
from papers.camcan_cfg.brain_age import Regressor
from papers.camcan_cfg.config import Config
from papers.camcan_cfg.data import Slices, as_uint8

PAIRS = 8  # closest pairs that the figure shows


def leakage(
    config: Config, parts: dict[str, dict[str, Slices]], regressors: dict[str, Regressor]
) -> dict[str, dict]:
    """Return what a split by slice changes against one by subject, on the same slices.

    `parts` and `regressors` are those of either split, by its name.
    """
    return {
        split: {
            "brain_age_mae": _age_error(regressors[split], cut["test"]),
            **_nearest_training(cut, config.evaluate.memorization_images),
        }
        for split, cut in sorted(parts.items())
    }


def _age_error(regressor: Regressor, slices: Slices) -> float:
    return regression_errors(regressor(slices.images)[:, 0], slices.conditions[:, 0]).mae


def _nearest_training(cut: dict[str, Slices], count: int) -> dict[str, float]:
    heldout, train = cut["test"].spread(count), cut["train"]
    found = nearest_neighbors(heldout.images, train.images)
    same = train.subjects[found.index] == heldout.subjects
    return {
        "nearest_training": float(np.median(found.distance)),
        "same_subject": float(np.mean(same)),
    }


def memorize(
    config: Config, generated: np.ndarray, parts: dict[str, Slices]
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Return how close generated images [n, h, w, 1] lie to training slices, and the closest.

    Held-out slices give the measure of what is close without having been seen. Distances are root
    mean squares a pixel.
    """
    count = min(config.evaluate.memorization_images, len(generated), len(parts["test"]))
    drawn, heldout, train = generated[:count], parts["test"].spread(count), parts["train"]
    ours, theirs = (
        nearest_neighbors(drawn, train.images),
        nearest_neighbors(heldout.images, train.images),
    )
    metrics = {
        "generated_median": float(np.median(ours.distance)),
        "heldout_median": float(np.median(theirs.distance)),
        "generated_below_first_percentile": float(
            np.mean(ours.distance < np.percentile(theirs.distance, 1))
        ),
        "n": count,
    }
    closest, closest_heldout = np.argsort(ours.distance), np.argsort(theirs.distance)
    closest, closest_heldout = closest[:PAIRS], closest_heldout[:PAIRS]
    pairs = {
        "neighbors_generated": drawn[closest],
        "neighbors_distance": ours.distance[closest],
        "neighbors_heldout_distance": theirs.distance[closest_heldout],
        "real_nearest": train.images[ours.index[closest]],
        "real_heldout": heldout.images[closest_heldout],
        "real_heldout_nearest": train.images[theirs.index[closest_heldout]],
    }
    return metrics, {
        name: as_uint8(array) if array.ndim == 4 else array for name, array in pairs.items()
    }
