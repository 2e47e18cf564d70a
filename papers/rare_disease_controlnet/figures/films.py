"""Sheets of films, from `samples.npz` of a results folder: only where they may be shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from common.results.figures import COLORS, title
from common.results.tables import over_seeds, text

Samples = dict[str, np.ndarray]
Seeds = dict[str, dict[str, Any]]
CELL = 1.3  # inches, of a film
_NARROWEST = 7.4  # inches: what a title needs
_MOST = 80  # of 255: the change that has the full color
_KEPT = (
    ("drawn_finding", "finding", "with ControlNet"),
    ("drawn_strength_0", "strength_0", "ControlNet at 0"),
    ("drawn_uncontrolled", "uncontrolled", "without ControlNet"),
)


def by_finding(samples: Samples, classes: Sequence[str], rare: str, note: str) -> Figure:
    """Return test films and synthetic ones of every class, side by side.

    Films are named by the extent of their finding where it is known, in percent of the largest.
    """
    count = max(len(samples[f"{kind}_{name}"]) for kind in ("real", "synthetic")
                for name in classes)  # fmt: skip
    figure, axes = _grid(len(classes), 2 * count + 1, [*[1] * count, 0.15, *[1] * count])
    for row, name in zip(axes, classes, strict=True):
        for kind, first in (("real", 0), ("synthetic", count + 1)):
            films, extents = samples[f"{kind}_{name}"], samples.get(f"{kind}_extents_{name}")
            for i, film in enumerate(films):
                _show(row[first + i], film)
                if extents is not None and np.isfinite(extents[i]):
                    _inscribed(row[first + i], f"{extents[i]:.0%}")
        called = f"{name}\n(rare)" if name == rare else name
        row[0].set_ylabel(called, fontsize=8)
        for axis in row:
            _bare(axis)
    for first, head in ((0, "real test films"), (count + 1, "synthetic films, as drawn")):
        axes[0, first].set_title(head, fontsize=8, loc="left")
    title(figure, f"Films by finding; a number is the finding's extent, where known\n{note}")
    return figure


def lesions(samples: Samples, rare: str, note: str) -> Figure:
    """Return structures, their edges, and the films drawn on them without and with the finding."""
    structures, normal, finding = (
        samples[name] for name in ("structures", "drawn_normal", "drawn_finding")
    )
    heads = ("structure", "its edges", "no finding", rare, "change")
    figure, axes = _grid(len(structures), len(heads))
    for i, row in enumerate(axes):
        change = finding[i].astype(float) - normal[i]
        for axis, film in zip(
            row, (structures[i], samples["edges"][i], normal[i], finding[i]), strict=False
        ):
            _show(axis, film)
        row[4].imshow(change, cmap="RdBu_r", vmin=-_MOST, vmax=_MOST, interpolation="nearest")
        _bare(row[4])
        if "drawn_sides" in samples:
            row[0].set_ylabel(f"asked: {samples['drawn_sides'][i] or 'any side'}", fontsize=7)
    _heads(axes[0], heads)
    title(
        figure,
        f"From a real film to its edges to a film with {rare}; change: red is brighter, blue is "
        f"darker than without. The patient's left is on the right\n{note}",
    )
    return figure


def control(samples: Samples, seeds: Seeds, note: str) -> Figure:
    """Return films drawn with, without and with an unheeded ControlNet under the asked edges."""
    heads = ["structure", "its edges"]
    for _, key, called in _KEPT:
        heads.append(f"{called}\n{_mean(seeds, f'engine.edges.{key}')} kept")
    figure, axes = _grid(len(samples["structures"]), len(heads))
    paint = ListedColormap([COLORS[1]])
    for i, row in enumerate(axes):
        edges = samples["edges"][i]
        _show(row[0], samples["structures"][i])
        _show(row[1], edges)
        for axis, (name, _, _) in zip(row[2:], _KEPT, strict=True):
            _show(axis, samples[name][i])
            axis.imshow(np.ma.masked_equal(edges, 0), cmap=paint, alpha=0.55,
                        interpolation="nearest")  # fmt: skip
    _heads(axes[0], heads)
    other = _mean(seeds, "engine.edges.of_others")
    title(
        figure,
        "The same prompt and seed with and without ControlNet, under the structure's edges "
        f"(orange); the share of them that is found again ({other} in films drawn on other "
        f"structures)\n{note}",
    )
    return figure


def denoising(samples: Samples, note: str) -> Figure:
    """Return what the engine takes a film for on the way from noise."""
    films = samples["denoising"]
    figure, axes = _grid(1, len(films))
    for axis, film in zip(axes[0], films, strict=True):
        _show(axis, film)
    _heads(axes[0], ["first steps", *[""] * (len(films) - 2), "film"][-len(films) :])
    title(figure, f"From noise to a film: its estimate after every few steps\n{note}")
    return figure


def scales(samples: Samples, note: str) -> Figure:
    """Return one film by guidance (rows) and by strength of the ControlNet (columns)."""
    films = samples["grid"]
    figure, axes = _grid(*films.shape[:2])
    for row, line, scale in zip(axes, films, samples["grid_guidance"], strict=True):
        for axis, film in zip(row, line, strict=True):
            _show(axis, film)
        row[0].set_ylabel(f"guidance {scale:g}", fontsize=7)
    _heads(axes[0], [f"control {strength:g}" for strength in samples["grid_control"]])
    title(figure, f"One prompt, structure and seed by guidance and control strength\n{note}")
    return figure


def severity(samples: Samples, rare: str, note: str) -> Figure:
    """Return one structure with the rare finding of growing extent, on either side."""
    films, extents = samples["severity"], samples["severity_extents"]
    figure, axes = _grid(*films.shape[:2])
    for row, line, side in zip(axes, films, samples["severity_sides"], strict=True):
        for axis, film in zip(row, line, strict=True):
            _show(axis, film)
        row[0].set_ylabel(f"{side}", fontsize=7)
    _heads(axes[0], [f"extent {extent:.0%}" for extent in extents])
    title(
        figure,
        f"{rare.capitalize()} as asked for by side and extent, one structure and seed. The "
        f"patient's left is on the right\n{note}",
    )
    return figure


def nearest(samples: Samples, seeds: Seeds, note: str) -> Figure:
    """Return the synthetic films nearest to a training film, over those films."""
    distances = samples["nearest_distance"]
    figure, axes = _grid(2, len(distances))
    for column, distance in enumerate(distances):
        for row, key in enumerate(("nearest_generated", "nearest_training")):
            _show(axes[row, column], samples[key][column].squeeze(-1))
        axes[0, column].set_title(f"{distance:.1f}", fontsize=8)
    for axis, called in zip(axes[:, 0], ("synthetic", "nearest\ntraining film"), strict=True):
        axis.set_ylabel(called, fontsize=8)
    median, other = (
        _mean(seeds, f"engine.memorization.{kind}_median", 3) for kind in ("generated", "heldout")
    )
    title(
        figure,
        "The synthetic films that come nearest to a training film, and how near: root mean square "
        f"of 255. Median of all synthetic films {median}, of other patients' films {other}\n{note}",
    )
    return figure


def _mean(seeds: Seeds, path: str, digits: int = 2) -> str:
    return text(over_seeds(seeds, path), digits)


def _grid(
    rows: int, columns: int, widths: Sequence[float | int] | None = None
) -> tuple[Figure, np.ndarray]:
    across = sum(widths) if widths is not None else columns
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(max(CELL * across + 0.6, _NARROWEST), CELL * rows + 0.85),
        gridspec_kw={"width_ratios": widths},
        squeeze=False,
        layout=ConstrainedLayoutEngine(w_pad=0.015, h_pad=0.015, wspace=0, hspace=0, compress=True),
    )
    return figure, axes


def _heads(axes: np.ndarray, heads: Sequence[str]) -> None:
    for axis, head in zip(axes, heads, strict=True):
        axis.set_title(head, fontsize=8)


def _inscribed(axis: Axes, words: str) -> None:
    axis.text(
        0.04, 0.05, words, fontsize=6, color="w", transform=axis.transAxes,
        bbox={"color": "k", "alpha": 0.6, "pad": 1, "lw": 0},
    )  # fmt: skip


def _show(axis: Axes, film: np.ndarray) -> None:
    axis.imshow(film, cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
    _bare(axis)


def _bare(axis: Axes) -> None:
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)
