"""The study's figures, from `metrics.json` and `samples.npz` of a results folder."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from common.results.figures import COLORS, title
from common.results.metrics_file import value_at
from common.results.tables import MISSING
from papers.surgical_vision.cases import TRAVERSED
from papers.surgical_vision.pair import DOMAINS
from papers.surgical_vision.variants import MODELS

Samples = dict[str, np.ndarray]
Seeds = dict[str, dict[str, Any]]
CELL = 0.62  # inches, of a face in a sheet
_BRIGHTER = 2.0  # times that differences are shown


def sheet(samples: Samples, note: str) -> Figure:
    """Return every model's row: four faces before, as the model has them, truly after, and apart.

    What is apart is the output minus the face before, doubled, gray where nothing changed.
    """
    before, after = samples["before"], samples["after"]
    heads = ("before", "output", "after", "change")
    figure, axes = plt.subplots(
        len(MODELS),
        len(heads) * len(before),
        figsize=(CELL * len(heads) * len(before) + 1.7, CELL * len(MODELS) + 0.8),
        gridspec_kw={"wspace": 0.03, "hspace": 0.03},
        squeeze=False,
    )
    for row, (name, variant) in zip(axes, MODELS.items(), strict=True):
        output = samples[f"output_{name}"]
        for i in range(len(before)):
            change = output[i].astype(np.float32) - before[i]
            shown = (before[i], output[i], after[i], _as_image(change))
            for axis, image in zip(row[len(heads) * i :], shown, strict=False):
                _show(axis, image)
        row[0].set_ylabel(variant.title, fontsize=7, rotation=0, ha="right", va="center")
    for axis, head in zip(axes[0], heads * len(before), strict=True):
        axis.set_title(head, fontsize=7)
    figure.subplots_adjust(left=1.6 / figure.get_figwidth(), right=0.995, bottom=0.005, top=0.945)
    title(
        figure, f"The same test faces by all models; change: output minus before, doubled\n{note}"
    )
    return figure


def learning(seeds: Seeds, note: str) -> Figure:
    """Return the training loss and the validation part's SSIM of every model."""
    figure, axes = plt.subplots(3, 6, figsize=(14, 6.6), layout="constrained")
    for axis, (name, variant) in zip(axes.flat, MODELS.items(), strict=True):
        axis.set_title(variant.title, fontsize=8)
        other = axis.twinx()
        for metrics in seeds.values():
            curves = metrics["training"].get(name)
            if curves is None:
                continue
            axis.plot(curves["step"], curves["loss"], color=COLORS[0], lw=0.7)
            other.plot(
                curves["validation_step"], curves["validation_ssim"], ".-", ms=3, lw=0.9,
                color=COLORS[1],
            )  # fmt: skip
        axis.tick_params(labelsize=6, colors=COLORS[0], axis="y")
        axis.tick_params(labelsize=6, axis="x")
        other.tick_params(labelsize=6, colors=COLORS[1])
        other.set_ylim(0, 1)
    title(
        figure,
        "Loss of the generator, or of the whole (blue), and SSIM of the validation part to the "
        f"true faces after (orange), over steps; a line for each seed\n{note}",
    )
    return figure


def tradeoff(seeds: Seeds, note: str) -> Figure:
    """Return LPIPS to the true face after against the share of the operation, for all models."""
    quality = "lpips_alex" if known(seeds, "lpips_alex") else "ssim"
    figure, axis = plt.subplots(figsize=(9, 6), layout="constrained")
    markers = {"autoencoder": "o", "gan": "X", "pix2pix": "s", "cyclegan": "D", "stargan": "^"}
    markers |= {"starganv2": "*", "style": "P", "diffusion": "v"}
    places = []
    for number, (name, variant) in enumerate(MODELS.items(), 1):
        x, y = (_values(seeds, name, m) for m in ("operation.share", quality))
        color = plt.get_cmap("tab20")(number % 20)
        axis.plot(x, y, markers[variant.family], color=color, ms=4, alpha=0.6)
        across, up = (_mean(seeds, name, m) for m in ("operation.share", quality))
        axis.plot(
            across, up, markers[variant.family], color=color, ms=10, mec="k", mew=0.7,
            label=f"{number}  {variant.title}",
        )  # fmt: skip
        places.append((across, up, number))
    for across, up, number in places:
        axis.annotate(str(number), (across, up), (7, 5), textcoords="offset points", fontsize=7)
    first = next(iter(seeds.values()))  # references have the same value for all seeds
    for name, label in (("unchanged", "face before"), ("true_after", "true face after")):
        across, up = (
            float(value_at(first, f"references.{name}.{m}") or 0)
            for m in ("operation.share", quality)
        )
        axis.plot(across, up, "kx", ms=8)
        axis.annotate(label, (across, up), (7, -10), textcoords="offset points", fontsize=8)
    axis.axvline(0, color="0.8", lw=0.8, zorder=0)
    axis.axvline(1, color="0.8", lw=0.8, zorder=0)
    word = {"lpips_alex": "LPIPS (AlexNet) to the true face after (best: 0)", "ssim": "SSIM"}
    axis.set(xlabel="share of the operation carried out (true: 1)", ylabel=word[quality])
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right center", fontsize=7)
    title(figure, f"Quality against what was asked: seeds (small), their mean\n{note}")
    return figure


