"""The study's figures, from `metrics.json` and `samples.npz` of a results folder."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from common.replication.figures import COLOURS, title

TRUE = ("#41d66a", "#ffd24a", "#4ac6ff")  # of brain, CSP, LV
Samples = dict[str, np.ndarray]
Seeds = dict[str, dict[str, Any]]


def cases(samples: Samples, note: str) -> Figure:
    """Return test pictures, raw and denoised, with true outlines (full) and found ones (dashed)."""
    kinds = [name.removeprefix("found_") for name in samples if name.startswith("found_")]
    kinds.sort(key=lambda kind: (kind != "raw", kind != "denoised", kind))
    columns = [(f"image_{kind}", kind, f"found_{kind}") for kind in kinds]
    if "clean" in samples:
        columns.insert(0, ("clean", "without speckle", ""))
    count, height, width = samples["labels"].shape
    figure, axes = plt.subplots(
        count,
        len(columns),
        figsize=(1.9 * len(columns) + 0.3, 1.9 * height / width * count + 0.8),
        squeeze=False,
        layout="constrained",
    )
    for row, line in enumerate(axes):
        for axis, (key, name, found) in zip(line, columns, strict=True):
            axis.imshow(samples[key][row], cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
            axis.set(xticks=[], yticks=[])
            _outlines(axis, samples["labels"][row], "-")
            if found:
                _outlines(axis, samples[found][row], "--")
            if row == 0:
                axis.set_title(name, fontsize=8)
    title(figure, f"Test pictures; outlines true (full) and found (dashed)\n{note}")
    return figure


def segmentation(seeds: Seeds, note: str) -> Figure:
    """Return Dice and the ratio of areas for every kind of picture that SegNet was trained on."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.4), layout="constrained")
    first = next(iter(seeds.values()))
    kinds = sorted(first["segmentation"], key=lambda k: (k != "raw", k != "denoised", k))
    for axis, measure, label in ((left, "dice", "Dice"), (right, "area_ratio", "found / true")):
        found = np.array(
            [[s["segmentation"][kind][measure] for kind in kinds] for s in seeds.values()], float
        )
        axis.bar(kinds, found.mean(0), 0.6, color=COLOURS[0])
        axis.plot(kinds, found.T, "k.", ms=4)
        axis.set(ylabel=label)
        axis.tick_params(axis="x", rotation=30)
    low = float(np.nanmin([s["segmentation"][k]["dice"] for s in seeds.values() for k in kinds]))
    left.set(ylim=(max(0.0, low - 0.1), 1), title="Dice, mean over classes")
    right.axhline(1, color=COLOURS[1], lw=1, ls="--")
    right.set(title="Area, found over true")
    title(figure, note)
    return figure


def despeckling(seeds: Seeds, note: str) -> Figure:
    """Return PSNR, SSIM and GMSD against the strength of speckle put on test pictures."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    first = next(iter(seeds.values()))["speckle"]
    sigmas = sorted(first, key=float)
    names = sorted(first[sigmas[0]], key=lambda name: (name != "raw", name != "denoised", name))
    for axis, measure in zip(axes, ("psnr", "ssim", "gmsd"), strict=True):
        for place, name in enumerate(names):
            rows = [[s["speckle"][x][name][measure] for x in sigmas] for s in seeds.values()]
            label = {"raw": "not denoised", "denoised": "Di-Conv-AE-Net"}.get(name, name)
            axis.plot([float(x) for x in sigmas], np.mean(np.array(rows, float), 0), "o-", ms=3,
                      lw=1.2, color=f"C{place}", label=label)  # fmt: skip
        axis.set(xlabel="sigma of the speckle", ylabel=measure.upper())
    axes[0].legend(fontsize=7, frameon=False)
    title(figure, note)
    return figure


def learning(seeds: Seeds, note: str) -> Figure:
    """Return training and validation loss of the denoiser, and of the segmenters."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for seed, metrics in seeds.items():
        names = sorted(metrics["training"])
        for name in names:
            curve, axis = metrics["training"][name], left if name == "denoiser" else right
            colour = COLOURS[0] if axis is left else f"C{names.index(name)}"
            label = name.removeprefix("segmenter_") if seed == min(seeds) else None
            axis.plot(curve["step"], curve["loss"], color=colour, alpha=0.3, lw=0.7)
            at = curve["validation_step"]
            axis.plot(at, curve["validation_loss"], color=colour, lw=1.3, label=label)
    left.set(xlabel="step", ylabel="loss", title="Denoiser: training (faint), validation")
    right.set(xlabel="step", ylabel="loss", title="SegNet by kind of picture", yscale="log")
    right.legend(fontsize=7, frameon=False)
    title(figure, note)
    return figure


def _outlines(axis: Axes, labels: np.ndarray, style: str) -> None:
    for label, colour in enumerate(TRUE, 1):
        if (labels == label).any():
            axis.contour(labels == label, [0.5], colors=colour, linewidths=0.9, linestyles=style)
