"""Evaluation of one trained seed on its test patients: masks, volumes, detection, images."""

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from common.metrics.classification import auroc
from common.metrics.overlap import Overlap, PatientOverlap, overlap, soft_dice, soft_iou
from common.metrics.surface import surface_distances
from common.study.protocol import Evaluation, Prepared, Run
from common.training.loop import LOG
from common.training.writer import read_curves
from papers.lgg_attention_unet import data
from papers.lgg_attention_unet.baseline import fit_threshold
from papers.lgg_attention_unet.config import SIZES, Config
from papers.lgg_attention_unet.data import Part
from papers.lgg_attention_unet.datasets import Stack
from papers.lgg_attention_unet.inference import StackPredictor, best_threshold, predicted_mask
from papers.lgg_attention_unet.train import model_of, trained_network

BATCH = 32  # slices that the source's metric is taken of at once
Maps = Float[np.ndarray, "slices height width"]


def evaluate(run: Run[Config], prepared: Prepared, seed: int) -> Evaluation:
    """Return the metrics of every network of a seed and of the threshold that it must beat.

    Where the config asks for it, the threshold of a network's probabilities is the one that its
    validation patients choose; predictions on users' scans take it too.
    """
    parts = data.load(prepared, run.config.data, seed)
    test = parts["test"]
    metrics: dict[str, Any] = {"training": {}}
    arrays: dict[str, np.ndarray] = {}
    tuned: dict[str, float] = {}
    for name in run.networks:
        unit, config = run.unit(prepared, seed, name), run.config
        network = trained_network(unit.folder, model_of(unit), config.train)
        segment = StackPredictor(network, config)
        if config.evaluate.tuned_threshold:
            threshold = best_threshold(parts["validation"], segment, config.evaluate)
            config = replace(config, evaluate=replace(config.evaluate, threshold=threshold))
            tuned.setdefault(
                "evaluate.threshold", threshold
            )  # of the first network, which predicts
        predicted = [segment(one) for one in test.stacks]
        metrics[name] = measure(test, predicted, config) | {"threshold": config.evaluate.threshold}
        log = unit.folder / LOG
        metrics["training"][name] = read_curves(log, "validation_loss", "validation_soft_iou")
        if not arrays and (config.evaluate.keep_real_images or prepared.stand_in):
            arrays = case_images(test, metrics[name]["patients"], segment, config)
    brighter = fit_threshold(parts["train"])
    predicted = [brighter(one) for one in test.stacks]
    every = replace(run.config.evaluate, largest=False)  # the largest bright part is scalp
    metrics["threshold"] = measure(test, predicted, replace(run.config, evaluate=every))
    return Evaluation(metrics, arrays, tuned)


def measure(part: Part, predicted: list[Maps], config: Config) -> dict[str, Any]:
    """Return all metrics of the probabilities predicted for the stacks of a part.

    Overlap per patient is that of the whole volume, over patients with tumor; per slice it is
    the mean over slices with tumor. Distances are in pixels. `detection` tells slices and
    patients with tumor from those without: AUROC of the summed probability, F1 of whether any
    pixel is predicted to be tumor.
    """
    masks = part.masks
    tumor = np.concatenate([predicted_mask(one, config.evaluate) for one in predicted])
    counts = overlap(tumor, masks, 2)
    patients = PatientOverlap.of(counts, part.owners.tolist())
    per_slice, scores = _scores(counts), _scores(patients.counts)
    has_tumor, positive = _any(masks), _any(tumor)
    patient_has_tumor = np.asarray(patients.counts.target)[:, 1] > 0
    patient_positive = np.asarray(patients.counts.predicted)[:, 1] > 0
    area = masks.mean((1, 2))
    sums = [one.sum((1, 2), dtype=np.float64) for one in predicted]
    return {
        "patients": {
            name: float(value)
            for name, value, here in zip(
                patients.patients, scores["dice"], patient_has_tumor, strict=True
            )
            if here
        },
        "patient": {
            **{name: _mean(values[patient_has_tumor]) for name, values in scores.items()},
            "dice_median": _median(scores["dice"][patient_has_tumor]),
            "n": int(patient_has_tumor.sum()),
        },
        "slice": {
            **{name: _mean(values[has_tumor]) for name, values in per_slice.items()},
            **_distances(tumor, masks),
            "fnr": _mean(~positive[has_tumor]),
            "fpr": _mean(positive[~has_tumor]),
            "n": int(has_tumor.sum()),
        },
        "size": {
            name: {"dice": _mean(per_slice["dice"][inside]), "n": int(inside.sum())}
            for name, (low, high) in SIZES.items()
            for inside in [has_tumor & (area > low) & (area <= high)]
        },
        "published": _published(part, predicted, config),
        "detection": {
            "slice": _detection(np.concatenate(sums), positive, has_tumor),
            "patient": _detection(
                np.array([one.sum() for one in sums]), patient_positive, patient_has_tumor
            ),
        },
    }


