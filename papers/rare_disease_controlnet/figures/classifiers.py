"""Classifiers compared: by arm, over the best without synthetic films, by dose, and in detail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from common.results.figures import COLORS, title
from common.results.tables import spread, text
from papers.rare_disease_controlnet.compared import (
    ARMS,
    WITHOUT,
    Seeds,
    arms_at,
    best_without,
    bound,
    counts,
    dose_scores,
    doses,
    films_at,
    gains,
    main_count,
    scores,
)

LITERATURE = ("usual_low", "usual_high", "best_published")  # numbers of reported.toml
SHOWN = ("real", "augmented", "selected", "upper")  # where there is no room for all
_LINE: dict[str, Any] = {"marker": ".", "ms": 5, "lw": 0.8, "color": "0.55"}  # of a seed
_MEAN: dict[str, Any] = {"marker": "_", "ms": 22, "mew": 2.5, "ls": ""}


def arms(seeds: Seeds, rare: str, note: str) -> Figure:
    """Return the F1 of the rare class by arm, a line for each seed, at every number of films."""
    at = counts(seeds)
    widths = [len(arms_at(seeds, count)) + 0.5 for count in at]
    figure, axes = plt.subplots(
        1,
        len(at),
        figsize=(max(0.62 * sum(widths) + 1.2, 5), 4.2),
        sharey=True,
        squeeze=False,
        gridspec_kw={"width_ratios": widths},
        layout="constrained",
    )
    for axis, count in zip(axes[0], at, strict=True):
        names = arms_at(seeds, count)
        found = np.array([scores(seeds, arm, count=count) for arm in names])
        axis.plot(found, **_LINE)
        for place, (arm, values) in enumerate(zip(names, found, strict=True)):
            axis.plot(place, values.mean(), color=_color(arm), **_MEAN)
        best = best_without(seeds, count)
        mean = float(np.mean(scores(seeds, best, count=count)))
        axis.axhline(mean, color=COLORS[0], lw=0.9, ls="--", zorder=0)
        _named(axis, [ARMS[arm] for arm in names])
        axis.set_title(f"{count} real films of it", fontsize=9)
    axes[0, 0].set(ylabel=f"F1 of {rare}", ylim=(0, None))
    title(
        figure,
        f"F1 of {rare} by what the classifier learned from: lines are seeds, bars their mean, "
        "the dashed line the best without synthetic films (blue: without them, orange: with them, "
        f"green: with more real films)\n{note}",
    )
    return figure


def differences(seeds: Seeds, rare: str, context: Mapping[str, float], note: str) -> Figure:
    """Return what the arms gain over the best without synthetic films, and over real films alone.

    `context` are gains of the literature, of those in `LITERATURE`: over real films alone.
    """
    rows = [
        (count, arm)
        for count in counts(seeds)
        for arm in arms_at(seeds, count)
        if arm not in WITHOUT
    ]
    figure, axes = plt.subplots(
        1, 2, figsize=(10, 0.27 * len(rows) + 2), sharey=True, sharex=True, layout="constrained"
    )
    heads = ("minus the best arm without synthetic films", "minus real films alone (usual, weaker)")
    for axis, head, plain in zip(axes, heads, (False, True), strict=True):
        for place, (count, arm) in enumerate(rows):
            over = "real" if plain else best_without(seeds, count)
            found = gains(seeds, arm, over, count)
            color = _color(arm)
            axis.errorbar(
                np.mean(found), place, xerr=np.nan_to_num(bound(found)), fmt="o", ms=5,
                color=color, capsize=3, lw=1.4,
            )  # fmt: skip
            axis.plot(found, np.full(len(found), place + 0.28), "|", color=color, ms=5, alpha=0.8)
        axis.axvline(0, color="k", lw=0.9)
        axis.set_title(head, fontsize=9)
        axis.set_xlabel(f"difference of the F1 of {rare}")
    axes[0].set_yticks(range(len(rows)), [f"{ARMS[arm]}, {count}" for count, arm in rows],
                       fontsize=8)  # fmt: skip
    axes[0].invert_yaxis()
    if context:
        low, high, best = (context[name] for name in LITERATURE)
        axes[1].axvspan(
            low, high, color="0.85", zorder=0, label=f"usual: {low:+.2f} to {high:+.2f}"
        )
        axes[1].axvline(best, color="0.5", lw=1, ls=":", label=f"best published: {best:+.2f}")
        figure.legend(loc="outside lower right", ncols=2, fontsize=7, frameon=False)
    title(
        figure,
        f"Gain of F1 of {rare} by arm and real films of it: mean, one-sided 95% bounds, seeds "
        f"(ticks); above 0 only where the whole bar is\n{note}",
    )
    return figure


def dose_response(seeds: Seeds, rare: str, note: str) -> Figure:
    """Return the F1 of the rare class by the number of synthetic films beside the real ones."""
    figure, axis = plt.subplots(figsize=(7.4, 4), layout="constrained")
    tried = doses(seeds)
    none = scores(seeds, "augmented")
    films = np.array([[0.0] * len(none), *(films_at(seeds, dose) for dose in tried)])
    found = np.array([none, *(dose_scores(seeds, dose) for dose in tried)])
    axis.plot(films, found, **_LINE)
    axis.plot(films.mean(1), found.mean(1), "o-", color=COLORS[1], lw=1.6, label="mean")
    axis.axhline(
        float(np.mean(scores(seeds, "upper"))), color=COLORS[2], lw=1, ls="--", label=ARMS["upper"]
    )
    axis.set(
        xlabel="synthetic films accepted and learned from (0: real films repeated)",
        ylabel=f"F1 of {rare}",
    )
    axis.legend(fontsize=7, frameon=False)
    title(
        figure,
        f"Dose and response at {main_count(seeds)} real films of {rare}: lines are seeds\n{note}",
    )
    return figure


def confusion(seeds: Seeds, classes: Sequence[str], note: str) -> Figure:
    """Return confusion matrices at the main number of films, added over seeds, as shares of rows.

    Of films with one finding at most.
    """
    names = [arm for arm in SHOWN if arm in arms_at(seeds, main_count(seeds))]
    side = 0.55 * len(classes) + 0.6
    figure, axes = plt.subplots(
        1, len(names), figsize=(side * len(names) + 1.1, side + 1.8), sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axis, arm in zip(axes[0], names, strict=True):
        found = _classifiers(seeds, arm)
        matrix = np.sum([one["confusion"] for one in found], 0)
        with np.errstate(invalid="ignore"):
            shares = matrix / matrix.sum(1, keepdims=True)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(shares):
            shown = f"{share:.2f}" if np.isfinite(share) else ""
            axis.text(column, row, shown, ha="center", va="center", fontsize=7,
                      color="w" if share > 0.6 else "k")  # fmt: skip
        _named(axis, classes, 0.5)
        axis.set_yticks(range(len(classes)), classes, fontsize=8)
        axis.set_title(ARMS[arm], fontsize=9)
        axis.set_xlabel("predicted", fontsize=8)
    axes[0, 0].set_ylabel("true", fontsize=8)
    title(
        figure,
        f"Of test films of a class, the share that is taken for each; {main_count(seeds)} real "
        f"films of the rare one\n{note}",
    )
    return figure


def reliability(seeds: Seeds, rare: str, note: str) -> Figure:
    """Return how often films with a probability of the rare class had it, bins of all seeds."""
    names = [arm for arm in SHOWN if arm in arms_at(seeds, main_count(seeds))]
    figure, axes = plt.subplots(
        1, len(names), figsize=(2.5 * len(names) + 0.4, 3.5), sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axis, arm in zip(axes[0], names, strict=True):
        bins = [one["rare_reliability"] for one in _classifiers(seeds, arm)]
        count = np.array([one["count"] for one in bins], float)
        predicted, observed = (
            _pooled(np.array([one[name] for one in bins], float), count)
            for name in ("predicted", "observed")
        )
        axis.plot([0, 1], [0, 1], color="0.7", lw=0.9, ls="--")
        axis.plot(predicted, observed, "-", color=_color(arm), lw=1)
        size = 12 + 120 * count.sum(0) / max(count.sum(), 1)
        axis.scatter(predicted, observed, size, color=_color(arm))
        error = text(spread(scores(seeds, arm, "rare_calibration_error")), 2)
        axis.set_title(f"{ARMS[arm]}\nerror {error}", fontsize=8)
        axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
        axis.set_xlabel("predicted probability", fontsize=8)
    axes[0, 0].set_ylabel(f"share with {rare}", fontsize=8)
    title(
        figure,
        f"Reliability of the probability of {rare}: bins of ten percent, a larger dot has more "
        f"films; on the dashed line it is what it says\n{note}",
    )
    return figure


def _classifiers(seeds: Seeds, arm: str) -> list[dict[str, Any]]:
    return [seed["classifiers"][f"{arm}_{main_count(seeds)}"] for seed in seeds]


def _pooled(values: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return bins' means over seeds, weighted by their films; NaN where no seed has any."""
    with np.errstate(invalid="ignore"):
        return np.nansum(values * count, 0) / count.sum(0)


def _color(arm: str) -> str:
    return COLORS[0] if arm in WITHOUT else COLORS[2] if arm == "upper" else COLORS[1]


def _named(axis: Axes, names: Sequence[str], margin: float = 0.6) -> None:
    axis.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8)
    axis.set_xlim(-margin, len(names) - 1 + margin)
