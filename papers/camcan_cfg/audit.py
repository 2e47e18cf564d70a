"""What the source did not measure: the leak of its split, and whether training slices come back."""

import numpy as np

from common.data.splits import PARTS, split_groups, split_indices
from common.metrics.memorisation import nearest_neighbours
from common.metrics.regression import regression_errors
from papers.camcan_cfg.brain_age import Reader, train_reader
from papers.camcan_cfg.config import Config
from papers.camcan_cfg.data import Slices
from papers.camcan_cfg.sampling import as_uint8

PAIRS = 8  # closest pairs that the figure shows


def leak(config: Config, parts: dict[str, Slices], reader: Reader, seed: int) -> dict[str, dict]:
    """Return what a split by slice changes against one by subject, on the same slices.

    The reader of the split that the run does not use is trained here, for this comparison only.
    """
    other = "slice" if config.data.split == "subject" else "subject"
    again = resplit(config, parts, other)
    readers = {
        config.data.split: (parts, reader),
        other: (again, train_reader(again["train"], again["validation"], config.brain_age, seed)),
    }
    return {
        split: {
            "brain_age_mae": _age_error(read, cut["test"]),
            **_nearest_training(cut, config.evaluate.memorisation_images),
        }
        for split, (cut, read) in sorted(readers.items())
    }


def _age_error(read: Reader, slices: Slices) -> float:
    return regression_errors(read(slices.images)[:, 0], slices.conditions[:, 0]).mae


def resplit(config: Config, parts: dict[str, Slices], split: str) -> dict[str, Slices]:
    """Return the same slices in the same order, cut anew by "slice" or by "subject"."""
    images = np.concatenate([parts[part].images for part in PARTS])
    conditions = np.concatenate([parts[part].conditions for part in PARTS])
    subjects = np.concatenate([parts[part].subjects for part in PARTS])
    order = np.lexsort((conditions[:, 2], subjects))
    images, conditions, subjects = images[order], conditions[order], subjects[order]
    data = config.data
    options = (data.split_seed, data.train_fraction, data.validation_fraction)
    if split == "slice":
        cuts = split_indices(len(images), *options)
    else:
        cuts = split_groups(subjects.tolist(), *options)
    return {
        part: Slices(images[rows], conditions[rows], subjects[rows])
        for part, rows in ((part, np.sort(cuts[part])) for part in PARTS)
    }


def _nearest_training(cut: dict[str, Slices], count: int) -> dict[str, float]:
    heldout, train = cut["test"].spread(count), cut["train"]
    found = nearest_neighbours(heldout.images, train.images)
    same = train.subjects[found.index] == heldout.subjects
    return {
        "nearest_training": float(np.median(found.distance)),
        "same_subject": float(np.mean(same)),
    }


def memorise(
    config: Config, generated: np.ndarray, parts: dict[str, Slices]
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Return how close generated pictures [n, h, w, 1] lie to training slices, and the closest.

    Held-out slices give the measure of what is close without having been seen. Distances are root
    mean squares a pixel.
    """
    count = min(config.evaluate.memorisation_images, len(generated), len(parts["test"]))
    drawn, heldout, train = generated[:count], parts["test"].spread(count), parts["train"]
    ours, theirs = (
        nearest_neighbours(drawn, train.images),
        nearest_neighbours(heldout.images, train.images),
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
        "neighbours_generated": drawn[closest],
        "neighbours_distance": ours.distance[closest],
        "neighbours_heldout_distance": theirs.distance[closest_heldout],
        "real_nearest": train.images[ours.index[closest]],
        "real_heldout": heldout.images[closest_heldout],
        "real_heldout_nearest": train.images[theirs.index[closest_heldout]],
    }
    return metrics, {
        name: as_uint8(array) if array.ndim == 4 else array for name, array in pairs.items()
    }
