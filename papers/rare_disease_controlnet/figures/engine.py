"""The engine's audit and what was learned when: figures of numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from common.report.claims import values
from common.results.figures import COLORS, title
from papers.rare_disease_controlnet.claims import QUARTER, USEFUL
from papers.rare_disease_controlnet.compared import ARMS, Seeds, main_count

EDGES = {
    "finding": "with ControlNet",
    "normal": "with it, no finding",
    "strength_0": "with it, at strength 0",
    "uncontrolled": "without it",
    "of_others": "other structures",
}
_PANELS: tuple[tuple[str, str, dict[str, float]], ...] = (
    ("Edges of the structure kept", "share", {}),
    ("Only the lesion changed", "change outside over inside", {"a quarter": QUARTER}),
    ("Shows what was asked for", "share", {}),
    ("What films give away", "AUROC", {"not at all": 0.5, "of use": USEFUL}),
    ("Near copies", "share nearer than 1% of real films", {"as real films": 0.01}),
)
_PARTS = {  # of a run, by how the names of trainings begin
    "autoencoder": "autoencoder",
    "denoiser": "U-Net and words",
    "controlnet": "ControlNet",
    "adaptation_": "adaptation to the rare films",
    "reviewer": "reviewer",
}


def audit(seeds: Seeds, classes: Sequence[str], rare: str, note: str) -> Figure:
    """Return what is measured of the engine, each beside what would be expected by chance."""
    audited = (_edges(seeds), _change(seeds), _as_asked(seeds, classes, rare), _given_away(seeds),
               _copies(seeds))  # fmt: skip
    panels = [(*panel, bars) for panel, bars in zip(_PANELS, audited, strict=True) if bars]
    widths = [max(len(bars) + 0.4, 2.2) for *_, bars in panels]
    figure, axes = plt.subplots(
        1,
        len(panels),
        figsize=(0.62 * sum(widths) + 0.8 * len(panels), 4.4),
        gridspec_kw={"width_ratios": widths},
        squeeze=False,
        layout="constrained",
    )
    for axis, (head, label, lines, bars) in zip(axes[0], panels, strict=True):
        _dots(axis, bars, lines)
        axis.set_title(head, fontsize=9)
        axis.set_ylabel(label, fontsize=8)
        highest = max([*lines.values(), *(np.nanmax(found) for found in bars.values())])
        axis.set_ylim(0, 1.2 * highest if len(bars) == 1 else 1.03)
    title(
        figure,
        "What the engine draws: seeds (dots) and their mean; dashed lines are what a claim is held "
        f"against\n{note}",
    )
    return figure


def learning(seeds: Seeds, note: str) -> Figure | None:
    """Return the training losses of all parts, a line for each seed; None where none was kept."""
    main = main_count(seeds)
    panels = {called: _curves(seeds, head) for head, called in _PARTS.items()}
    panels |= {
        f"classifiers: {called}": _curves(seeds, f"classifier_{arm}_{main}", whole=True)
        for arm, called in ARMS.items()
    }
    kept = {called: curves for called, curves in panels.items() if curves}
    if not kept:
        return None
    columns = min(4, len(kept))
    rows = -(-len(kept) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(3.1 * columns, 2.2 * rows + 0.5), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axis, (called, curves) in zip(axes.flat, kept.items(), strict=False):
        for name, steps, losses in curves:
            number = name.removeprefix("adaptation_")
            color = f"C{sorted({one for one, _, _ in curves}).index(name)}"
            label = f"{number} films" if number != name else None
            axis.plot(steps, losses, color=color, lw=0.8, alpha=0.8, label=label)
        axis.set_title(called, fontsize=8)
        axis.tick_params(labelsize=7)
        handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        if handles:
            axis.legend(handles.values(), handles.keys(), fontsize=6, frameon=False)
    for axis in axes.flat[len(kept) :]:
        axis.set_axis_off()
    title(
        figure,
        "Training losses over steps, a line for each seed; classifiers at "
        f"{main} real films of the rare class\n{note}",
    )
    return figure


def _edges(seeds: Seeds) -> dict[str, list[float]]:
    return {called: values(seeds, f"engine.edges.{name}") for name, called in EDGES.items()}


def _change(seeds: Seeds) -> dict[str, list[float]]:
    return _known({"outside / inside": values(seeds, "engine.change.ratio")})


def _as_asked(seeds: Seeds, classes: Sequence[str], rare: str) -> dict[str, list[float]]:
    shares = {name: values(seeds, f"engine.as_asked.finding.{name}") for name in classes}
    shares[f"{rare}, on test films"] = values(seeds, "engine.as_asked.rare")
    shares["the same, not asked for"] = values(seeds, "engine.as_asked.rare_unasked")
    return _known(shares | {"side": values(seeds, "engine.as_asked.side")})


def _given_away(seeds: Seeds) -> dict[str, list[float]]:
    return {
        "who was trained on": values(seeds, "engine.memorization.membership_auroc"),
        "synthetic, by one film's FID": values(seeds, "engine.quality.single.auroc"),
    }


def _copies(seeds: Seeds) -> dict[str, list[float]]:
    return {"synthetic films": values(seeds, "engine.memorization.below_first_percentile")}


def _known(bars: Mapping[str, list[float]]) -> dict[str, list[float]]:
    return {name: found for name, found in bars.items() if np.isfinite(found).any()}


def _dots(axis: Axes, bars: Mapping[str, list[float]], lines: Mapping[str, float]) -> None:
    for place, found in enumerate(bars.values()):
        axis.plot(place, np.nanmean(found), "_", ms=24, mew=2.5, color=COLORS[0])
        axis.plot(np.full(len(found), place), found, "k.", ms=5)
    for called, value in lines.items():
        axis.axhline(value, color=COLORS[1], lw=1, ls="--")
        axis.text(len(bars) - 0.45, value, called, fontsize=7, color=COLORS[1], ha="right",
                  va="bottom")  # fmt: skip
    axis.set_xticks(range(len(bars)), bars, rotation=40, ha="right", fontsize=8)
    axis.set_xlim(-0.6, len(bars) - 0.4)


def _curves(seeds: Seeds, head: str, whole: bool = False) -> list[tuple[str, list[Any], list[Any]]]:
    """Return steps and losses of the trainings whose names begin so, or are so, of all seeds."""
    return [
        (name, curve["step"], curve["loss"])
        for seed in seeds
        for name, curve in sorted(seed["training"].items())
        if (name == head if whole else name.startswith(head))
    ]
