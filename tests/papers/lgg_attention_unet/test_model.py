"""The network against the source's in Keras; tests/golden/make_attention_unet.py recorded it."""

import json
import os
import subprocess
import sys
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
from papers.lgg_attention_unet.config import ModelConfig
from papers.lgg_attention_unet.convert import from_keras, keras_names
from papers.lgg_attention_unet.model import AttentionUNet
from tests.golden.seeded_weights import seeded_keras_weights

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "attention_unet.npz")
SMALL = ModelConfig(filters=tuple(int(count) for count in GOLDEN["filters"]))
TINY = ModelConfig(filters=(4, 8))
SHAPES = json.loads(str(GOLDEN["shapes"]))
IMAGES = jnp.asarray(GOLDEN["images"])


def abstract(config: ModelConfig) -> AttentionUNet:
    return nnx.eval_shape(lambda: AttentionUNet(config, rngs=nnx.Rngs(0)))


def size(module: nnx.Module, kind: type) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, kind)))


@cache
def parts(config: ModelConfig = SMALL):
    """Return graph, parameters and statistics of the network with the recorded weights."""
    state = from_keras(seeded_keras_weights(SHAPES), config)
    network = nnx.merge(nnx.graphdef(abstract(config)), state)
    return nnx.split(network, nnx.Param, nnx.BatchStat)


@cache
def fresh():
    """Return graph, parameters and statistics of a tiny network with weights of its own."""
    network = jax.jit(lambda: AttentionUNet(TINY, rngs=nnx.Rngs(0)))()
    return nnx.split(network, nnx.Param, nnx.BatchStat)


@jax.jit
def predict(network: AttentionUNet, images: jax.Array):
    """Return logits, gates' maps and the statistics after the call."""
    return *network.with_gates(images), nnx.state(network, nnx.BatchStat)


def make_forward(graph):
    """Return a pure training-mode pass, (params, stats, images) -> (logits, new statistics)."""

    def forward(params, stats, images):
        network = nnx.merge(graph, params, stats)
        return network(images, train=True), nnx.state(network, nnx.BatchStat)

    return forward


