"""What the figures of all studies share: how they are written, and colors."""

import functools
import io
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Bool, Int
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogFormatter

from common.files import write_atomic
from common.text import visible

matplotlib.rcdefaults()  # whatever the user's matplotlibrc says

COLORS = ("#1f5fa8", "#c8501e", "#3a8a4d")


def title(figure: Figure, text: str) -> None:
    """Set the title of a whole figure, broken into lines that fit its width."""
    letters = int(figure.get_figwidth() * 15)  # of 8 points to the inch, about
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, letters)]
    figure.suptitle("\n".join(lines), fontsize=8)


def image_axes(count: int, ratio: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with axes for images, four in a row; `ratio` is their height to width."""
    columns = min(4, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(2.4 * columns, (min(2.4 * ratio, 10.0) + 0.25) * rows + 0.4),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    return figure, list(axes.flat[:count])


def spread_out(marked: Bool[np.ndarray, " n"], most: int) -> Int[np.ndarray, " shown"]:
    """Return positions, at most so many and evenly spread, among the marked, or among all."""
    among = np.flatnonzero(marked) if marked.any() else np.arange(len(marked))
    places = np.linspace(0, len(among) - 1, min(most, len(among)))
    return among[np.rint(places).astype(int)]


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    write_atomic(path, png(figure))


def png(figure: Figure) -> bytes:
    """Return a figure, and close it, as a PNG whose bytes depend on nothing but the figure."""
    content = io.BytesIO()
    _take_literally(figure)
    figure.savefig(content, format="png", dpi=110, metadata={"Software": None}, facecolor="white")
    plt.close(figure)
    return content.getvalue()


def _take_literally(figure: Figure) -> None:
    """Have texts drawn as they are written: a $ in a file's name begins no formula.

    Powers beside an axis of logarithms are formulas.
    """
    axes = [axis for one in figure.axes for axis in (one.xaxis, one.yaxis)]
    powers: set[Artist] = set()
    for axis in axes:
        formatter = axis.get_major_formatter()
        if isinstance(formatter, LogFormatter):
            powers |= set(axis.findobj(Text)) - {axis.label}
        if isinstance(formatter, FuncFormatter):  # of names at ticks, which it sets again
            formatter.func = functools.partial(_shown, formatter.func)
    for text in figure.findobj(Text):
        if text not in powers:
            text.set_parse_math(False)
            text.set_text(visible(text.get_text(), "\n"))


def _shown(name_at: Callable[..., str], *place: Any) -> str:
    return visible(name_at(*place), "\n")
