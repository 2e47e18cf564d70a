from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from common.nn import predictor
from common.nn.conv import Conv
from common.nn.normalization import BatchNorm
from common.nn.predictor import Predictor, in_batches


class Net(nnx.Module):
    def __init__(self, features: int, rngs: nnx.Rngs):
        self.conv = Conv(1, features, 3, rngs=rngs)
        self.norm = BatchNorm(features, rngs=rngs)


def _apply(network, images):
    maps = network.norm(network.conv(images), train=False)
    return {"maps": maps, "means": (maps.mean((1, 2)), images.sum((1, 2, 3)))}


def _with_batch_mean(network, images):
    return images - images.mean(0, keepdims=True) + network.conv.bias[...].sum()


def _weighted(weights, rows):
    return rows @ weights["kernel"] + weights["bias"]


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(7, 4, 4, 1)).astype(np.float32)


def test_networks_of_one_architecture_share_one_program(images):
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        listener := lambda event, *_, **__: compiled.append(event)
    )
    try:
        predictor._run.clear_cache()
        first, second = (Net(3, nnx.Rngs(seed)) for seed in (0, 1))
        trained = Net(3, nnx.Rngs(2))
        mesh = jax.make_mesh((1,), ("batch",))
        graph, state = nnx.split(trained)  # as training leaves it: on a mesh
        replicated = jax.NamedSharding(mesh, jax.P())
        trained = nnx.merge(graph, jax.device_put(state, replicated))
        a = Predictor(first, _apply, 3)(images)
        assert [event for event in compiled if "backend_compile" in event]
        compiled.clear()
        b = Predictor(second, _apply, 3)(images)
        c = Predictor(trained, _apply, 3)(images)
        assert not [event for event in compiled if "backend_compile" in event]
        assert predictor._run._cache_size() == 1
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
    for network, result in ((first, a), (second, b), (trained, c)):
        np.testing.assert_allclose(result["maps"], _apply(network, images)["maps"], atol=1e-6)
    assert not np.allclose(a["maps"], b["maps"])
    Predictor(Net(4, nnx.Rngs(0)), _apply, 3)(images)
    assert predictor._run._cache_size() == 2


def test_weights_are_no_constants_of_the_program(images):
    network = Net(3, nnx.Rngs(0))
    network.conv.bias[...] = jnp.full(3, 1234.5678)
    graph, state = nnx.split(network)
    text = predictor._run.lower(graph, _apply, state, images).as_text()
    assert "1234." not in text
    assert "func" in text


def test_every_row_comes_back_in_the_pytree_of_apply(images):
    network = Net(3, nnx.Rngs(0))
    whole = _apply(network, images)
    for size in (1, 2, 7, 20):
        result = Predictor(network, _apply, size)(images)
        assert jax.tree.all(jax.tree.map(lambda leaf: isinstance(leaf, np.ndarray), result))
        jax.tree.map(partial(np.testing.assert_allclose, atol=1e-6), result, whole)
    assert isinstance(result["means"], tuple)


def test_the_last_batch_is_filled_up_with_zeros(images):
    network = Net(1, nnx.Rngs(0))
    result = Predictor(network, _with_batch_mean, 5)(images)
    assert result.shape == images.shape
    np.testing.assert_allclose(result[5:], images[5:] - images[5:].sum(0) / 5, atol=1e-6)


def test_no_rows_give_no_rows(images):
    result = Predictor(Net(3, nnx.Rngs(0)), _apply, 4)(images[:0])
    assert result["maps"].shape == (0, 4, 4, 3)
    assert result["means"][1].shape == (0,)


def test_weights_need_no_module():
    rows = np.eye(3, dtype=np.float32)
    weights = {"kernel": jnp.arange(6.0).reshape(3, 2), "bias": jnp.ones(2)}
    np.testing.assert_array_equal(Predictor(weights, _weighted, 2)(rows), weights["kernel"] + 1)


def test_a_plain_function_runs_in_batches_of_one_size():
    seen = []

    def run(batch):
        seen.append(batch.shape)
        return batch.sum((1, 2)) * 2

    rows = np.arange(7 * 2 * 3, dtype=np.float32).reshape(7, 2, 3)
    np.testing.assert_array_equal(in_batches(run, rows, 3), rows.sum((1, 2)) * 2)
    assert seen == [(3, 2, 3)] * 3
