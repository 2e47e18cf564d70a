"""The study's figures, from `metrics.json` and `samples.npz` of a results folder."""

from collections.abc import Iterable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from common.results.figures import COLORS, image_axes, title
from papers.ultrasound_diconvae import colors
from papers.ultrasound_diconvae.image import CLASSES

OUTLINES = {"brain": ("green", "#41d66a"), "CSP": ("yellow", "#ffd24a"), "LV": ("blue", "#4ac6ff")}
QUALITY = {"psnr": "PSNR, dB", "ssim": "SSIM", "gmsd": "GMSD (best: 0)"}
PREDICTED = "predicted_"  # and the variant: arrays of the samples
Samples = dict[str, np.ndarray]
Seeds = dict[str, dict[str, Any]]


def in_order(variants: Iterable[str]) -> list[str]:
    """Return input variants as they are shown: raw, denoised, the others by name."""
    return sorted(variants, key=lambda name: (name != "raw", name != "denoised", name))


def words(variant: str) -> str:
    """Return an input variant in words: `denoised50` is denoised by 50%."""
    part = variant.removeprefix("denoised")
    return f"denoised by {part}%" if part.isdigit() else variant.replace("_", " ")


def cases(samples: Samples, note: str) -> Figure:
    """Return test images in every variant, outlines true (full) and predicted (dashed)."""
    variants = [name.removeprefix(PREDICTED) for name in samples if name.startswith(PREDICTED)]
    columns = [(f"image_{name}", words(name), PREDICTED + name) for name in in_order(variants)]
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
        for axis, (key, name, predicted) in zip(line, columns, strict=True):
            axis.imshow(samples[key][row], cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
            axis.set(xticks=[], yticks=[])
            _outlines(axis, samples["labels"][row], "-")
            if predicted:
                _outlines(axis, samples[predicted][row], "--")
            if row == 0:
                axis.set_title(name, fontsize=8)
    key = ", ".join(
        f"{name} {word}"
        for name, (word, _) in OUTLINES.items()
        if (samples["labels"] == CLASSES.index(name)).any()
    )
    title(figure, f"Test images; outlines true (full) and predicted (dashed): {key}\n{note}")
    return figure


def sheet(
    frames: UInt8[np.ndarray, "frames height width"],
    labels: UInt8[np.ndarray, "frames height width"],
    names: list[str],
    classes: tuple[str, ...],
    note: str,
    aspect: float,
) -> Figure:
    """Return named frames with predicted outlines; `aspect` is a pixel's height to its width."""
    figure, axes = image_axes(len(frames), aspect * frames.shape[1] / frames.shape[2])
    for axis, frame, predicted, name in zip(axes, frames, labels, names, strict=True):
        axis.imshow(frame, cmap="gray", vmin=0, vmax=255, aspect=aspect)
        axis.set(xticks=[], yticks=[])
        axis.set_title(name, fontsize=8)
        _outlines(axis, predicted, "-")
    lines = [Line2D([], [], color=OUTLINES[name][1]) for name in classes[1:]]
    figure.legend(lines, classes[1:], loc="outside lower center", ncols=3, fontsize=8)
    title(figure, note)
    return figure


def segmentation(seeds: Seeds, note: str) -> Figure:
    """Return Dice and the ratio of areas for every input variant that SegNet was trained on."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.4), layout="constrained")
    variants = in_order(next(iter(seeds.values()))["segmentation"])
    at = np.arange(len(variants))
    for axis, measure in ((left, "dice"), (right, "area_ratio")):
        rows = [[s["segmentation"][name][measure] for name in variants] for s in seeds.values()]
        scores = np.array(rows, float)
        axis.plot(at, scores.mean(0), "_", ms=26, mew=2.5, color=COLORS[0])
        axis.plot(at, scores.T, "k.", ms=4)
        axis.set_xticks(at, [words(name) for name in variants], rotation=30, ha="right")
        axis.set_xlim(-0.6, len(variants) - 0.4)
    left.set(ylabel="Dice", title="Dice, mean over classes")
    right.axhline(1, color=COLORS[1], lw=1, ls="--")
    right.set(ylabel="predicted / true", title="Predicted area over true area")
    title(figure, f"SegNet by input variant: seeds (dots) and their mean\n{note}")
    return figure


def simulated_speckle(seeds: Seeds, note: str) -> Figure:
    """Return PSNR, SSIM and GMSD against the strength of speckle put on test images."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    first = next(iter(seeds.values()))["simulated_speckle"]
    sigmas = sorted(first, key=float)
    at = [float(sigma) for sigma in sigmas]
    for axis, (measure, label) in zip(axes, QUALITY.items(), strict=True):
        for place, name in enumerate(in_order(first[sigmas[0]])):
            by_seed = [s["simulated_speckle"] for s in seeds.values()]
            rows = [[one[x][name][measure] for x in sigmas] for one in by_seed]
            scores, color = np.array(rows, float), f"C{place}"
            known = {"raw": "not denoised", "denoised": "Di-Conv-AE-Net"}.get(name, words(name))
            axis.plot(at, scores.mean(0), lw=1.2, color=color, label=known)
            axis.plot(at, scores.T, ".", ms=4, color=color)
        axis.set(xlabel="sigma of the speckle", ylabel=label, xticks=at)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=7, frameon=False
    )
    title(figure, f"Test images under Rayleigh speckle: seeds (dots), their mean\n{note}")
    return figure


