"""The history of generated images that CycleGAN shows its discriminators (Shrivastava et al. 2017).

As the authors' `ImagePool`: until it is full every image is kept and shown; afterwards, half of the
time, an image takes the place of an older one, which is shown instead.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

Images = Float[Array, "batch height width 3"]


class Pool(NamedTuple):
    """The kept images, of which the first `filled` are there."""

    images: Float[Array, "pool height width 3"]
    filled: Int[Array, ""]

    @classmethod
    def empty(cls, size: int, side: int) -> Pool:
        """Return room for `size` images."""
        return cls(jnp.zeros((size, side, side, 3)), jnp.int32(0))


def shown(key: Key[Array, ""], pool: Pool, images: Images) -> tuple[Images, Pool]:
    """Return what the discriminator sees in place of the images, one after the other, and the pool.

    A pool of size 0 shows the images themselves.
    """
    size = pool.images.shape[0]
    if not size:
        return images, pool
    rows = []
    for one, image_key in zip(images, jax.random.split(key, images.shape[0]), strict=True):
        swap_key, place_key = jax.random.split(image_key)
        filling = pool.filled < size
        swapped = jax.random.bernoulli(swap_key)
        place = jnp.where(filling, pool.filled, jax.random.randint(place_key, (), 0, size))
        older = pool.images[place]
        rows.append(jnp.where(~filling & swapped, older, one))
        kept = pool.images.at[place].set(jnp.where(filling | swapped, one, older))
        pool = Pool(kept, jnp.minimum(pool.filled + 1, size))
    return jnp.stack(rows), pool
