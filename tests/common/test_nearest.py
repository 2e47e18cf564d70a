"""Outputs nearest to their own input, by LPIPS of every pair from one pass of each image."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from common.errors import InputError
from common.metrics.lpips import lpips
from common.metrics.nearest import lpips_vectors, nearest_is_own, pairwise_lpips
from common.pretrained.perceptual import perceptual_network
from tests.golden.seeded_lpips import seeded_lpips

A = np.random.default_rng(0).random((3, 32, 40, 3)).astype(np.float32)
B = np.random.default_rng(1).random((5, 32, 40, 3)).astype(np.float32)


@pytest.fixture(scope="module", params=["alex", "vgg"])
def network(request):
    return perceptual_network(request.param, seeded_lpips(request.param))


def test_every_pair_has_its_lpips(network):
    vectors = [lpips_vectors(network, images, batch_size=4) for images in (A, B)]
    found = pairwise_lpips(*vectors)
    pairs = [np.repeat(A, len(B), 0), np.tile(B, (len(A), 1, 1, 1))]
    expected = np.asarray(jax.jit(lpips)(network, *pairs)).reshape(len(A), len(B))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert expected.std() > 1e-3  # they differ by more than that
    np.testing.assert_allclose(np.diag(pairwise_lpips(vectors[0], vectors[0])), 0, atol=1e-9)


def test_nearest_is_own_where_it_is():
    distances = np.array([[0.1, 0.3, 0.2], [0.5, 0.4, 0.3], [0.2, 0.7, 0.2]])
    assert nearest_is_own(distances).tolist() == [True, False, False]  # a tie is no
    assert nearest_is_own(distances[:1]).tolist() == [True]
    alike = np.tile([[0.3, 0.1, 0.2]], (3, 1))
    assert nearest_is_own(alike).tolist() == [False, True, False]
    assert nearest_is_own(np.zeros((2, 2))).sum() == 0
    assert distances[0, 0] == 0.1  # what is given stays as it is


def test_outputs_near_their_inputs_are_their_own():
    network = perceptual_network("alex", seeded_lpips("alex"))
    noisy = (B + np.random.default_rng(2).normal(0, 0.05, B.shape)).clip(0, 1).astype(np.float32)
    inputs, outputs = (lpips_vectors(network, images, batch_size=5) for images in (B, noisy))
    assert nearest_is_own(pairwise_lpips(outputs, inputs)).all()
    assert not nearest_is_own(pairwise_lpips(outputs[[1, 2, 3, 4, 0]], inputs)).any()


def test_bad_input_is_one_error():
    network = perceptual_network("alex", seeded_lpips("alex"))
    for images, message in (
        (A * 255, "divide by 255"),
        (A[:, :30], "30x40, expected at least 31x31 for alex"),
        (A[..., :2], "2 channels, expected 1 or 3"),
        (A[:0], "0 given"),
    ):
        with pytest.raises(InputError, match=message):
            lpips_vectors(network, images)
    spoiled = replace(network, heads=(-network.heads[0], *network.heads[1:]))
    with pytest.raises(InputError, match="alex network: weights below 0"):
        lpips_vectors(spoiled, A)
    with pytest.raises(InputError, match=r"distances \(1, 1\)"):
        nearest_is_own(np.zeros((1, 1)))
    with pytest.raises(InputError, match=r"distances \(3, 2\)"):
        nearest_is_own(np.zeros((3, 2)))
    with pytest.raises(InputError, match="distances: NaN"):
        nearest_is_own(np.full((2, 2), np.nan))