def causes(seeds: Seeds, note: str) -> Figure:
    """Return what each proposed cause costs: detail lost, image by image, and the shift."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
    shifted = {
        "raw, raw": ("segmentation", "raw"),
        "denoised, denoised": ("segmentation", "denoised"),
        "raw, denoised": ("train_test_mismatch", "raw_on_denoised"),
        "denoised, raw": ("train_test_mismatch", "denoised_on_raw"),
    }
    for seed, metrics in seeds.items():
        kept = metrics["despeckling"]["denoised"]["images"]
        raw, denoised = (metrics["segmentation"][v]["images"] for v in ("raw", "denoised"))
        both = [name for name in kept if raw[name] is not None and denoised[name] is not None]
        gained = [denoised[name] - raw[name] for name in both]
        left.plot([kept[name] for name in both], gained, ".", ms=6, label=f"seed {seed}")
        dice = [metrics[section][name]["dice"] for section, name in shifted.values()]
        right.plot(range(len(shifted)), dice, "o", ms=5)
    left.axhline(0, color="gray", lw=0.8)
    left.set(
        xlabel="edge preservation of the denoised image",
        ylabel="Dice on denoised minus on raw",
        title="Cause 1: detail is lost",
    )
    left.legend(fontsize=7, frameon=False)
    right.set_xticks(range(len(shifted)), shifted, rotation=20, ha="right")
    right.set(
        xlabel="SegNet trained on, tested on",
        ylabel="Dice",
        xlim=(-0.6, len(shifted) - 0.4),
        title="Cause 2: another distribution",
    )
    title(figure, note)
    return figure


def learning(seeds: Seeds, note: str) -> Figure:
    """Return training and validation loss of the denoiser, and of the segmenters."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for seed, metrics in seeds.items():
        names = sorted(metrics["training"])
        for name in names:
            curve, axis = metrics["training"][name], left if name == "denoiser" else right
            color = COLORS[0] if axis is left else f"C{names.index(name)}"
            label = words(name.removeprefix("segmenter_")) if seed == min(seeds) else None
            axis.plot(curve["step"], curve["loss"], color=color, alpha=0.3, lw=0.7)
            at = curve["validation_step"]
            axis.plot(at, curve["validation_loss"], color=color, lw=1.3, label=label)
    left.set(xlabel="step", ylabel="loss", title="Denoiser")
    right.set(xlabel="step", ylabel="loss", title="SegNet by input variant", yscale="log")
    right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    right.yaxis.set_major_formatter("{x:g}")
    right.yaxis.set_minor_formatter(NullFormatter())
    right.legend(fontsize=7, frameon=False)
    title(figure, f"Training (faint) and validation\n{note}")
    return figure


def off_palette_colors(samples: Samples, note: str) -> Figure:
    """Return a color mask made smaller both ways, and where that gave colors of no class."""
    mask = colors.encode(samples["labels"][0])
    height, width = (2 * side // 3 for side in mask.shape[:2])
    figure, axes = plt.subplots(1, 3, figsize=(9, 3 * height / width + 0.7), layout="constrained")
    axes[0].imshow(mask)
    axes[0].set_title("mask", fontsize=8)
    for axis, (how, small) in zip(
        axes[1:], colors.resized(mask, height, width).items(), strict=True
    ):
        outside = colors.off_palette(small)
        axis.imshow(np.where(outside[..., None], np.uint8(255), small))
        axis.set_title(f"{how}: {outside.mean():.1%} of the pixels", fontsize=8)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    title(figure, f"White: colors of no class, after a mask is made smaller by a third\n{note}")
    return figure


def _outlines(axis: Axes, labels: np.ndarray, style: str) -> None:
    for name, (_, color) in OUTLINES.items():
        here = labels == CLASSES.index(name)
        if here.any():
            axis.contour(here, [0.5], colors=color, linewidths=0.9, linestyles=style)
