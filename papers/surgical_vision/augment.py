"""Augmentation inside of the step: rotation, flip and brightness, the same for both of a pair."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, UInt8

from papers.surgical_vision.config import AugmentConfig

Images = Float[Array, "batch height width 3"]  # [-1, 1]


def augmented(
    key: Key[Array, ""], config: AugmentConfig, *images: UInt8[Array, "batch height width 3"]
) -> tuple[Images, ...]:
    """Return the images, [-1, 1], each row drawn for: row i of all of them changes alike."""
    angle_key, flip_key, light_key = jax.random.split(key, 3)
    batch = images[0].shape[0]
    angles = jax.random.uniform(angle_key, (batch,), minval=-1, maxval=1)
    angles = jnp.deg2rad(config.rotation) * angles
    flipped = jax.random.bernoulli(flip_key, 0.5, (batch, 1, 1, 1))
    factor = jax.random.uniform(light_key, (batch, 1, 1, 1), minval=-1, maxval=1)
    factor = 1 + config.brightness * factor

    def changed(image: Array) -> Array:
        x = image.astype(jnp.float32) / 255
        if config.rotation:
            x = jax.vmap(_rotated)(x, angles)
        if config.flip:
            x = jnp.where(flipped, x[:, :, ::-1], x)
        return 2 * jnp.clip(factor * x, 0, 1) - 1

    return tuple(changed(image) for image in images)


def _rotated(image: Float[Array, "height width 3"], angle: Float[Array, ""]) -> Array:
    """Return the image turned about its middle, bilinear; its edge goes on outside of it."""
    height, width, _ = image.shape
    rows, columns = jnp.arange(height) - (height - 1) / 2, jnp.arange(width) - (width - 1) / 2
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    y = cosine * rows[:, None] - sine * columns[None] + (height - 1) / 2
    x = sine * rows[:, None] + cosine * columns[None] + (width - 1) / 2
    y, x = jnp.clip(y, 0, height - 1), jnp.clip(x, 0, width - 1)
    top, left = jnp.floor(y).astype(int), jnp.floor(x).astype(int)
    down, right = (y - top)[..., None], (x - left)[..., None]
    bottom, far = jnp.minimum(top + 1, height - 1), jnp.minimum(left + 1, width - 1)
    above = (1 - right) * image[top, left] + right * image[top, far]
    below = (1 - right) * image[bottom, left] + right * image[bottom, far]
    return (1 - down) * above + down * below
