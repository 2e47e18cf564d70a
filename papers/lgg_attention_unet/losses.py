"""Segmentation losses of a whole batch, from logits; the source trains with the first."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from common.metrics.overlap import soft_dice
from papers.lgg_attention_unet.config import TrainConfig

Batch = Float[Array, "batch height width 1"]
Loss = Callable[[Batch, Batch], Float[Array, ""]]
MISSED, FALSE, FOCUS = 0.7, 0.3, 0.75  # Abraham & Khan 2019: alpha, beta, 1 / gamma = 3 / 4


def dice(logits: Batch, masks: Batch, smooth: float) -> Float[Array, ""]:
    """Return -Dice over all pixels of the batch together, in [-1, 0)."""
    return -soft_dice(jax.nn.sigmoid(logits), masks, smooth=smooth)


def bce_dice(logits: Batch, masks: Batch, smooth: float) -> Float[Array, ""]:
    """Return the mean cross-entropy of the pixels, in nats, minus the Dice of the batch."""
    entropy = optax.sigmoid_binary_cross_entropy(logits, masks).mean()
    return entropy + dice(logits, masks, smooth)


def focal_tversky(logits: Batch, masks: Batch, smooth: float) -> Float[Array, ""]:
    """Return (1 - TI)^0.75 of the batch, TI weighting missed pixels 0.7 and false ones 0.3.

    Abraham & Khan 2019, equations 2 to 4.
    """
    p = jax.nn.sigmoid(logits)
    both, missed, false = jnp.sum(p * masks), jnp.sum((1 - p) * masks), jnp.sum(p * (1 - masks))
    index = (both + smooth) / (both + MISSED * missed + FALSE * false + smooth)
    return jnp.maximum(1 - index, 1e-7) ** FOCUS  # its slope at zero is not finite


def make_loss(config: TrainConfig) -> Loss:
    """Return `loss(logits, masks)` as the config names it."""
    named = {"dice": dice, "bce_dice": bce_dice, "focal_tversky": focal_tversky}[config.loss]
    return lambda logits, masks: named(logits, masks, config.smooth)
