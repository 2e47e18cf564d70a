"""CycleGAN's history of generated images, image after image as the authors' code has it."""

import jax
import jax.numpy as jnp
import numpy as np

from papers.surgical_vision.recipes.pool import Pool, shown

SIDE = 2
show = jax.jit(shown)


def images(*numbers: float) -> jax.Array:
    """Return an image of each number."""
    return jnp.broadcast_to(
        jnp.array(numbers, float)[:, None, None, None], (len(numbers), SIDE, SIDE, 3)
    )


def numbers(of: jax.Array) -> list[float]:
    assert (of == of[:, :1, :1, :1]).all()  # whole images, never a mixture
    return of[:, 0, 0, 0].tolist()


def test_a_pool_is_filled_before_an_older_image_is_shown():
    pool = Pool.empty(5, SIDE)
    assert pool.images.shape == (5, SIDE, SIDE, 3)
    seen, pool = show(jax.random.key(0), pool, images(1, 2, 3))
    assert (numbers(seen), int(pool.filled)) == ([1, 2, 3], 3)
    assert numbers(pool.images) == [1, 2, 3, 0, 0]
    seen, pool = show(jax.random.key(1), pool, images(4, 5))
    assert (numbers(seen), numbers(pool.images), int(pool.filled)) == ([4, 5], [1, 2, 3, 4, 5], 5)


def test_a_full_pool_shows_new_and_older_images_and_keeps_what_it_does_not_show():
    pool, older, places, total = Pool.empty(4, SIDE), 0, set(), 0
    _, pool = show(jax.random.key(0), pool, images(1, 2, 3, 4))
    for step in range(100):
        new = [10.0 + 2 * step, 11.0 + 2 * step]
        known = [*numbers(pool.images), *new]
        before = pool.images
        seen, pool = show(jax.random.key(1 + step), pool, images(*new))
        assert sorted(numbers(seen) + numbers(pool.images)) == sorted(known)  # a swap, no copy
        older += sum(number not in new for number in numbers(seen))
        places |= set(np.flatnonzero((pool.images != before).any((1, 2, 3))).tolist())
        total += len(new)
    assert int(pool.filled) == 4
    assert places == {0, 1, 2, 3}
    assert 0.35 < older / total < 0.6  # half of the time, or less: the first may come out again


def test_what_is_shown_is_drawn_by_the_key_and_a_pool_of_none_shows_the_images():
    _, pool = show(jax.random.key(0), Pool.empty(4, SIDE), images(1, 2, 3, 4))
    new = images(*range(5, 13))
    seen = [numbers(show(jax.random.key(key), pool, new)[0]) for key in (1, 1, 2)]
    assert seen[0] == seen[1] != seen[2]
    same, empty = show(jax.random.key(1), Pool.empty(0, SIDE), new)
    assert numbers(same) == list(range(5, 13))
    assert empty.images.shape == (0, SIDE, SIDE, 3)
