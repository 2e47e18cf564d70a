"""Memorization: how close generated images come to images that a model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from common.errors import InputError
from common.metrics.checks import check_finite

AnyArray = jax.Array | np.ndarray
_CANDIDATES = 8  # of the fast search, measured again exactly
_BLOCK = 256  # queries at a time


@dataclass(frozen=True)
class Neighbors:
    """The nearest reference of each query: its index and its root mean square difference."""

    index: Int[np.ndarray, " queries"]
    distance: Float[np.ndarray, " queries"]


def nearest_neighbors(
    queries: Float[AnyArray, "queries ..."], references: Float[AnyArray, "references ..."]
) -> Neighbors:
    """Return the nearest reference of each query by root mean square difference.

    Images [n height width channels] give the distance in pixel space, in the images' unit;
    vectors [n features] the distance in feature space: Euclidean over the root of their width.
    Candidates are found by a matrix product in float32 and measured again in float64, so that the
    distance of a copy is 0 exactly; of equal ones the first is named. Raises InputError for NaN,
    sizes that differ, or an empty set.
    """
    _check(queries, references)
    x = np.asarray(queries, np.float32).reshape(len(queries), -1)
    y = np.asarray(references, np.float32).reshape(len(references), -1)
    center = y.mean(0)  # distances stay, and the product loses less to rounding
    targets = jnp.asarray(y - center)
    index, distance = np.empty(len(x), np.int64), np.empty(len(x))
    for start in range(0, len(x), _BLOCK):
        block = x[start : start + _BLOCK]
        padded = np.pad(block - center, ((0, _BLOCK - len(block)), (0, 0)))
        found = np.asarray(nearest_candidates(padded, targets, min(_CANDIDATES, len(y))))
        for row, query in enumerate(block):
            candidates = np.sort(found[row])
            exact = np.sqrt(np.mean((query - y[candidates].astype(np.float64)) ** 2, 1))
            best = exact.argmin()
            index[start + row], distance[start + row] = candidates[best], exact[best]
    return Neighbors(index, distance)


@partial(jax.jit, static_argnums=2)
def nearest_candidates(
    queries: Float[AnyArray, "queries values"],
    references: Float[AnyArray, "references values"],
    count: int,
) -> Int[Array, "queries {count}"]:
    """Return the indices of the `count` references nearest to each query, in float32; pure."""
    product = jnp.matmul(queries, references.T, precision="highest")
    closeness = 2 * product - (references**2).sum(1)
    return jax.lax.top_k(closeness, count)[1]


def _check(queries: AnyArray, references: AnyArray) -> None:
    if queries.shape[1:] != references.shape[1:]:
        raise InputError(
            f"queries of shape {queries.shape[1:]}, references of {references.shape[1:]}: "
            "expected one shape"
        )
    for name, items in (("queries", queries), ("references", references)):
        if not len(items):
            raise InputError(f"{name}: 0 given, at least 1 needed")
        check_finite(items, name)
