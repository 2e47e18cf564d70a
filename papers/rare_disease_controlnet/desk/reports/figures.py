"""The figures of a report, as SVG whose bytes depend on nothing but the findings."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from common.results.figures import COLORS
from papers.rare_disease_controlnet.desk.reports.concord import Concord
from papers.rare_disease_controlnet.desk.reports.estimate import Estimate
from papers.rare_disease_controlnet.desk.reports.findings import Findings, OfLabel
from papers.rare_disease_controlnet.desk.reports.words import plain, signed

REAL, SYNTHETIC = COLORS[0], COLORS[1]
GRID, INK = "#d9d9d9", "#333333"
STYLES = ("-", "--", ":", "-.")  # with colors: 12 readers that can be told apart
STYLE: Any = {
    "svg.hashsalt": "report",  # or else the names of parts are random
    "text.parse_math": False,  # a label may hold a dollar sign
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
}
LONGEST = 28  # characters of a label
_DRAWING = Lock()  # matplotlib's settings are those of the process, and routes run in threads


@lru_cache(maxsize=64)
def svg(name: str, found: Findings) -> bytes:
    """Return a figure of `FIGURES`."""
    content = io.BytesIO()
    with _DRAWING, matplotlib.rc_context(STYLE):
        figure = FIGURES[name](found)
        figure.savefig(
            content,
            format="svg",
            facecolor="white",
            bbox_inches="tight",
            metadata={"Date": None, "Creator": None},
        )
    return content.getvalue()


def roc(found: Findings) -> Figure:
    """Draw the ROC curve of each reader."""
    figure, axis = _figure(4.8, 4.6)
    axis.plot([0, 1], [0, 1], "--", color="#8a8a8a", linewidth=1)
    for place, one in enumerate(found.readers):
        if one.curve:
            across, up = zip(*one.curve, strict=True)
            style = STYLES[place // len(COLORS) % len(STYLES)]
            color = COLORS[place % len(COLORS)]
            axis.plot(across, up, style, color=color, marker="o", markersize=3, linewidth=1.4,
                      label=f"{_short(one.name)}: {plain(one.area.value)}")  # fmt: skip
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axis.set_xlabel("real films taken as synthetic")
    axis.set_ylabel("synthetic films taken as synthetic")
    if 0 < len(found.readers) <= 12:
        axis.legend(fontsize=8, loc="lower right", title="AUC", title_fontsize=8)
    return figure


def scores(found: Findings) -> Figure:
    """Draw how often each score was given, for real and synthetic films beside each other."""
    return _bars(found.scores, ["1\nunusable", "2", "3", "4", "5\nlike a good\nclinical film"])


def origins(found: Findings) -> Figure:
    """Draw how often films were said to be real or synthetic, as sure as readers were."""
    return _bars(found.origins, ["surely\nreal", "2", "undecided", "4", "surely\nsynthetic"])


def approval(found: Findings) -> Figure:
    """Draw how often films of a label were approved, with intervals."""
    labels = sorted({one.label for one in found.labels}, reverse=True)
    figure, axis = _figure(4.8, 1.2 + 0.5 * len(labels))
    for kind, color, shift in (("real", REAL, 0.12), ("synthetic", SYNTHETIC, -0.12)):
        chosen = [one for one in found.labels if one.kind == kind]
        _with_intervals(axis, chosen, labels, color, shift, kind)
    axis.set_yticks(range(len(labels)), [_short(label) for label in labels])
    axis.set(xlim=(-3, 103), ylim=(-0.6, len(labels) - 0.4))
    axis.set_xlabel("% taken as legitimate")
    if found.labels:
        axis.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    return figure


def kappa(found: Findings) -> Figure:
    """Draw Cohen's κ of all pairs of readers, one matrix for each question."""
    names = [_short(one.name) for one in found.readers]
    side = 0.8 + 0.36 * max(4, len(names))
    figure = Figure(figsize=(3 * side + 0.6, side + 0.8), layout="constrained")
    for axis, one in zip(figure.subplots(1, 3, sharey=True), found.concords, strict=True):
        _matrix(axis, one, names)
    return figure


FIGURES: dict[str, Callable[[Findings], Figure]] = {
    "roc": roc,
    "origins": origins,
    "scores": scores,
    "approval": approval,
    "kappa": kappa,
}


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _bars(counts: tuple[tuple[int, ...], ...], answers: list[str]) -> Figure:
    """Draw how often each answer was given, in percent, for real and synthetic films."""
    figure, axis = _figure(4.8, 3.8)
    places = np.arange(1, 6)
    for shift, color, name, given in zip(
        (-0.2, 0.2), (REAL, SYNTHETIC), ("real", "synthetic"), counts, strict=True
    ):
        shares = np.array(given) / max(1, sum(given)) * 100
        bars = axis.bar(places + shift, shares, 0.38, color=color,
                        label=f"{name} ({sum(given)} readings)")  # fmt: skip
        axis.bar_label(bars, [f"{share:.0f}" for share in shares], fontsize=8, padding=1)
    axis.grid(visible=False, axis="x")
    axis.set_xticks(places, answers)
    axis.set_ylabel("% of readings")
    axis.margins(y=0.08)
    axis.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    return figure


def _with_intervals(
    axis: Axes, chosen: list[OfLabel], labels: list[str], color: str, shift: float, kind: str
) -> None:
    """Draw a point and its interval for each label."""
    for place, one in enumerate(chosen):
        estimate: Estimate = one.approved
        if estimate.value is None:
            continue
        height = labels.index(one.label) + shift
        if estimate.low is not None and estimate.high is not None:
            axis.plot([estimate.low * 100, estimate.high * 100], [height] * 2, color=color,
                      linewidth=1.6)  # fmt: skip
        axis.plot(estimate.value * 100, height, "os"[kind == "synthetic"], color=color,
                  label=None if place else kind)  # fmt: skip


def _matrix(axis: Axes, one: Concord, names: list[str]) -> None:
    values = np.array(
        [[np.nan if cell is None or cell.value is None else cell.value for cell in row]
         for row in one.pairs]
    ).reshape(len(names), len(names))  # fmt: skip
    edges = np.arange(len(names) + 1) - 0.5
    axis.pcolormesh(edges, edges, np.ma.masked_invalid(values), cmap="RdBu", vmin=-1, vmax=1)
    axis.set(aspect="equal", xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
    for row, column in zip(*np.nonzero(~np.isnan(values)), strict=True):
        value = values[row, column]
        axis.text(column, row, signed(float(value)), ha="center", va="center", fontsize=8,
                  color="white" if abs(value) > 0.6 else "black")  # fmt: skip
    axis.grid(visible=False)
    axis.set_title(f"{one.question}, weighted" if one.weighted else one.question, fontsize=9)
    axis.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    axis.set_yticks(range(len(names)), names, fontsize=8)


def _short(text: str) -> str:
    """Return a text that leaves room for the figure."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
