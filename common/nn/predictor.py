"""A trained network as a function of rows: one compiled program for all weights it may have."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import nnx

Apply = Callable[[Any, jax.Array], Any]  # (network, batch) -> arrays whose first axis is the batch


class Predictor:
    """A trained network as a function: rows of arrays in, rows of arrays out, a batch at a time.

    `network` is a module, or any pytree of weights; `apply(network, batch)` is a function of a
    module's top level, because the compiled program is kept by its identity. The weights are an
    argument of that program: all seeds and trainings of one architecture share it, and its entry
    in the persistent cache. They are put on this process's first device.
    """

    def __init__(self, network: Any, apply: Apply, batch_size: int):
        graph, state = nnx.split(network)
        self._state = jax.device_put(jax.tree.map(_copy_here, state), jax.local_devices()[0])
        self._graph, self._apply, self._batch_size = graph, apply, batch_size

    def __call__(self, rows: np.ndarray) -> Any:
        """Return what `apply` gives for all rows: its pytree, of NumPy arrays [rows, ...]."""
        run = partial(_run, self._graph, self._apply, self._state)
        return in_batches(run, rows, self._batch_size)


def _copy_here(weights: Any) -> Any:
    """Return this process's copy of weights that lie whole on every device of several processes."""
    several = isinstance(weights, jax.Array) and not weights.is_fully_addressable
    return weights.addressable_data(0) if several else weights


@partial(jax.jit, static_argnums=(0, 1))
def _run(graph: nnx.GraphDef, apply: Apply, state: Any, batch: jax.Array) -> Any:
    return apply(nnx.merge(graph, state), batch)


def in_batches(run: Callable[[np.ndarray], Any], rows: np.ndarray, size: int) -> Any:
    """Return `run` of all rows, `size` at a time: its pytree, of NumPy arrays [rows, ...].

    The last batch is filled up with zeros and cut again, so that one program is compiled.
    """
    outputs = []
    for start in range(0, max(len(rows), 1), size):
        batch = rows[start : start + size]
        filled = np.pad(batch, [(0, size - len(batch)), *[(0, 0)] * (rows.ndim - 1)])
        outputs.append(jax.tree.map(np.asarray, run(filled)))
    return jax.tree.map(lambda *parts: np.concatenate(parts)[: len(rows)], *outputs)
