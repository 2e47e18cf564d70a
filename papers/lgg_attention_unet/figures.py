"""The study's figures, from `metrics.json` and `samples.npz` of a results folder."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Bool, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from common.data.kaggle_lgg import FLAIR
from common.results.figures import COLORS, image_axes, title
from papers.lgg_attention_unet.config import SIZES

TRUTH, FOUND = "#41d66a", "#ff5a4d"
NAMES = {
    "attention": "with gates",
    "plain": "without gates",
    "threshold": "FLAIR threshold",
}
Samples = dict[str, np.ndarray]


def cases(samples: Samples, kind: str, note: str) -> Figure:
    """Return slices of `kind` (typical, worst): channels, outlines, and the gates over FLAIR."""
    images, gates = samples[f"{kind}_image"], samples[f"{kind}_gates"]
    columns = ["pre-contrast", "FLAIR", "post-contrast", "truth and predicted"]
    columns += [f"gate {i + 1}" for i in range(gates.shape[1])]
    figure, axes = plt.subplots(
        len(images),
        len(columns),
        figsize=(1.45 * len(columns) + 0.4, 1.45 * len(images) + 0.7),
        squeeze=False,
        layout="constrained",
    )
    for row, line in enumerate(axes):
        flair = images[row, ..., FLAIR]
        for channel in range(3):
            _gray(line[channel], images[row, ..., channel])
        _gray(line[3], flair)
        _outline(line[3], samples[f"{kind}_mask"][row] > 0, TRUTH)
        _outline(line[3], samples[f"{kind}_predicted"][row] >= 128, FOUND)
        for axis, gate in zip(line[4:], gates[row], strict=True):
            _gray(axis, flair)
            axis.imshow(gate, cmap="inferno", vmin=0, vmax=255, alpha=0.6)
        line[0].set_ylabel(f"Dice {samples[f'{kind}_dice'][row]:.2f}", fontsize=8)
    for axis, name in zip(axes[0], columns, strict=True):
        axis.set_title(name, fontsize=8)
    title(figure, note)
    return figure


def sheet(
    images: UInt8[np.ndarray, "slices height width 3"],
    masks: Bool[np.ndarray, "slices height width"],
    names: list[str],
    note: str,
    pixel: tuple[float, float],
) -> Figure:
    """Return named slices in FLAIR with predicted outlines; `pixel` is a pixel's height, width."""
    aspect = pixel[0] / pixel[1]
    figure, axes = image_axes(len(images), aspect * images.shape[1] / images.shape[2])
    for axis, image, mask, name in zip(axes, images, masks, names, strict=True):
        _gray(axis, image[..., FLAIR])
        _outline(axis, mask, FOUND)
        axis.set_aspect(aspect)
        axis.set_title(name, fontsize=8)
    title(figure, note)
    return figure


def patients(seeds: dict[str, dict[str, Any]], note: str) -> Figure:
    """Return the Dice of every test patient, with and without gates, and Dice by tumor size."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.6), width_ratios=(2, 1), layout="constrained"
    )
    shown = [name for name in NAMES if all(name in seed for seed in seeds.values())]
    dice = {name: per_patient(seeds, name) for name in shown}
    order = sorted(dice[shown[0]], key=lambda patient: dice[shown[0]][patient])
    for place, name in enumerate(shown):
        values = [dice[name][patient] for patient in order]
        mean = float(np.mean(values))
        left.plot(
            values,
            "o" if place == 0 else ".",
            color=COLORS[place],
            ms=5 if place == 0 else 6,
            label=f"{NAMES[name]}, mean {mean:.2f}",
        )
        left.axhline(mean, color=COLORS[place], lw=0.8, ls="--")
    left.set(xlabel="test patients, in order", ylabel="Dice of the volume", ylim=(-0.03, 1.03))
    left.legend(fontsize=7, frameon=False, loc="upper left")
    for place, name in enumerate(shown):
        found = np.array(
            [[seed[name]["size"][size]["dice"] for size in SIZES] for seed in seeds.values()],
            float,
        )
        at = np.arange(len(SIZES)) + 0.27 * (place - 1)
        means = np.nanmean(found, 0)
        right.bar(at, means, 0.25, color=COLORS[place], label=NAMES[name])
        right.plot(np.tile(at, (len(found), 1)), found, "k.", ms=3)
    right.set_xticks(np.arange(len(SIZES)), list(SIZES))
    right.set(xlabel="tumor in the slice", ylabel="Dice of the slice", ylim=(0, 1.03))
    title(figure, note)
    return figure


def learning(seeds: dict[str, dict[str, Any]], note: str) -> Figure:
    """Return training and validation loss, and validation soft IoU, of every seed and network."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for seed, metrics in seeds.items():
        for place, (name, curve) in enumerate(sorted(metrics["training"].items())):
            color = COLORS[list(NAMES).index(name)]
            label = NAMES[name] if seed == min(seeds) else None
            left.plot(curve["step"], curve["loss"], color=color, alpha=0.3, lw=0.7)
            at = curve["validation_step"]
            left.plot(at, curve["validation_loss"], color=color, lw=1.3, label=label, zorder=place)
            right.plot(at, curve["validation_soft_iou"], color=color, lw=1.3, label=label)
    left.set(xlabel="step", ylabel="loss", title="Training (faint) and validation")
    right.set(xlabel="step", ylabel="soft IoU", title="Validation", ylim=(0, 1))
    left.legend(fontsize=7, frameon=False)
    title(figure, note)
    return figure


def per_patient(seeds: dict[str, dict[str, Any]], network: str) -> dict[str, float]:
    """Return every test patient's Dice: the mean over the seeds that tested on the patient."""
    found: dict[str, list[float]] = {}
    for seed in seeds.values():
        for patient, dice in seed[network]["patients"].items():
            found.setdefault(patient, []).append(dice)
    return {patient: float(np.mean(dice)) for patient, dice in found.items()}


def _gray(axis: Axes, image: np.ndarray) -> None:
    axis.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)


def _outline(axis: Axes, mask: np.ndarray, color: str) -> None:
    if mask.any():
        axis.contour(mask, levels=[0.5], colors=color, linewidths=1.0)
