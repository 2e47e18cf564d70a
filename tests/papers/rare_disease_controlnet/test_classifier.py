"""The classifier against torchvision's blocks, and how it learns."""

import functools
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from common.data.loader import ArraySource, Picked
from common.nn.by_name import load_by_name, torch_layout
from papers.rare_disease_controlnet.classifier.learning import (
    Known,
    augmented,
    cross_entropy,
    graph_of,
    learning,
    probabilities,
)
from papers.rare_disease_controlnet.classifier.model import Classifier
from papers.rare_disease_controlnet.config import ClassifierConfig

GOLDEN = Path(__file__).parents[2] / "golden"
sys.path.insert(0, str(GOLDEN))
from seeded_weights import seeded_weights  # noqa: E402

CHANNELS = (6, 8, 12)
THEIRS = {"scale": "weight", "kernel": "weight", "mean": "running_mean", "var": "running_var"}
SMALL = ClassifierConfig(channels=(4, 8), blocks=(1, 1), stem="small", learning_rate=1e-2)


def name_of(path: tuple) -> str:
    """Return what the golden script's network calls a parameter."""
    name = ".".join(THEIRS.get(str(part), str(part)) for part in path)
    name = re.sub(r"(conv|norm)(\d)", lambda m: ("conv" if m[1] == "conv" else "bn") + m[2], name)
    return name.replace("skip_norm.", "downsample.1.").replace("skip.", "downsample.0.")


def loaded(stem: str) -> Classifier:
    """Return a classifier with the golden script's weights."""
    config = ClassifierConfig(channels=CHANNELS, blocks=(2, 2, 2), stem=stem)
    network = nnx.eval_shape(lambda: Classifier(config, 4, rngs=nnx.Rngs(0)))
    flat = nnx.to_flat_state(nnx.state(network))
    shapes = {}
    for path, variable in flat:
        shape = tuple(variable.shape)
        order = (3, 2, 0, 1) if len(shape) == 4 else (1, 0)
        shapes[name_of(path)] = tuple(shape[i] for i in order) if len(shape) > 1 else shape
    weights = {
        name: 0.2 + abs(value) if name.endswith("running_var") else value
        for name, value in seeded_weights(shapes).items()
    }
    state = load_by_name(network, weights, name_of, torch_layout(network), "golden")
    return nnx.merge(nnx.graphdef(network), state)


@pytest.mark.parametrize("stem", ["imagenet", "half", "small"])
def test_logits_are_those_of_torchvision(stem):
    network = loaded(stem)
    with np.load(GOLDEN / "resnet.npz") as golden:
        x = golden["x"]
        for name, train in (("test", False), ("train", True)):
            logits = network(jnp.asarray(x), train)
            np.testing.assert_allclose(logits, golden[f"{stem}_{name}"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(network.norm.mean[...], golden[f"{stem}_moved"], rtol=1e-4)


def test_initial_weights_have_the_variance_of_he():
    network = Classifier(ClassifierConfig(), 4, rngs=nnx.Rngs(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))
    assert count == 11_172_292  # torchvision's resnet18 of one channel and four classes
    kernel = network.blocks[4].conv2.kernel[...]
    assert float(kernel.std()) == pytest.approx((2 / (9 * kernel.shape[3])) ** 0.5, rel=0.02)
    bound = 512**-0.5  # PyTorch's, of its linear layers
    assert 0.95 * bound < float(jnp.abs(network.head.kernel[...]).max()) <= bound


@functools.cache
def films() -> tuple[np.ndarray, np.ndarray]:
    """Return 12 films of three classes, bright above or below where they have a finding."""
    random = np.random.default_rng(0)
    images = random.integers(60, 120, (12, 16, 16, 1)).astype(np.uint8)
    labels = np.zeros((12, 2), np.uint8)
    for index in range(12):
        if index % 3:
            labels[index, index % 3 - 1] = 1
            half = slice(0, 8) if index % 3 == 1 else slice(8, 16)
            images[index, half] += 100
    return images, labels


@pytest.mark.parametrize("single", [True, False])
def test_films_are_learned_by_heart(single):
    images, labels = films()
    made = learning(SMALL, 2, single)
    rows = np.arange(12)
    films_of = ArraySource({"images": images, "labels": labels})
    batch = Picked(films_of, np.stack([rows[:6], rows[6:]], 1))[np.arange(6)]
    assert batch["images"].shape == (6, 2, 16, 16, 1)
    known = Known(np.float32(0), np.float32(60))
    state = jax.jit(made.init)(jax.random.key(0), known)
    step = jax.jit(made.step)
    losses = []
    for index in range(60):
        state, value = step(state, batch, jnp.int32(index), jax.random.key(1), known)
        losses.append(float(value["loss"]))
    assert losses[-1] < 0.1 * losses[0]
    network = nnx.merge(graph_of(SMALL, 2, single), state.params, state.stats)
    p = probabilities(network(jnp.asarray(images, jnp.float32) / 255), single)
    assert p.shape == (12, 3)
    np.testing.assert_array_equal(p[:, 1:] > 0.5, labels > 0)


def test_a_given_state_is_what_a_training_begins_with():
    made = learning(SMALL, 2, True)
    first = made.init(jax.random.key(0), Known(0.0, 1.0))
    again = made.init(jax.random.key(1), Known(0.0, 1.0, first))
    for ours, theirs in zip(
        jax.tree.leaves(again.params), jax.tree.leaves(first.params), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_losses_are_of_classes_or_of_findings():
    logits = jnp.array([[2.0, 0.0, -1.0], [0.0, 3.0, 0.0]])
    labels = jnp.array([[0, 0], [1, 0]], jnp.uint8)
    expected = -np.mean([jax.nn.log_softmax(logits[0])[0], jax.nn.log_softmax(logits[1])[1]])
    assert float(cross_entropy(logits, labels, True)) == pytest.approx(expected, rel=1e-6)
    each = cross_entropy(logits[:, :2], labels, False)
    p = 1 / (1 + np.exp(-np.asarray(logits[:, :2])))
    by_hand = -np.mean(np.where(np.asarray(labels) > 0, np.log(p), np.log(1 - p)))
    assert float(each) == pytest.approx(by_hand, rel=1e-6)
    several = probabilities(logits[:, :2], False)
    np.testing.assert_allclose(several[:, 0], np.prod(1 - p, 1), rtol=1e-6)
    np.testing.assert_allclose(probabilities(logits, True).sum(1), 1, rtol=1e-6)


def test_augmentation_moves_films_and_leaves_them_at_strength_zero():
    images, _ = films()
    still = augmented(jax.random.key(0), images, SMALL, 0.0)
    np.testing.assert_allclose(still, images / 255, atol=1e-6)
    moved = augmented(jax.random.key(0), images, SMALL, 1.0)
    assert np.abs(moved - still).mean() > 0.01
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 1
    other = augmented(jax.random.key(1), images, SMALL, 1.0)
    assert np.abs(moved - other).mean() > 0.01