def error(ours, theirs) -> float:
    """The largest difference, against the range of their values."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / np.ptp(theirs))


def test_parameters_of_the_published_network_are_keras_in_number():
    network = abstract(ModelConfig())
    assert size(network, nnx.Param) == GOLDEN["trainable"] == 32_086_917
    assert size(network, nnx.BatchStat) == GOLDEN["total"] - GOLDEN["trainable"]


def test_weights_are_keras_by_name():
    assert sorted(keras_names(SMALL).values()) == sorted(SHAPES)


def test_inference_equals_keras_gates_too_and_moves_no_statistic():
    network = nnx.merge(*parts())
    logits, maps, after = predict(network, IMAGES)
    before = nnx.state(network, nnx.BatchStat)
    jax.tree.map(np.testing.assert_array_equal, before, after)
    assert error(jax.nn.sigmoid(logits), GOLDEN["output"]) < 1e-5
    assert len(maps) == 4
    for i, gate in enumerate(maps):
        assert error(gate[:, ::2, ::2], GOLDEN[f"gate{i}"]) < 1e-5
        np.testing.assert_array_equal(gate[:, 1::2, 1::2], gate[:, ::2, ::2])


def test_training_mode_and_moved_statistics_equal_keras():
    graph, params, stats = parts()
    logits, moved = jax.jit(make_forward(graph))(params, stats, IMAGES)
    assert error(jax.nn.sigmoid(logits), GOLDEN["train_output"]) < 1e-5
    before = dict(nnx.to_flat_state(stats))
    names = keras_names(SMALL)
    for path, statistic in nnx.to_flat_state(moved):
        step = GOLDEN[f"moved/{names[path]}"] - before[path][...]
        # the step, not the value: a hundredth of the value at most
        assert error(statistic[...] - before[path][...], step) < 1e-3
        assert error(statistic[...], GOLDEN[f"moved/{names[path]}"]) < 1e-5


ON_TWO_DEVICES = """
import jax, numpy as np
from common.training.mesh import data_mesh, replicate, shard
from tests.papers.lgg_attention_unet.test_model import IMAGES, error, fresh, make_forward
graph, *state = fresh()
forward, mesh = jax.jit(make_forward(graph)), data_mesh()
assert mesh.size == 2
logits, moved = forward(*replicate(mesh, state), shard(mesh, IMAGES))
assert len(logits.sharding.device_set) == 2
expected, alone = forward(*state, IMAGES)
assert error(logits, expected) < 1e-5
jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), moved, alone)
"""


def test_statistics_are_those_of_the_batch_over_all_devices():
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    subprocess.run(
        [sys.executable, "-c", ON_TWO_DEVICES],
        check=True,
        cwd=Path(__file__).parents[3],
        env=os.environ | environment,
    )


def test_without_gates_only_their_weights_are_gone():
    config = ModelConfig(gates=False)
    gone = size(abstract(ModelConfig()), nnx.Param) - size(abstract(config), nnx.Param)
    expected = 0
    for low, high in ((1024, 512), (512, 256), (256, 128), (128, 64)):
        expected += (low + 1) * high + (high + 1) * high + (high + 1) + 2 * high
    assert gone == expected
    small = replace(SMALL, gates=False)
    network = nnx.merge(nnx.graphdef(abstract(small)), from_keras(ungated_weights(), small))
    logits, maps, _ = predict(network, IMAGES)
    assert maps == []
    assert logits.shape == (2, 32, 48, 1)


def ungated_weights() -> dict[str, np.ndarray]:
    shapes = {
        keras_names(replace(SMALL, gates=False))[path]: SHAPES[name]
        for path, name in keras_names(SMALL).items()
        if "gate" not in path
    }
    return seeded_keras_weights(shapes)


def test_bfloat16_computes_in_less_precision_on_float32_state():
    graph, params, stats = parts(replace(SMALL, dtype="bfloat16"))
    forward = make_forward(graph)
    jaxpr = str(jax.make_jaxpr(forward)(params, stats, IMAGES))
    convolutions = [line for line in jaxpr.splitlines() if "= conv_general_dilated" in line]
    assert convolutions
    assert all("bf16[" in line for line in convolutions)
    logits, moved = jax.jit(forward)(params, stats, IMAGES)
    leaves = jax.tree.leaves((params, stats, moved, logits))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}
    assert 1e-4 < error(jax.nn.sigmoid(logits), GOLDEN["train_output"]) < 0.1


def test_fresh_network_is_drawn_as_keras_draws_it():
    for path, value in nnx.to_flat_state(nnx.state(nnx.merge(*fresh()))):
        if path[-1] == "kernel":
            rows, columns, before, after = value.shape
            bound = np.sqrt(6 / (rows * columns * (before + after)))
            assert np.abs(value[...]).max() <= bound
            if value.size > 300:
                assert np.std(value[...]) == pytest.approx(bound / 3**0.5, rel=0.1)
        else:
            assert np.all(value[...] == (1 if path[-1] in ("scale", "var") else 0))


def test_step_changes_parameters_and_statistics_and_lowers_the_loss():
    graph, params, stats = fresh()
    optimizer = optax.adam(1e-3)
    targets = (IMAGES[..., :1] > 0.5).astype(np.float32)

    @jax.jit
    def step(params, stats, moments):
        def loss(params):
            logits, moved = make_forward(graph)(params, stats, IMAGES)
            return optax.sigmoid_binary_cross_entropy(logits, targets).mean(), moved

        (value, moved), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        updates, moments = optimizer.update(gradients, moments)
        return optax.apply_updates(params, updates), moved, moments, value

    state, losses = (params, stats, optimizer.init(params)), []
    for _ in range(10):
        *state, value = step(*state)
        losses.append(float(value))
    assert losses[-1] < losses[0]
    for old, new in zip((params, stats), state[:2], strict=True):
        unchanged = [
            path
            for (path, a), (_, b) in zip(*map(nnx.to_flat_state, (old, new)), strict=True)
            if np.array_equal(a[...], b[...])
        ]
        assert unchanged == []


@pytest.mark.parametrize("shape", [(24, 32), (32, 40)])
def test_size_that_cannot_be_halved_is_one_error(shape):
    height, width = shape
    with pytest.raises(InputError, match=rf"images of {height}x{width}: .* multiples of 16"):
        jax.eval_shape(predict, abstract(SMALL), jnp.zeros((1, height, width, 3)))


def test_one_level_is_refused():
    with pytest.raises(InputError, match=r"model\.filters: \(8,\)"):
        abstract(ModelConfig(filters=(8,)))


def test_weights_that_do_not_fit_are_named():
    weights = seeded_keras_weights(SHAPES)
    missing = {k: v for k, v in weights.items() if k != "conv2d_3/bias"}
    with pytest.raises(InputError, match="weights: 1 missing: 'conv2d_3/bias';"):
        from_keras(missing, SMALL)
    with pytest.raises(InputError, match="1 unused: 'stray';"):
        from_keras(weights | {"stray": np.zeros(1)}, SMALL)
    with pytest.raises(InputError, match=r"'conv2d/bias' is \(4,\), .* \(8,\) \(ours\)"):
        from_keras(weights, replace(SMALL, filters=(8, 8, 12, 16, 20)))
    with pytest.raises(InputError, match=r"'conv2d/kernel' is \(4,\), .* \(3, 3, 3, 4\) \(ours\)"):
        from_keras(weights | {"conv2d/kernel": np.zeros(4)}, SMALL)
    with pytest.raises(InputError, match=f"{len(SHAPES)} missing: 'conv2d"):
        from_keras({}, SMALL)
