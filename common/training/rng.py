"""One rule for random numbers: a root key from the seed, named streams, folded with the step."""

import zlib
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Integer, Key


@dataclass(frozen=True)
class Streams:
    """The independent random streams of one seed (0 to 2^32 - 1).

    A key is a pure function of (seed, name, step), so nothing of it is kept in a checkpoint.
    Raises ValueError for a seed that 32 bits cannot hold: JAX would cut it without a word.
    """

    seed: int

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed {self.seed} is not in 0 … 2^32 - 1")

    def key(
        self, name: str, step: int | np.integer | Integer[Array, ""] | None = None
    ) -> Key[Array, ""]:
        """Return the key of the stream `name`, or of its `step`, which a jitted step may trace."""
        key = jax.random.fold_in(jax.random.key(self.seed), zlib.crc32(name.encode()))
        return key if step is None else jax.random.fold_in(key, step)
