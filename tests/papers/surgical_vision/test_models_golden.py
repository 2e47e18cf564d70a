"""Every network against PyTorch or Keras; tests/golden/make_surgical_models.py recorded them."""

import json
import re
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from papers.surgical_vision.gradient_penalty import gradient_penalty, r1
from papers.surgical_vision.models import convert
from papers.surgical_vision.models.attention import SelfAttention
from papers.surgical_vision.models.coder import Autoencoder, DCGANDecoder
from papers.surgical_vision.models.discriminator import (
    DCGANDiscriminator,
    PatchGAN,
    StarGANDiscriminator,
)
from papers.surgical_vision.models.translator import cyclegan, stargan, style_transfer
from papers.surgical_vision.models.unet import UNet
from tests.golden.seeded_weights import seeded_keras_weights, seeded_weights

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "surgical_models.npz")
LABELS = jnp.array([[0, 0, 0], [1, 0, 1]], jnp.uint8)
MODULE = re.compile(r"(^|\.)\d+\.(query_conv|key_conv|value_conv|gamma)")  # one of several
ALONE = {"": "", "query": "query_conv", "key": "key_conv", "value": "value_conv"}
MAP, FACES = (2, 6, 8, 16), (2, 16, 12, 3)

# name: (network, names of its layers, shape of its input)
NETWORKS = {
    "attention_self": (partial(SelfAttention, 16), ALONE, MAP),
    "attention_pooled": (partial(SelfAttention, 16, pooled=True), ALONE, MAP),
    "attention_heads": (partial(SelfAttention, 16, heads=3), ALONE, MAP),
    "cyclegan": (partial(cyclegan, 4, 2), convert.cyclegan_names(2), FACES),
    "stargan": (partial(stargan, 3, 4, 2, attention=2), convert.stargan_names(2), (2, 12, 16, 3)),
    "style": (partial(style_transfer, 4, 2), convert.style_names(2), (2, 12, 16, 3)),
    "pix2pix": (partial(UNet, filters=4, downs=5), convert.pix2pix_names(5), (2, 32, 32, 3)),
    "decoder": (
        partial(DCGANDecoder, 12, filters=(4, 6), latent=5),
        convert.dcgan_decoder_names(2),
        (4, 5),
    ),
    "dcgan": (
        partial(DCGANDiscriminator, 12, filters=(4, 6)),
        convert.dcgan_discriminator_names(2),
        (4, 12, 12, 3),
    ),
    "patchgan6": (
        partial(PatchGAN, 6, width=4, layers=2, norm="affine"),
        convert.patchgan_names(2),
        (2, 24, 16, 6),
    ),
    "patchgan3": (
        partial(PatchGAN, width=4, layers=2, attention=1),
        convert.patchgan_names(2),
        (2, 24, 16, 3),
    ),
    "stargan_d": (
        partial(StarGANDiscriminator, 24, labels=3, width=4, layers=3, attention=1, pooled=True),
        convert.stargan_discriminator_names(3),
        (3, 24, 24, 3),
    ),
}
PENALIZED = ("patchgan3", "stargan_d")
NORMALIZED_BY_BATCH = ("decoder", "dcgan")


def drawn(shape, seed):
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


def abstract(name):
    return nnx.eval_shape(lambda: NETWORKS[name][0](rngs=nnx.Rngs(0)))


def shapes_of(name):
    return json.loads(str(GOLDEN[f"{name}/shapes"]))


def seeded(name, seed):
    """Return seeded values for all tensors, as a state of our network."""
    merged: dict[str, list[np.ndarray]] = {}
    for key, value in seeded_weights(shapes_of(name), seed).items():
        value = 0.2 + abs(value) if key.endswith("running_var") else value
        merged.setdefault(MODULE.sub(r"\1\2", key), []).append(value)
    weights = {key: np.concatenate(parts) for key, parts in merged.items()}
    return convert.from_torch(abstract(name), weights, NETWORKS[name][1])


def outputs_of(name, network, x):
    if name in NORMALIZED_BY_BATCH:
        return (network(x, train=True),)
    outputs = network(x, LABELS) if name == "stargan" else network(x)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def measured(name, graph, state):
    """Return what a network gives: outputs, gradients, penalties, ..."""
    x = jnp.asarray(drawn(NETWORKS[name][2], 1))
    _, params, rest = nnx.split(nnx.merge(graph, state), nnx.Param, ...)

    def products(params):
        network = nnx.merge(graph, params, rest)
        outputs = outputs_of(name, network, x)
        loss = sum((output * drawn(output.shape, 2)).sum() for output in outputs)
        return loss, (outputs, nnx.state(network, nnx.BatchStat))

    def penalized(params, penalty):
        network = nnx.merge(graph, params, rest)
        return penalty(lambda x: outputs_of(name, network, x)[0], x)

    gradients, (outputs, moved) = jax.grad(products, has_aux=True)(params)
    found = {"gradients": gradients, "outputs": outputs, "moved": moved}
    network = nnx.merge(graph, params, rest)
    if name in PENALIZED:
        for key, penalty in (("penalty", gradient_penalty), ("r1", r1)):
            value = jax.value_and_grad(partial(penalized, penalty=penalty))(params)
            found[key], found[f"{key}_gradients"] = value
    if name in NORMALIZED_BY_BATCH:
        found["inference"] = network(x)
    if name.startswith("attention"):
        found["maps"] = network.maps(x)
    return found


