"""Both networks against PyTorch; tests/golden/make_ultrasound_nets.py recorded it."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from common.errors import InputError
from papers.ultrasound_diconvae.config import DenoiserConfig, SegmenterConfig
from papers.ultrasound_diconvae.models.convert import from_torch, torch_name
from papers.ultrasound_diconvae.models.denoiser import DiConvAE, _dropped
from papers.ultrasound_diconvae.models.segnet import SegNet
from tests.golden.seeded_weights import seeded_weights

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "ultrasound_nets.npz")
IMAGES = jnp.asarray(GOLDEN["images"])
DENOISER = DenoiserConfig(filters=(6, 5, 4, 8), dilations=(1, 2, 3, 2), pooled=2, dropout=0.0)
SEGMENTER = SegmenterConfig(filters=(4, 6, 8), convolutions=(2, 1, 3))
BUILD = {
    "denoiser": lambda: DiConvAE(DENOISER, rngs=nnx.Rngs(0)),
    "segmenter": lambda: SegNet(SEGMENTER, 4, rngs=nnx.Rngs(0)),
}


def count(build) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(nnx.eval_shape(build), nnx.Param)))


@cache
def weights(name: str) -> dict[str, np.ndarray]:
    found = seeded_weights(json.loads(str(GOLDEN[f"{name}/shapes"])))
    return {k: 0.2 + abs(v) if k.endswith("running_var") else v for k, v in found.items()}


@cache
def parts(name: str):
    """Return graph, parameters and statistics with the recorded weights."""
    network = nnx.eval_shape(BUILD[name])
    graph, state = nnx.graphdef(network), from_torch(network, weights(name))
    return nnx.split(nnx.merge(graph, state), nnx.Param, nnx.BatchStat)


def error(ours, theirs) -> float:
    """The largest difference, against the range of their values."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / np.ptp(theirs))


def test_segnet_has_as_many_parameters_as_the_published_one():
    # CamVid: color, 11 classes; as float32 that is the model of 117 MB in the paper's Table 6
    published = count(lambda: SegNet(SegmenterConfig(), 11, 3, rngs=nnx.Rngs(0)))
    assert published == GOLDEN["segnet_parameters"] == 29_449_355
    assert 4 * published // 10**6 == 117


def test_denoiser_has_as_many_parameters_as_its_layers_say():
    assert count(lambda: DiConvAE(DenoiserConfig(), rngs=nnx.Rngs(0))) == 820_289
    assert GOLDEN["denoiser_parameters"] == 820_289
    small = DenoiserConfig(filters=(8, 12), dilations=(1, 1), pooled=0)
    kernels = 9 * (8 + 8 * 12 + 12 * 8 + 8)
    assert count(lambda: DiConvAE(small, rngs=nnx.Rngs(0))) == kernels + 29 + 2 * 28


@pytest.mark.parametrize("name", BUILD)
def test_inference_equals_pytorch_and_moves_no_statistic(name):
    graph, params, stats = parts(name)

    @jax.jit
    def predict(params, stats):
        network = nnx.merge(graph, params, stats)
        return network(IMAGES), nnx.state(network, nnx.BatchStat)

    output, after = predict(params, stats)
    assert error(output, GOLDEN[f"{name}/output"]) < 1e-5
    jax.tree.map(np.testing.assert_array_equal, stats, after)


@pytest.mark.parametrize("name", BUILD)
def test_training_mode_and_moved_statistics_equal_pytorch(name):
    graph, params, stats = parts(name)

    @jax.jit
    def forward(params, stats):
        network = nnx.merge(graph, params, stats)
        return network(IMAGES, train=True), nnx.state(network, nnx.BatchStat)

    output, moved = forward(params, stats)
    assert error(output, GOLDEN[f"{name}/train_output"]) < 1e-4
    for path, statistic in nnx.to_flat_state(moved):
        theirs = GOLDEN[f"{name}/moved/{torch_name(path)}"]
        if path[-1] == "var":  # theirs moves by the unbiased variance, ours by the biased one
            continue
        assert error(statistic[...], theirs) < 1e-5


@jax.jit
def _step(state, images, clean, key):
    """One step of Adam of a tiny denoiser, with dropout."""
    graph, params, stats, moments = state

    def objective(params):
        network = nnx.merge(graph, params, stats)
        loss = jnp.mean(jnp.abs(network(images, train=True, key=key) - clean))
        return loss, nnx.state(network, nnx.BatchStat)

    (loss, stats), slopes = jax.value_and_grad(objective, has_aux=True)(params)
    updates, moments = optax.adam(1e-2).update(slopes, moments)
    return (graph, optax.apply_updates(params, updates), stats, moments), loss


