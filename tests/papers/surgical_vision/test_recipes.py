"""What every family's step learns, and what it makes of a face."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common.data.prepared import Prepared
from common.study import config as configs
from common.study.protocol import Run, Unit
from common.training.loop import LOG, Length, Training
from common.training.rng import Streams
from common.training.state import State
from papers.surgical_vision import families, train
from papers.surgical_vision.networks import networks
from papers.surgical_vision.recipes.recipe import falling_rate
from papers.surgical_vision.study import STUDY
from papers.surgical_vision.train import translated
from tests.papers.surgical_vision.small import (
    EXPERIMENT,
    LABELS,
    QUICK,
    SIDE,
    SMALL,
    assert_same,
    fresh,
    learned,
    leaves,
    part_of,
    stepped,
)

FAMILIES = (
    "latent_autoencoder", "autoencoder", "vae_perceptual", "gan", "pix2pix", "cyclegan", "stargan",
    "starganv2", "style_transfer", "stable_diffusion", "stable_diffusion_lora",
)  # fmt: skip
DRAWING = ("pix2pix", "starganv2", "stable_diffusion", "stable_diffusion_lora")  # by the seed


@pytest.mark.parametrize("network", FAMILIES)
def test_steps_are_finite_and_move_every_parameter(network):
    _, losses = stepped(network)
    assert np.isfinite(list(losses.values())).all()
    assert "loss" in losses
    state = learned(network)  # not one step alone: what lies below zeros moves later
    before, after = leaves(fresh(network).state.params), leaves(state.params)
    assert before.keys() == after.keys()
    assert not [name for name in before if np.array_equal(before[name], after[name])]
    assert all(np.isfinite(leaf).all() for leaf in leaves(state).values())


@pytest.mark.parametrize(
    ("network", "loss", "share"),
    [
        ("latent_autoencoder", "l1", 0.9),
        ("autoencoder", "loss", 0.9),
        ("vae_perceptual", "reconstruction", 0.99),
        ("pix2pix", "l1", 0.8),
        ("cyclegan", "cycle", 0.9),
        ("stargan", "reconstruction", 0.9),
        ("starganv2", "cycle", 0.9),
        ("identity_starganv2", "loss", 0.95),
        ("style_transfer", "loss", 0.9),
        ("stable_diffusion", "loss", 0.9),
        ("stable_diffusion_lora", "loss", 0.99),
    ],
)
def test_one_batch_is_learned_by_heart(network, loss, share):
    state, first = stepped(network)
    for _ in range(12):
        state, last = stepped(network, state)  # with the same draws
    assert last[loss] < share * first[loss]


def outputs(network, rows, seed=0, state=None):
    """Return what a network that took four steps makes of the faces at `rows` of six."""
    one, part = fresh(network), part_of(6)
    weights = one.weights(learned(network) if state is None else state)
    return translated(one.recipe, weights, part.before[rows], part.labels[rows], seed, 4)


@pytest.mark.parametrize("network", FAMILIES)
def test_a_translation_depends_on_face_and_seed_alone(network):
    images = outputs(network, [0, 1, 2])
    assert images.shape == (3, SIDE, SIDE, 3)
    np.testing.assert_array_equal(images, outputs(network, [0, 1, 2]))
    np.testing.assert_array_equal(images[0], outputs(network, [0, 3, 4, 5, 1])[0])
    assert network == "gan" or (images[0] != images[1]).any()  # the GAN's: see below
    drawn = (images != outputs(network, [0, 1, 2], seed=1)).any((1, 2, 3))
    assert drawn.all() if network in DRAWING else not drawn.any()
    if network in DRAWING:
        assert (np.diff(outputs(network, [0, 0]).astype(int), axis=0) != 0).any()


@pytest.mark.parametrize("network", ["stargan", "starganv2"])
def test_the_label_changes_what_becomes_of_a_face(network):
    one, part = fresh(network), part_of(1)
    images = [
        translated(one.recipe, one.weights(learned(network)), part.before, label[None], 0, 4)
        for label in (np.zeros(3, np.uint8), *LABELS)
    ]
    assert len({image.tobytes() for image in images}) == 5


def test_rates_fall_at_the_end_of_a_training():
    found = [float(falling_rate(0.2, jnp.float32(over), 0.25)) for over in (0, 0.7, 0.875, 1)]
    np.testing.assert_allclose(found, [0.2, 0.2, 0.1, 0], atol=1e-7)
    assert falling_rate(0.2, jnp.float32(1), 0.0) == 0.2
    for network in ("pix2pix", "cyclegan", "stargan"):  # whose last rate is 0
        state, _ = stepped(network, index=8, steps=8)
        assert_same(state.params, fresh(network).state.params)


class Stopped(Exception):
    """The end of a training before its time."""


def cyclegan_trained(folder: Path, stop: int = 0) -> State:
    """Train a CycleGAN for eight steps, or save and stop after so many."""
    one, length = fresh("cyclegan"), Length(4, 4, 1, 1e9)
    source = one.recipe.source(part_of(8))
    arguments = (Streams(0).key("cyclegan"), np.float32(length.steps(8)), one.fixed)
    with Training(folder, one.state, source, length, seed=0, label="cyclegan") as training:
        for report in training.reports(one.step, *arguments):
            training.record(report, save=report.step == stop or None)
            if report.step == stop:
                raise Stopped
        return jax.device_get(training.state)


def test_a_resumed_cyclegan_ends_as_one_without_interruption(tmp_path):
    whole = cyclegan_trained(tmp_path / "whole")
    for stop in (3, 6):  # the pool of four is full after the first step
        with pytest.raises(Stopped):
            cyclegan_trained(tmp_path / "stopped", stop)
    assert_same(cyclegan_trained(tmp_path / "stopped"), whole)
    assert int(whole.stats["is_after"].filled) == SMALL.cyclegan.pool


def test_a_resumed_training_validates_when_one_without_interruption_does(tmp_path, monkeypatch):
    parts = {"train": part_of(8), "validation": part_of(2, 9)}
    monkeypatch.setattr(train, "load", lambda prepared, name: parts[name])
    shares = {"train.validations": 3, "train.log_every": 1, "autoencoder.epochs": 4}
    config = configs.override(SMALL, shares)  # eight steps, validated after each second one
    prepared = Prepared("heads", tmp_path, "a hash", True, "", {}, {}, (), ())

    def log_of(home: Path) -> str:
        run = Run(STUDY, EXPERIMENT, config, (0,), home / "out", home=home)
        unit = Unit(run, 0, "autoencoder", "a hash")
        try:
            train.train(unit, prepared)
        except Stopped:
            train.train(unit, prepared)
        return (unit.folder / LOG).read_text()

    whole = log_of(tmp_path / "whole")
    record = Training.record

    def stopping(training, report):
        stop = report.step == 3 and not stopped
        record(training, report, save=stop or None)
        if stop:
            stopped.append(report.step)
            raise Stopped

    stopped: list[int] = []
    monkeypatch.setattr(Training, "record", stopping)
    assert log_of(tmp_path / "stopped") == whole
    assert stopped == [3]
    validated = [json.loads(line)["step"] for line in whole.splitlines() if "ssim" in line]
    assert validated == [2, 4, 6, 8]


@pytest.mark.parametrize(
    ("network", "begun"),
    [
        ("cyclegan_sa", ("to_after", "to_before")),
        ("stargan_mha", ("generator",)),
        ("starganv2", ("generator", "mapping", "encoder")),
    ],
)
def test_a_warm_start_gives_its_weights_to_the_generators_alone(network, begun):
    config = configs.override(SMALL, {"warm_start.steps": 3})
    (name,) = networks(config)[network].after
    recipes = {each: families.recipe_of(each, config) for each in (name, network)}
    known = jax.eval_shape(recipes[name].init, jax.random.key(0), None)
    known = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.25, leaf.dtype), known)
    fixed = recipes[network].fixed({name: known}, None)
    init = jax.jit(recipes[network].init, compiler_options=QUICK)
    for path, leaf in leaves(init(jax.random.key(0), fixed).params).items():
        expected = any(f"'{each}'" in path for each in begun) and "attention" not in path
        assert (leaf == 0.25).all() == expected, path
