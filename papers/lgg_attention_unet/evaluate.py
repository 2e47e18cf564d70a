"""Evaluation of one trained seed on its test patients: masks, volumes, detection, pictures."""

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from common.metrics.classification import auroc
from common.metrics.overlap import Overlap, PatientOverlap, overlap, soft_dice, soft_iou
from common.metrics.surface import surface_distances
from common.study.protocol import Evaluation, Run
from common.study.trained import network_config
from common.training.writer import read_curves
from papers.lgg_attention_unet import data
from papers.lgg_attention_unet.baseline import fit_threshold
from papers.lgg_attention_unet.config import SIZES, Config
from papers.lgg_attention_unet.data import Part, Prepared, Stack
from papers.lgg_attention_unet.inference import Segmenter, marked
from papers.lgg_attention_unet.train import networks, restore

BATCH = 32  # slices that the source's metric is taken of at once
Maps = Float[np.ndarray, "slices height width"]


def evaluate(run: Run, prepared: Prepared, seed: int) -> Evaluation:
    """Return the metrics of every network of a seed and of the threshold that it must beat."""
    config: Config = run.config
    parts = data.load(prepared, config.data, seed)
    test = parts["test"]
    metrics: dict[str, Any] = {"training": {}}
    arrays: dict[str, np.ndarray] = {}
    for name in networks(config):
        folder = run.seed_folder(seed) / name
        own = network_config(folder, Config())  # with the network's own threshold
        segment = Segmenter(restore(folder, own), own)
        found = [segment(one) for one in test.stacks]
        metrics[name] = measure(test, found, own) | {"threshold": own.evaluate.threshold}
        log = folder / "train.jsonl"
        metrics["training"][name] = read_curves(log, "validation_loss", "validation_soft_iou")
        if not arrays and (config.evaluate.keep_real_pictures or prepared.stand_in):
            arrays = pictures(test, metrics[name]["patients"], segment, config)
    threshold = fit_threshold(parts["train"])
    found = [threshold(one) for one in test.stacks]
    every = replace(config.evaluate, largest=False)  # the largest part of what is bright is scalp
    metrics["threshold"] = measure(test, found, replace(config, evaluate=every))
    return Evaluation(metrics, arrays)


def measure(part: Part, found: list[Maps], config: Config) -> dict[str, Any]:
    """Return all metrics of probabilities `found` for the stacks of a part.

    Overlap per patient is that of the whole volume, over patients with tumour; per slice it is
    the mean over slices with tumour. Distances are in pixels. `detection` tells slices and
    patients with tumour from those without: AUROC of the summed probability, F1 of whether any
    pixel is marked.
    """
    masks = part.masks
    tumour = np.concatenate([marked(one, config.evaluate) for one in found])
    counts = overlap(tumour, masks, 2)
    patients = PatientOverlap.of(counts, part.owners.tolist())
    per_slice, scores = _scores(counts), _scores(patients.counts)
    with_tumour, marks = _any(masks), _any(tumour)
    ill = np.asarray(patients.counts.target)[:, 1] > 0
    said = np.asarray(patients.counts.predicted)[:, 1] > 0
    area = masks.mean((1, 2))
    sums = [one.sum((1, 2), dtype=np.float64) for one in found]
    return {
        "patients": {
            name: float(value)
            for name, value, here in zip(patients.patients, scores["dice"], ill, strict=True)
            if here
        },
        "patient": {
            **{name: _mean(values[ill]) for name, values in scores.items()},
            "dice_median": float(np.median(scores["dice"][ill])) if ill.any() else float("nan"),
            "n": int(ill.sum()),
        },
        "slice": {
            **{name: _mean(values[with_tumour]) for name, values in per_slice.items()},
            **_distances(tumour, masks),
            "missed": _mean(~marks[with_tumour]),
            "false": _mean(marks[~with_tumour]),
            "n": int(with_tumour.sum()),
        },
        "size": {
            name: {"dice": _mean(per_slice["dice"][inside]), "n": int(inside.sum())}
            for name, (low, high) in SIZES.items()
            for inside in [with_tumour & (area > low) & (area <= high)]
        },
        "published": _published(part, found, config),
        "detection": {
            "slice": _detection(np.concatenate(sums), marks, with_tumour),
            "patient": _detection(np.array([one.sum() for one in sums]), said, ill),
        },
    }


