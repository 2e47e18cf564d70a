"""Augmentation on the device: one affine map and one change of intensities a slice.

The maps are those of `common.nn.affine`, and so of Keras's ImageDataGenerator.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from common.nn.affine import affine, sample
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
