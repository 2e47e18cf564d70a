"""Augmentation on the device: one affine map and one change of intensities a slice.

A point p = (column, row) of the new slice, in pixels from the middle, is read at A p + R t of the
old one, with

    A = R S diag(zoom_columns, zoom_rows),  R = [[cos r, -sin r], [sin r, cos r]],
    S = [[1, -sin s], [0, cos s]]

for a rotation r, a shear s and a shift t, bilinearly and with the nearest pixel's value outside:
Keras's ImageDataGenerator with rotation, shift, shear and zoom ranges, fill_mode "nearest" and its
interpolation of order 1, on square slices (of others it takes the middle of the wrong side).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from papers.lgg_attention_unet.config import TrainConfig

Images = Float[Array, "batch height width channels"]
Masks = Float[Array, "batch height width 1"]


def augment(key: Array, images: Images, masks: Masks, config: TrainConfig) -> tuple[Images, Masks]:
    """Return images and masks after the same random maps; masks stay 0 or 1, cut at one half.

    Images keep their range but for `intensity`, which multiplies every channel of a slice by its
    own gain and takes it to its own power.
    """
    where, look = jax.random.split(key)
    batch, height, width, _ = images.shape
    maps = random_maps(where, batch, height, width, config)
    both = sample(jnp.concatenate([images, masks], -1), *maps)
    images, masks = jnp.split(both, [images.shape[-1]], -1)
    if config.intensity:
        shape = (2, len(images), 1, 1, images.shape[-1])
        gain, power = jnp.exp(config.intensity * jax.random.uniform(look, shape, minval=-1.0))
        images = gain * jnp.maximum(images, 0) ** power
    return images, (masks >= 0.5).astype(masks.dtype)


def random_maps(
    key: Array, batch: int, height: int, width: int, config: TrainConfig
) -> tuple[Float[Array, "batch 2 2"], Float[Array, "batch 2"]]:
    """Return the map of every slice, drawn evenly from the ranges of the config."""
    draws = jax.random.uniform(key, (7, batch), minval=-1.0)
    mirror = jnp.where(draws[6] < 2 * config.flip - 1, -1.0, 1.0)
    return affine(
        jnp.radians(config.rotation_degrees * draws[0]),
        jnp.radians(config.shear_degrees * draws[1]),
        (1 + config.zoom * draws[2:4]) * jnp.stack([mirror, jnp.ones(batch)]),
        config.shift * draws[4:6] * jnp.array([[width], [height]]),
    )


def affine(
    rotation: Float[Array, " batch"],
    shear: Float[Array, " batch"],
    zoom: Float[Array, "2 batch"],
    shift: Float[Array, "2 batch"],
) -> tuple[Float[Array, "batch 2 2"], Float[Array, "batch 2"]]:
    """Return A and R t, rows first, of angles in radians, and zoom and shift, columns first."""
    cos, sin = jnp.cos(rotation), jnp.sin(rotation)
    turn = jnp.array([[cos, -sin], [sin, cos]])
    one, zero = jnp.ones_like(shear), jnp.zeros_like(shear)
    slant = jnp.array([[one, -jnp.sin(shear)], [zero, jnp.cos(shear)]])
    matrix = jnp.einsum("ijb,jkb,kb->bik", turn, slant, zoom)
    return matrix[:, ::-1, ::-1], jnp.einsum("ijb,jb->bi", turn, shift)[:, ::-1]


def sample(
    images: Images, matrix: Float[Array, "batch 2 2"], shift: Float[Array, "batch 2"]
) -> Images:
    """Return the images read at `matrix` p + `shift`, p = (row, column) from the middle."""
    batch, height, width, channels = images.shape
    rows = jnp.arange(height) - (height - 1) / 2
    columns = jnp.arange(width) - (width - 1) / 2
    points = jnp.stack(jnp.meshgrid(rows, columns, indexing="ij"), -1)
    points = jnp.einsum("bij,hwj->bhwi", matrix, points) + shift[:, None, None]
    size = jnp.array([height, width])
    points = jnp.clip(points + (size - 1) / 2, 0, size - 1)
    low = jnp.clip(jnp.floor(points).astype(jnp.int32), 0, jnp.maximum(size - 2, 0))
    part = (points - low)[..., None]
    flat = images.reshape(batch, height * width, channels)

    def at(down: int, right: int) -> Images:
        index = (low[..., 0] + down) * width + low[..., 1] + right
        taken = jnp.take_along_axis(flat, index.reshape(batch, -1, 1), axis=1)
        return taken.reshape(images.shape)

    upper = at(0, 0) * (1 - part[..., 1, :]) + at(0, 1) * part[..., 1, :]
    lower = at(1, 0) * (1 - part[..., 1, :]) + at(1, 1) * part[..., 1, :]
    return upper * (1 - part[..., 0, :]) + lower * part[..., 0, :]