def fresh_state(config):
    network = jax.jit(lambda: DiConvAE(config, rngs=nnx.Rngs(0)))()
    graph, params, stats = nnx.split(network, nnx.Param, nnx.BatchStat)
    return graph, params, stats, optax.adam(1e-2).init(params)


def test_step_moves_parameters_and_statistics_and_its_key_alone_decides_what_drops():
    state = first = fresh_state(replace(DENOISER, dropout=0.3))
    clean = IMAGES.round()
    keys = jax.random.split(jax.random.key(1), 12)
    losses = []
    for key in keys:
        state, loss = _step(state, IMAGES, clean, key)
        losses.append(float(loss))
    assert losses[-1] < losses[0]
    for old, new in zip(first[1:3], state[1:3], strict=True):
        pairs = zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True)
        assert not any(np.array_equal(a, b) for a, b in pairs)
    again = _step(first, IMAGES, clean, keys[0])
    assert float(again[1]) == losses[0]
    assert float(_step(first, IMAGES, clean, keys[1])[1]) != losses[0]


def test_dropout_drops_its_part_and_scales_up_the_rest():
    config = DenoiserConfig(filters=(8,), dilations=(1,), pooled=0, dropout=0.25)
    network = nnx.eval_shape(lambda: DiConvAE(config, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="needs a key"):
        jax.eval_shape(lambda n: n(IMAGES, train=True), network)
    ones = jax.jit(_dropped, static_argnums=1)(jnp.ones((64, 64)), 0.25, jax.random.key(0))
    np.testing.assert_allclose(np.unique(ones), [0, 4 / 3], rtol=1e-6)
    assert np.mean(ones == 0) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("build", [
    lambda dtype: DiConvAE(replace(DENOISER, dtype=dtype), rngs=nnx.Rngs(0)),
    lambda dtype: SegNet(replace(SEGMENTER, dtype=dtype), 4, rngs=nnx.Rngs(0)),
])  # fmt: skip
def test_bfloat16_computes_on_float32_parameters(build):
    network = nnx.eval_shape(lambda: build("bfloat16"))
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(network))} == {jnp.dtype("float32")}
    program = str(jax.make_jaxpr(lambda n, x: n(x))(network, IMAGES))
    convolutions = [line for line in program.splitlines() if "= conv_general_dilated" in line]
    assert convolutions
    assert all("bf16[" in line for line in convolutions)
    assert jax.eval_shape(lambda n, x: n(x), network, IMAGES).dtype == jnp.float32


@pytest.mark.parametrize("name", BUILD)
def test_sizes_that_do_not_fit_are_one_error(name):
    halvings = {"denoiser": 2, "segmenter": 3}[name]
    network = nnx.eval_shape(BUILD[name])
    with pytest.raises(
        InputError, match=f"halves them {halvings} times; give multiples of {2**halvings}"
    ):
        jax.eval_shape(lambda n: n(jnp.zeros((1, 3 * 2 ** (halvings - 1), 8, 1))), network)


def test_weights_that_do_not_fit_are_named():
    network = nnx.eval_shape(BUILD["denoiser"])
    found = weights("denoiser")
    with pytest.raises(InputError, match=r"weights: 1 missing: 'down\.0\.weight';"):
        from_torch(network, {k: v for k, v in found.items() if k != "down.0.weight"})
    with pytest.raises(InputError, match=r"'down\.0\.bias' is \(2,\)"):
        from_torch(network, found | {"down.0.bias": np.zeros(2)})
    with pytest.raises(
        InputError, match=r"'down\.0\.weight' is \(6, 1\), the network's is \(3, 3,"
    ):
        from_torch(network, found | {"down.0.weight": np.zeros((6, 1))})
    with pytest.raises(InputError, match=r"2 unused: 'norms\.9\.num_batches', 'stray';"):
        from_torch(network, found | {"norms.9.num_batches": np.zeros(()), "stray": np.zeros(1)})
    counts = {f"norms.{i}.num_batches_tracked": np.array(3) for i in range(7)}
    jax.tree.map(
        np.testing.assert_array_equal,
        from_torch(network, found | counts),
        from_torch(network, found),
    )
