"""Nearest neighbors of feature vectors keep the laws of a distance."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from common.metrics.memorization import nearest_neighbors

seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=15, deadline=None, derandomize=True)
FEATURES = 12


def features(seed, n):
    random = np.random.default_rng(seed)
    return (random.normal(0, random.uniform(0.1, 10), (n, FEATURES)) + 3).astype(np.float32)


@few
@given(seeds)
def test_the_distance_is_euclidean_over_the_root_of_the_width(seed):
    x, y = features(seed, 5), features(seed + 1, 30)
    found = nearest_neighbors(x, y)
    apart = np.linalg.norm(x[:, None].astype(np.float64) - y, axis=-1)
    np.testing.assert_allclose(found.distance * FEATURES**0.5, apart.min(1), rtol=1e-12)
    np.testing.assert_array_equal(found.index, apart.argmin(1))


@few
@given(seeds)
def test_every_vector_is_its_own_neighbor_at_distance_zero(seed):
    x = features(seed, 30)
    found = nearest_neighbors(x, x)
    assert found.index.tolist() == list(range(30))
    assert not found.distance.any()


@few
@given(seeds)
def test_the_order_of_either_set_does_not_matter(seed):
    x, y = features(seed, 5), features(seed + 1, 30)
    random = np.random.default_rng(seed)
    rows, columns = random.permutation(5), random.permutation(30)
    found, again = nearest_neighbors(x, y), nearest_neighbors(x[rows], y[columns])
    np.testing.assert_array_equal(columns[again.index], found.index[rows])
    np.testing.assert_array_equal(again.distance, found.distance[rows])


@few
@given(seeds)
def test_the_nearest_of_two_sets_is_the_nearer_of_both(seed):
    x, y, z = features(seed, 5), features(seed + 1, 15), features(seed + 2, 15)
    both = nearest_neighbors(x, np.concatenate((y, z)))
    parts = [nearest_neighbors(x, part).distance for part in (y, z)]
    np.testing.assert_array_equal(both.distance, np.minimum(*parts))


@few
@given(seeds)
def test_unit_vectors_are_ranked_by_cosine(seed):
    x, y = (
        z / np.linalg.norm(z, axis=1, keepdims=True) for z in (features(seed, 5), features(7, 30))
    )
    found = nearest_neighbors(x, y)
    cosine = (x.astype(np.float64) @ y.T.astype(np.float64)).max(1)
    np.testing.assert_allclose(found.distance**2 * FEATURES, 2 - 2 * cosine, atol=1e-6)


def test_more_copies_than_candidates_are_named_by_the_first():
    y = features(0, 200)
    y[100:140] = y[7]
    found = nearest_neighbors(y[[7, 120, 3]], y)
    assert found.index.tolist() == [7, 7, 3]
    assert not found.distance.any()
