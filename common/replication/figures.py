"""What the figures of all studies share: how they are written, and colours."""

import io
import textwrap
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from common.files import write_atomic

COLOURS = ("#1f5fa8", "#c8501e", "#3a8a4d")


def title(figure: Figure, text: str) -> None:
    """Set the title of a whole figure, broken into lines that fit its width."""
    letters = int(figure.get_figwidth() * 15)  # of 8 points to the inch, about
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, letters)]
    figure.suptitle("\n".join(lines), fontsize=8)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    write_atomic(path, png(figure))


def png(figure: Figure) -> bytes:
    """Return a figure, and close it, as a PNG whose bytes depend on nothing but the figure."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110, metadata={"Software": None}, facecolor="white")
    plt.close(figure)
    return content.getvalue()
