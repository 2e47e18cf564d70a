"""2x2 max pooling that keeps which pixel was the largest, and its inverse.

SegNet's decoder (Badrinarayanan et al. 2017, section 3): every value goes back to the pixel that it
was the maximum of, all other pixels are 0. Both directions are masks over the windows, so that
neither they nor their gradients scatter.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int8

from common.errors import InputError

Images = Float[Array | np.ndarray, "batch height width channels"]
Pooled = Float[Array | np.ndarray, "batch rows columns channels"]
Switches = Int8[Array | np.ndarray, "batch rows columns channels"]
_CORNERS = np.arange(4, dtype=np.int8).reshape(1, 1, 2, 1, 2, 1)  # of a window, row by row


def max_pool_switches(
    x: Images,
) -> tuple[
    Float[Array, "batch height/2 width/2 channels"], Int8[Array, "batch height/2 width/2 channels"]
]:
    """Return each 2x2 window's maximum and its place in the window: 0 1 over 2 3.

    Of equal largest values the first is taken, and has the whole gradient. Matches PyTorch's
    `max_pool2d(x, 2, return_indices=True)`, whose indices count pixels of the image. Raises
    InputError where height or width is odd.
    """
    batch, height, width, channels = x.shape
    if height % 2 or width % 2:
        raise InputError(f"2x2 pooling of {height}x{width}: expected even height and width")
    windows = lax.stop_gradient(x).reshape(batch, height // 2, 2, width // 2, 2, channels)
    largest = (windows == windows.max((2, 4), keepdims=True)) | jnp.isnan(windows)
    switches = jnp.where(largest, _CORNERS, np.int8(3)).min((2, 4))
    return _chosen(x, switches), switches


def max_unpool(
    pooled: Pooled, switches: Switches
) -> Float[Array, "batch 2*rows 2*columns channels"]:
    """Return every value of `pooled` at its place in a 2x2 window of zeros.

    Matches PyTorch's `max_unpool2d(pooled, indices, 2)`.
    """
    batch, rows, columns, channels = pooled.shape
    spread = pooled[:, :, None, :, None]
    windows = jnp.where(switches[:, :, None, :, None] == _CORNERS, spread, jnp.zeros_like(spread))
    return windows.reshape(batch, 2 * rows, 2 * columns, channels)


def _chosen(x: Images, switches: Switches) -> jax.Array:
    """Return of each window the value at its switch; its gradient is `max_unpool`."""
    batch, rows, columns, channels = switches.shape
    windows = x.reshape(batch, rows, 2, columns, 2, channels)
    mask = switches[:, :, None, :, None] == _CORNERS
    return jnp.where(mask, windows, jnp.zeros_like(windows)).sum((2, 4))