def _scores(counts: Overlap) -> dict[str, np.ndarray]:
    """Return Dice, IoU, precision and recall of each row of counts of the tumour class."""
    names = ("dice", "iou", "precision", "recall")
    return {name: np.asarray(getattr(counts, name)())[:, 1] for name in names}


def _distances(
    marked: Bool[np.ndarray, "slices height width"], masks: Bool[np.ndarray, "slices height width"]
) -> dict[str, float]:
    """Return HD95 and the mean surface distance, in pixels, over slices where both mark tumour."""
    both = np.flatnonzero(_any(marked) & _any(masks))
    found = [surface_distances(marked[i], masks[i], (1.0, 1.0)) for i in both]
    return {
        "hd95": _mean(np.array([one.hausdorff() for one in found])),
        "assd": _mean(np.array([one.average() for one in found])),
    }


def _published(part: Part, found: list[Maps], config: Config) -> dict[str, float]:
    """Return the source's soft IoU, and Dice, of probabilities: means over its batches."""
    masks, maps = part.masks.astype(np.float32), np.concatenate(found)
    smooth, starts = config.train.smooth, range(0, len(masks), BATCH)
    chosen = [(maps[s : s + BATCH], masks[s : s + BATCH]) for s in starts]
    return {
        "soft_iou": _mean(np.array([float(soft_iou(p, t, smooth=smooth)) for p, t in chosen])),
        "soft_dice": _mean(np.array([float(soft_dice(p, t, smooth=smooth)) for p, t in chosen])),
    }


def _detection(scores: np.ndarray, said: np.ndarray, present: np.ndarray) -> dict[str, float]:
    """Return AUROC of scores, F1 of what was said, and the F1 of saying always yes."""
    always = 2 * present.sum() / (len(present) + present.sum())
    total = said.sum() + present.sum()
    return {
        "auroc": auroc(scores, present),
        "f1": float(2 * (said & present).sum() / total) if total else float("nan"),
        "f1_always": float(always),
        "n": len(present),
        "positive": int(present.sum()),
    }


def pictures(
    part: Part, dice: dict[str, float], segment: Segmenter, config: Config
) -> dict[str, np.ndarray]:
    """Return the slice with the most tumour of typical patients and of the worst, as uint8.

    For each of both: `image` [cases height width 3], `mask`, `found` [cases height width], `gates`
    [cases gates height width], and the patient's `dice`.
    """
    ranked = sorted(dice, key=lambda name: (dice[name], name))
    count = min(config.evaluate.cases, len(ranked))
    middle = (len(ranked) - count) // 2
    stacks = {one.name: one for one in part.stacks}
    arrays = {}
    for kind, names in (("typical", ranked[middle : middle + count]), ("worst", ranked[:count])):
        shown = [_picture(stacks[name], segment) for name in names]
        for key in shown[0] if shown else ():
            arrays[f"{kind}_{key}"] = np.stack([one[key] for one in shown])
        arrays[f"{kind}_dice"] = np.array([dice[name] for name in names], np.float32)
    return arrays


def _picture(stack: Stack, segment: Segmenter) -> dict[str, np.ndarray]:
    best = int(stack.masks.sum((1, 2)).argmax())
    found, gates = segment.one(stack, best)

    def in_8_bits(maps: np.ndarray) -> np.ndarray:
        return np.rint(255 * maps).astype(np.uint8)

    return {
        "image": stack.images[best],
        "mask": stack.masks[best].astype(np.uint8),
        "found": in_8_bits(found),
        "gates": in_8_bits(gates),
    }


def _any(masks: Bool[np.ndarray, "slices height width"]) -> Bool[np.ndarray, " slices"]:
    return np.asarray(masks.any((1, 2)))


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
