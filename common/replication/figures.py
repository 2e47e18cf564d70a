"""What the figures of all studies share: how they are written, and colours."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

COLOURS = ("#1f5fa8", "#c8501e", "#3a8a4d")


def save(figure: Figure, path: Path) -> None:
    """Write a PNG whose bytes depend on nothing but the figure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None}, facecolor="white")
    plt.close(figure)