def colors(seeds: Seeds, note: str) -> Figure:
    """Return the color difference to the face before by region, for all models."""
    regions = ("hair", "lips", "skin", "background")
    table = np.array([[_mean(seeds, name, f"color.{r}") for r in regions] for name in MODELS])
    highest = float(np.max(table, initial=10.0, where=np.isfinite(table)))
    figure, axis = plt.subplots(figsize=(5.5, 6.5), layout="constrained")
    shown = axis.imshow(table, cmap="YlOrRd", vmin=0, vmax=highest, aspect="auto")
    axis.set_xticks(range(len(regions)), regions)
    axis.set_yticks(range(len(MODELS)), [variant.title for variant in MODELS.values()], fontsize=8)
    for (row, column), value in np.ndenumerate(table):
        text = f"{value:.1f}" if np.isfinite(value) else MISSING
        axis.text(column, row, text, ha="center", va="center", fontsize=8)
    figure.colorbar(shown, ax=axis, label="ΔE, mean over faces and seeds (noticeable: 2.3)")
    title(figure, f"Change of color against the face before\n{note}")
    return figure


def known(seeds: Seeds, measure: str) -> bool:
    """Return whether models have the measure: not all data says enough for each."""
    return bool(np.isfinite(_values(seeds, "autoencoder", measure)).any())


def domains(samples: Samples, note: str) -> Figure:
    """Return one face operated at eyes, nose and chin by StarGAN and StarGANv2, and the changes."""
    names = ("stargan", "starganv2")
    figure, axes = plt.subplots(
        2 * len(names), 1 + len(DOMAINS), figsize=(6.4, 6.4), layout="constrained"
    )
    before = samples["before"][0]
    for i, name in enumerate(names):
        images = samples[f"domains_{name}"]
        _show(axes[2 * i, 0], before)
        axes[2 * i, 0].set_ylabel(MODELS[name].title, fontsize=8)
        axes[2 * i + 1, 0].set_axis_off()
        for column, (domain, image) in enumerate(zip(DOMAINS, images, strict=True), 1):
            _show(axes[2 * i, column], image)
            _show(axes[2 * i + 1, column], _as_image(image.astype(np.float32) - before))
            axes[0, column].set_title(domain, fontsize=8)
        axes[2 * i + 1, 1].set_ylabel("change", fontsize=8)
    axes[0, 0].set_title("before", fontsize=8)
    title(figure, f"One face, three operations; change: minus before, doubled\n{note}")
    return figure


def attention(samples: Samples, seeds: Seeds, note: str) -> Figure:
    """Return the faces, and where all pixels together look, for every model with attention."""
    names = [name for name in MODELS if f"attention_{name}" in samples]
    before = samples["before"]
    figure, axes = plt.subplots(
        len(names) + 1,
        len(before),
        figsize=(1.3 * len(before) + 2.4, 1.3 * (len(names) + 1) + 0.6),
        squeeze=False,
    )
    first = next(iter(seeds.values()))["models"]
    for column, image in enumerate(before):
        _show(axes[0, column], image)
        for axis, name in zip(axes[1:, column], names, strict=True):
            axis.imshow(samples[f"attention_{name}"][column], cmap="magma", vmin=0, vmax=255)
            axis.set(xticks=[], yticks=[])
    for axis, name in zip(axes[1:, 0], names, strict=True):
        gamma = max((abs(g) for each in first[name]["gamma"].values() for g in each), default=0.0)
        axis.set_ylabel(
            f"{MODELS[name].title}\n|gamma| up to {gamma:.2g}", fontsize=7, rotation=0, ha="right",
            va="center",
        )  # fmt: skip
    figure.subplots_adjust(left=2.3 / figure.get_figwidth(), right=0.99, bottom=0.01, top=0.93,
                           wspace=0.04, hspace=0.04)  # fmt: skip
    title(figure, f"Attention of the generator, summed over its pixels (bright: much)\n{note}")
    return figure


def latents(samples: Samples, note: str) -> Figure:
    """Return faces along the VAE's latent units of the largest spread."""
    images = samples["latent_vae"]
    figure, axes = plt.subplots(
        *images.shape[:2], figsize=(1.2 * images.shape[1] + 0.6, 1.2 * len(images) + 0.7),
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for row, line in enumerate(axes):
        for axis, image, step in zip(line, images[row], TRAVERSED, strict=True):
            _show(axis, image)
            if row == 0:
                axis.set_title(f"{step:+g} σ", fontsize=8)
        line[0].set_ylabel(f"unit {row + 1}", fontsize=8)
    title(figure, f"VAE: one latent unit changed, the four of the largest spread\n{note}")
    return figure


def denoising(samples: Samples, note: str) -> Figure:
    """Return what Stable Diffusion takes a face for on the way from noise."""
    images = [samples["before"][0], *samples["denoising"]]
    figure, axes = plt.subplots(
        1, len(images), figsize=(1.4 * len(images), 1.9), squeeze=False, layout="constrained"
    )
    for axis, image in zip(axes[0], images, strict=True):
        _show(axis, image)
    axes[0, 0].set_title("before", fontsize=8)
    axes[0, -1].set_title("end", fontsize=8)
    title(figure, f"Stable Diffusion, image to image: the estimate of the face on the way\n{note}")
    return figure


def _values(seeds: Seeds, model: str, measure: str) -> np.ndarray:
    found = [value_at(metrics, f"models.{model}.{measure}") for metrics in seeds.values()]
    return np.array([np.nan if value is None else value for value in found], float)


def _mean(seeds: Seeds, model: str, measure: str) -> float:
    found = _values(seeds, model, measure)
    found = found[np.isfinite(found)]
    return float(found.mean()) if len(found) else float("nan")


def _as_image(change: np.ndarray) -> np.ndarray:
    return np.clip(127.5 + _BRIGHTER * change, 0, 255).astype(np.uint8)


def _show(axis: Axes, image: np.ndarray) -> None:
    axis.imshow(image, interpolation="bicubic")
    axis.set(xticks=[], yticks=[])
