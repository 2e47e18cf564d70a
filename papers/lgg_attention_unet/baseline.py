"""What a network must beat: one threshold on FLAIR, the best for the training patients."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32

from common.data.kaggle_lgg import FLAIR
from papers.lgg_attention_unet.data import Part, scale
from papers.lgg_attention_unet.datasets import Stack

THRESHOLDS = np.linspace(0.2, 1.5, 131, dtype=np.float32)  # where the head's median is 0.4


def fit_threshold(
    part: Part,
) -> Callable[[Stack], Float32[np.ndarray, "slices height width"]]:
    """Return a function that marks, with 1, what is brighter than the best threshold.

    The best has the highest mean Dice of whole volumes over the part's patients with tumor;
    brightness is counted in that of each patient's head.
    """
    curves = [_dice(one) for one in part.stacks if one.masks.any()]
    best = THRESHOLDS[int(np.mean(curves, axis=0).argmax())]
    return lambda stack: (_brightness(stack) > best).astype(np.float32)


def _brightness(stack: Stack) -> Float32[np.ndarray, "slices height width"]:
    return stack.images[..., FLAIR] * scale(stack, "volume")[FLAIR]


def _dice(stack: Stack) -> np.ndarray:
    """Return a patient's Dice at every threshold."""
    brightness = _brightness(stack)
    edges = [*THRESHOLDS, np.inf]

    def above(values: np.ndarray) -> np.ndarray:
        return np.histogram(values, edges)[0][::-1].cumsum()[::-1]

    tumor = above(brightness[stack.masks])
    return 2 * tumor / (above(brightness) + stack.masks.sum())