def _scores(counts: Overlap) -> dict[str, np.ndarray]:
    """Return Dice, IoU, precision and recall of each row of counts of the tumor class."""
    names = ("dice", "iou", "precision", "recall")
    return {name: np.asarray(getattr(counts, name)())[:, 1] for name in names}


def _distances(
    predicted: Bool[np.ndarray, "slices height width"],
    masks: Bool[np.ndarray, "slices height width"],
) -> dict[str, float]:
    """Return HD95 and the mean surface distance, in pixels, over slices where both have tumor."""
    both = np.flatnonzero(_any(predicted) & _any(masks))
    distances = [surface_distances(predicted[i], masks[i], (1.0, 1.0)) for i in both]
    return {
        "hd95": _mean(np.array([one.hausdorff() for one in distances])),
        "assd": _mean(np.array([one.average() for one in distances])),
    }


def _published(part: Part, predicted: list[Maps], config: Config) -> dict[str, float]:
    """Return the source's soft IoU, and Dice, of probabilities: means over its batches."""
    masks, maps = part.masks.astype(np.float32), np.concatenate(predicted)
    smooth, starts = config.train.smooth, range(0, len(masks), BATCH)
    chosen = [(maps[s : s + BATCH], masks[s : s + BATCH]) for s in starts]
    return {
        "soft_iou": _mean(np.array([float(soft_iou(p, t, smooth=smooth)) for p, t in chosen])),
        "soft_dice": _mean(np.array([float(soft_dice(p, t, smooth=smooth)) for p, t in chosen])),
    }


def _detection(scores: np.ndarray, positive: np.ndarray, present: np.ndarray) -> dict[str, float]:
    """Return AUROC of scores, F1 of what was predicted, and the F1 of predicting tumor always."""
    always = 2 * present.sum() / (len(present) + present.sum())
    total = positive.sum() + present.sum()
    return {
        "auroc": auroc(scores, present),
        "f1": float(2 * (positive & present).sum() / total) if total else float("nan"),
        "f1_always": float(always),
        "n": len(present),
        "positive": int(present.sum()),
    }


def case_images(
    part: Part, dice: dict[str, float], segment: StackPredictor, config: Config
) -> dict[str, np.ndarray]:
    """Return the slice with the most tumor of typical patients and of the worst, as uint8.

    For each of both: `image` [cases height width 3], `mask`, `predicted` [cases height width],
    `gates` [cases gates height width], and the patient's `dice`.
    """
    ranked = sorted(dice, key=lambda name: (dice[name], name))
    count = min(config.evaluate.cases, len(ranked))
    middle = (len(ranked) - count) // 2
    stacks = {one.name: one for one in part.stacks}
    arrays = {}
    for kind, names in (("typical", ranked[middle : middle + count]), ("worst", ranked[:count])):
        shown = [_case(stacks[name], segment) for name in names]
        for key in shown[0] if shown else ():
            arrays[f"{kind}_{key}"] = np.stack([one[key] for one in shown])
        arrays[f"{kind}_dice"] = np.array([dice[name] for name in names], np.float32)
    return arrays


def _case(stack: Stack, segment: StackPredictor) -> dict[str, np.ndarray]:
    best = int(stack.masks.sum((1, 2)).argmax())
    predicted, gates = segment.one(stack, best)

    def in_8_bits(maps: np.ndarray) -> np.ndarray:
        return np.rint(255 * maps).astype(np.uint8)

    return {
        "image": stack.images[best],
        "mask": stack.masks[best].astype(np.uint8),
        "predicted": in_8_bits(predicted),
        "gates": in_8_bits(gates),
    }


def _any(masks: Bool[np.ndarray, "slices height width"]) -> Bool[np.ndarray, " slices"]:
    return np.asarray(masks.any((1, 2)))


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else float("nan")
