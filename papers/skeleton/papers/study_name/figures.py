"""The study's figures, from `metrics.json` and `samples.npz` of a results folder."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from common.results.figures import COLORS, image_axes, title


def learning(seeds: dict[str, dict[str, Any]], note: str) -> Figure:
    """Return training and validation loss of every seed."""
    figure, axis = plt.subplots(figsize=(6, 3.2), layout="constrained")
    for seed, metrics in seeds.items():
        curve = metrics["training"]
        label = ("training", "validation") if seed == min(seeds) else (None, None)
        axis.plot(curve["step"], curve["loss"], color=COLORS[0], alpha=0.5, lw=0.8, label=label[0])
        at = curve["validation_step"]
        axis.plot(at, curve["validation_loss"], color=COLORS[1], label=label[1])
    axis.set(xlabel="step", ylabel="loss")
    axis.legend(fontsize=8, frameon=False)
    title(figure, note)
    return figure


def cases(samples: dict[str, np.ndarray], note: str) -> Figure:
    """Return test images with the probability of a spot above each."""
    images = samples["images"]
    figure, axes = image_axes(len(images), 1.0)
    for axis, image, score in zip(axes, images, samples["scores"], strict=True):
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
        axis.set(xticks=[], yticks=[])
        axis.set_title(f"{score:.2f}", fontsize=8)
    title(figure, f"Test images, and how probable the network finds a spot\n{note}")
    return figure
