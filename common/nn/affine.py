"""Images read through affine maps, on the device.

A point p = (column, row) of the new image, in pixels from the middle, is read at A p + R t of the
old one, with

    A = R S diag(zoom_columns, zoom_rows),  R = [[cos r, -sin r], [sin r, cos r]],
    S = [[1, -sin s], [0, cos s]]

for a rotation r, a shear s and a shift t, bilinearly and with the nearest pixel's value outside:
Keras's ImageDataGenerator with rotation, shift, shear and zoom ranges, fill_mode "nearest" and its
interpolation of order 1, on square images (of others it takes the middle of the wrong side).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

Images = Float[Array, "batch height width channels"]


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
