"""The study's figures, from `metrics.json` and `samples.npz` of a results folder."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from common.report.reported import Reported
from common.results.figures import COLORS  # ours, reported, real or held out
from common.results.metrics_file import value_at
from papers.camcan_cfg.claims import SCALES

SEX = {1: "F", 2: "M"}


def reported_at(reported: Reported, metric: str) -> float:
    """Return the source's value of a metric; KeyError where it reports none."""
    return {number.metric: number.value for number in reported.numbers}[metric]


def image_grid(
    images: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str
) -> Figure:
    """Return a figure of uint8 slices [rows, columns, left-right, back-front], the face up."""
    images = np.rot90(images, axes=(2, 3))
    n_rows, n_columns, height, width = images.shape
    cell = 1.0
    figure, axes = plt.subplots(
        n_rows,
        n_columns,
        figsize=(cell * n_columns + 0.9, cell * height / width * n_rows + 0.95),
        squeeze=False,
        layout=ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0),
    )
    for i, line in enumerate(axes):
        for j, axis in enumerate(line):
            axis.imshow(images[i, j], cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
            axis.set(xticks=[], yticks=[])
            for spine in axis.spines.values():
                spine.set_visible(False)
            if i == 0:
                axis.set_title(columns[j], fontsize=8)
            if j == 0:
                axis.set_ylabel(rows[i], fontsize=8)
    figure.suptitle(title, fontsize=8)
    return figure


def process_figure(samples: dict[str, np.ndarray], note: str) -> Figure:
    """Return the sampling process: noise to image for (48, 2, {25, 35, 45, 55})."""
    rows = [f"slice {int(c[2])}" for c in samples["process_conditions"]]
    columns = [f"t = {t}" if t > 0 else "image" for t in samples["process_times"]]
    return image_grid(samples["process"], rows, columns, f"Sampling, age 48, sex 2 (male)\n{note}")


def age_figure(samples: dict[str, np.ndarray], note: str) -> Figure:
    """Return one slice at ages 18 to 88, every image from the same noise."""
    ages = samples["ages_conditions"]
    return image_grid(
        samples["ages"],
        [SEX[int(row[0][1])] for row in ages],
        [f"{int(c[0])} years" for c in ages[0]],
        f"Age at slice {int(ages[0][0][2])}, the same noise in a row\n{note}",
    )


def guidance_figure(samples: dict[str, np.ndarray], note: str) -> Figure:
    """Return real slices over generated ones for the same conditions, a row for each scale."""
    rows = [f"w = {w:g}" for w in samples["grid_scales"]]
    images = samples["grid"]
    if "real_grid" in samples:
        rows, images = ["real", *rows], np.concatenate([samples["real_grid"][None], images])
    columns = [f"{a:.0f} {SEX[int(s)]}, {z:.0f}" for a, s, z in samples["grid_conditions"]]
    return image_grid(images, rows, columns, f"Guidance scale (age, sex, slice)\n{note}")


def neighbor_figure(samples: dict[str, np.ndarray], note: str) -> Figure:
    """Return generated images over their nearest training slices, then held-out ones likewise."""
    rows = ["generated", "nearest\ntraining", "held out", "nearest\ntraining"]
    keys = ("neighbors_generated", "real_nearest", "real_heldout", "real_heldout_nearest")
    shown = [(row, samples[key]) for row, key in zip(rows, keys, strict=True) if key in samples]
    pairs = zip(samples["neighbors_distance"], samples["neighbors_heldout_distance"], strict=True)
    columns = [f"{a:.3f} | {b:.3f}" for a, b in pairs]
    return image_grid(
        np.stack([images for _, images in shown]),
        [row for row, _ in shown],
        columns,
        f"Closest pairs; RMSE generated | held out\n{note}",
    )


def learning_figure(
    seeds: dict[str, dict], reported: Reported, prediction: str, note: str
) -> Figure:
    """Return training and validation loss of every seed, with the ends of the reported curve.

    `prediction` is what the network predicts; the reported curve is that of epsilon.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for seed, metrics in seeds.items():
        curve = metrics["training"]
        left.plot(curve["step"], curve["loss"], color=COLORS[0], alpha=0.35, lw=0.8)
        left.plot(
            curve["validation_step"],
            curve["validation_loss"],
            color=COLORS[0],
            lw=1.4,
            label="ours, validation" if seed == min(seeds) else None,
        )
        regressor = metrics["regressor_training"]
        right.plot(regressor["loss"], color=COLORS[0], alpha=0.35, lw=0.8)
        right.plot(regressor["validation_loss"], color=COLORS[0], lw=1.4)
    for end, style in ((0, ":"), (-1, "--")):
        value = reported_at(reported, f"training.validation_loss.{end}")
        left.axhline(value, color=COLORS[1], ls=style, lw=1, label=f"reported, epsilon: {value:g}")
    left.set(yscale="log", xlabel="step", ylabel=f"MSE of {prediction}", title="Denoising network")
    left.legend(fontsize=7, frameon=False)
    right.set(
        yscale="log", xlabel="epoch", ylabel="MSE, standard units", title="Brain-age regressor"
    )
    figure.suptitle(note, fontsize=8)
    return figure


def _curve(axis: Axes, scales: np.ndarray, values: np.ndarray, label: str) -> None:
    mean, std = values.mean(0), values.std(0, ddof=1) if len(values) > 1 else 0
    axis.errorbar(scales, mean, yerr=std, marker="o", ms=4, lw=1.4, color=COLORS[0], label=label)


def guidance_curves(seeds: dict[str, dict], reported: Reported, note: str) -> Figure:
    """Return FID, SSIM and brain-age MAE against w: ours above, the reported curves below."""
    panels = (("fid768", "FID-768"), ("ssim", "SSIM, all pairs"), ("brain_age.mae", "MAE, years"))
    figure, axes = plt.subplots(2, 3, figsize=(9.5, 5), layout="constrained")
    keys = sorted(next(iter(seeds.values()))["guidance"], key=float)
    for column, (metric, label) in enumerate(panels):
        ours = np.array(
            [[value_at(s, f"guidance.{w}.{metric}") for w in keys] for s in seeds.values()],
            float,
        )
        real = np.array([value_at(s, f"real.{metric}") for s in seeds.values()], float)
        _curve(axes[0, column], np.array([float(w) for w in keys]), ours, "ours")
        axes[0, column].axhline(real.mean(), color=COLORS[2], ls="--", lw=1, label="ours, real")
        published = [(float(w), reported_at(reported, f"guidance.{w}.{metric}")) for w in SCALES]
        axes[1, column].plot(
            *np.array(published).T, marker="s", ms=4, color=COLORS[1], label="reported"
        )
        axes[1, column].axhline(
            reported_at(reported, f"real.{metric}"),
            color=COLORS[2],
            ls="--",
            lw=1,
            label="reported, real",
        )
        for axis in axes[:, column]:
            axis.set(ylabel=label, xlim=(-0.4, 7.4))
            axis.legend(fontsize=7, frameon=False)
        axes[1, column].set_xlabel("guidance scale w")
    figure.suptitle(note, fontsize=8)
    return figure