@cache
def results():
    """Return what all networks give, of one compiled program."""
    graphs = {name: nnx.graphdef(abstract(name)) for name in NETWORKS}

    # unoptimized code: compiled in half the time, most of this file's
    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def run(states):
        return {name: measured(name, graphs[name], state) for name, state in states.items()}

    return run({name: seeded(name, 0) for name in NETWORKS})


def error(ours, theirs):
    """The largest difference, against the range of their values."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / np.ptp(theirs))


def same_gradients(gradients, recorded, directions, name_of):
    """Compare every tensor's product with its direction, and its norm, with the recorded ones.

    Tolerance: 2e-5 of the norm and of a hundredth of the largest, for those that are 0 but for
    rounding: of a bias before a norm.
    """
    largest = max(norm for _, norm in recorded.values())
    paths = dict(nnx.to_flat_state(gradients))
    assert {name_of(path) for path in paths} == set(recorded)
    for path, gradient in paths.items():
        g, d = np.float64(gradient[...]), np.float64(directions[path][...])
        product, norm = recorded[name_of(path)]
        allowed = 2e-5 * (norm + largest / 100)
        assert abs(np.sqrt((g**2).sum()) - norm) < allowed, path
        assert abs((g * d).sum() - product) < allowed * np.sqrt((d**2).sum()), path


def recorded_gradients(name, kind):
    """Return (product, norm) by name; those of several attention modules are one tensor of ours."""
    keys = sorted(key for key in shapes_of(name) if "running_" not in key)
    found: dict[str, np.ndarray] = {}
    for key, (product, norm) in zip(keys, GOLDEN[f"{name}/{kind}"], strict=True):
        merged = MODULE.sub(r"\1\2", key)
        found[merged] = found.get(merged, 0) + np.array([product, norm**2])
    return {key: (product, np.sqrt(square)) for key, (product, square) in found.items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_equal_pytorch(name):
    found = results()[name]
    for i, output in enumerate(found["outputs"]):
        theirs = GOLDEN[f"{name}/output{i or ''}"]
        assert error(output, theirs.reshape(output.shape)) < 1e-5
        assert np.ptp(theirs, 0).max() > 1e-3  # the images differ


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_equal_pytorch(name):
    found, directions = results()[name], dict(nnx.to_flat_state(seeded(name, 1)))
    name_of = partial(convert.torch_name, names=NETWORKS[name][1])
    for kind in [key for key in found if key.endswith("gradients")]:
        same_gradients(found[kind], recorded_gradients(name, kind), directions, name_of)


@pytest.mark.parametrize("name", PENALIZED)
def test_penalties_equal_pytorch(name):
    found = results()[name]
    ours = [found["penalty"], found["r1"]]
    np.testing.assert_allclose(ours, GOLDEN[f"{name}/penalties"], rtol=1e-5)


@pytest.mark.parametrize("name", NORMALIZED_BY_BATCH)
def test_inference_and_moved_means_equal_pytorch(name):
    found = results()[name]
    theirs = GOLDEN[f"{name}/inference"]
    assert error(found["inference"], theirs.reshape(found["inference"].shape)) < 1e-5
    for path, statistic in nnx.to_flat_state(found["moved"]):
        if path[-1] == "mean":  # the variance theirs moves by is the unbiased one
            key = convert.torch_name(path, NETWORKS[name][1])
            assert error(statistic[...], GOLDEN[f"{name}/moved/{key}"]) < 1e-5


@pytest.mark.parametrize("name", [name for name in NETWORKS if name.startswith("attention")])
def test_attention_maps_equal_pytorch(name):
    maps = np.asarray(results()[name]["maps"])
    np.testing.assert_allclose(maps.sum((-1, -2)), 1, rtol=1e-5)
    every_thirteenth = maps.reshape(*maps.shape[:2], 6 * 8, -1)[:, :, ::13]
    assert error(every_thirteenth, GOLDEN[f"{name}/shares"]) < 1e-5


def test_autoencoder_equals_keras():
    shapes = shapes_of("autoencoder")
    build = partial(Autoencoder, 12, filters=(4, 6), dense=5, latent=3)
    graph, empty = nnx.split(nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0))))
    network = nnx.merge(graph, empty)
    states = [convert.from_keras(network, seeded_keras_weights(shapes, seed)) for seed in (0, 1)]
    images = 2 / (1 + np.exp(-drawn((2, 12, 12, 3), 1))) - 1

    @jax.jit
    @partial(jax.grad, has_aux=True)
    def gradients(state):
        network = nnx.merge(graph, state)
        mean, log_variance = network.encode(jnp.asarray(images))
        outputs = (mean, log_variance, network.decode(mean) / 2 + 0.5)
        return sum((o * drawn(o.shape, 2 + i)).sum() for i, o in enumerate(outputs)), outputs

    found, outputs = gradients(states[0])
    for i, output in enumerate(outputs):
        assert error(output, GOLDEN[f"autoencoder/output{i or ''}"]) < 1e-5
    recorded = dict(zip(sorted(shapes), GOLDEN["autoencoder/gradients"], strict=True))
    directions = dict(nnx.to_flat_state(states[1]))
    same_gradients(found, recorded, directions, partial(convert.keras_name, levels=2))
