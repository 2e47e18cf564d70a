"""Training: the denoiser, a segmenter for every variant of its input, and the two together.

What they learn differs by the objective, a function of a network and a batch; one pure step and
one loop serve them all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Key

from common.data.loader import ArraySource
from common.data.shelf import by_blocks
from common.nn.predictor import Predictor
from common.pretrained.perceptual import PerceptualNetwork, load_perceptual
from common.pretrained.weights import lpips_path
from common.study.protocol import Prepared, Unit
from common.training.loop import Length, Training, trained_state
from common.training.mesh import data_mesh, data_parallel
from common.training.rng import Streams
from common.training.state import State
from papers.ultrasound_diconvae.config import Config, TrainConfig
from papers.ultrasound_diconvae.data import classes_of, load
from papers.ultrasound_diconvae.filters import check_available
from papers.ultrasound_diconvae.inputs import denoise, make_inputs
from papers.ultrasound_diconvae.losses import denoising_loss, segmentation_loss
from papers.ultrasound_diconvae.models.denoiser import DiConvAE
from papers.ultrasound_diconvae.models.joint import Joint
from papers.ultrasound_diconvae.models.segnet import SegNet
from papers.ultrasound_diconvae.speckle import speckled

DENOISING_BATCH = 16  # of the images that segmenters learn from
SEGMENTER = "segmenter_"  # and the variant of its input

Batch = dict[str, Array]
Features = PerceptualNetwork | None
Objective = Callable[[Any, Batch, Key[Array, ""], bool, Features], Float[Array, ""]]


def train(unit: Unit[Config], prepared: Prepared) -> None:
    """Train one network of one seed to its end, from its last checkpoint where there is one.

    Writes checkpoints and `train.jsonl` (step, loss, rate, validation loss) into the unit's folder.
    Raises `Diverged` where the loss stops being finite, and `InputError` where a filter that the
    config asks for is not installed.
    """
    config, kind = unit.config, kind_of(unit.network)
    check_available(config.train.filters)
    examples, validation = (examples_of(unit, prepared, part) for part in ("train", "validation"))
    length = length_of(kind, config.train)
    programs = compiled(kind, config, length.steps(len(examples)))
    streams, features = Streams(unit.seed), load_features(kind, config.train)
    key, validation_key = streams.key(unit.network), streams.key("validation")
    state = programs.init(streams.key("parameters"))
    if kind == "joint":
        state = with_denoiser(state, unit.of("denoiser"))
    with Training(
        unit.folder, state, examples, length, seed=unit.seed, label=unit.label
    ) as training:
        for report in training.reports(programs.step, key, features):
            report["rate"] = float(programs.rate(report.step - 1))
            if report.epoch is not None:
                report["validation_loss"] = validation_loss(
                    programs,
                    training.state,
                    validation,
                    length.batch_size,
                    validation_key,
                    features,
                )
            training.record(report)


def kind_of(network: str) -> str:
    """Return what a network is by its name: denoiser, segmenter or joint."""
    return network.partition("_")[0]


def examples_of(unit: Unit[Config], prepared: Prepared, part: str) -> ArraySource:
    """Return a part's labels and images, in the variant that the network is trained on."""
    loaded = load(prepared, part)
    images = loaded.images
    if unit.network.startswith(SEGMENTER):
        denoiser = None
        if "denoiser" in unit.run.networks[unit.network].after:
            denoiser = Predictor(trained_network(unit.of("denoiser")), denoise, DENOISING_BATCH)
        variant = unit.network.removeprefix(SEGMENTER)
        images = by_blocks(lambda some: make_inputs(variant, some, denoiser), images)
    return ArraySource({"image": images, "labels": loaded.labels})


def length_of(kind: str, options: TrainConfig) -> Length:
    """Return how long a kind of network is trained."""
    if kind == "denoiser":
        epochs, batch_size = options.epochs, options.batch_size
    else:
        epochs, batch_size = options.segmenter_epochs, options.segmenter_batch_size
    return Length(epochs, batch_size, options.log_every, options.checkpoint_minutes)


def load_features(kind: str, options: TrainConfig) -> Features:
    """Return VGG16 where the denoiser's loss looks through it."""
    if kind != "denoiser" or options.loss == "l1_msssim":
        return None
    return load_perceptual("vgg", lpips_path("vgg"))


def with_denoiser(state: State, pretrained_denoiser: Unit[Config]) -> State:
    """Return the state of a joint network whose denoiser learns on from where it is."""
    denoiser = trained_network(pretrained_denoiser)
    for part, kind in ((state.params, nnx.Param), (state.stats, nnx.BatchStat)):
        part["denoiser"] = nnx.state(denoiser, kind)
    return state


def build(kind: str, config: Config, rngs: nnx.Rngs) -> nnx.Module:
    """Return a network with fresh parameters."""
    classes = len(classes_of(config.data.dataset))
    if kind == "denoiser":
        return DiConvAE(config.denoiser, rngs=rngs)
    if kind == "segmenter":
        return SegNet(config.segmenter, classes, rngs=rngs)
    return Joint(config, classes, rngs=rngs)


def denoising(config: Config) -> Objective:
    """Return the loss of an image recovered from speckle, of a strength drawn for each."""
    sigmas = jnp.array(config.speckle.sigmas)

    def objective(
        network: DiConvAE, batch: Batch, key: Array, train: bool, features: Features
    ) -> Array:
        which, noise, drop = jax.random.split(key, 3)
        images = batch["image"].astype(jnp.float32) / 255
        strength = jax.random.choice(which, sigmas, (len(images), 1, 1, 1))
        noisy = speckled(noise, images, strength, centered=config.speckle.centered)
        return denoising_loss(network(noisy, train, drop), images, config.train, features)

    return objective


def segmenting(config: Config) -> Objective:
    """Return the loss of a segmentation."""

    def objective(network: Any, batch: Batch, key: Array, train: bool, _: Features) -> Array:
        images = batch["image"].astype(jnp.float32) / 255
        logits = (
            network(images, train, key) if isinstance(network, Joint) else network(images, train)
        )
        return segmentation_loss(logits, batch["labels"].astype(jnp.int32), config.train)

    return objective


def make_rate(kind: str, options: TrainConfig, steps: int) -> optax.Schedule:
    """Return the rate at a step: constant as published, or falling to zero as a cosine."""
    denoiser = kind == "denoiser"
    rate = options.learning_rate if denoiser else options.segmenter_learning_rate
    if options.schedule == "constant":
        return optax.constant_schedule(rate)
    return optax.cosine_decay_schedule(rate, steps)


def make_step(graph: nnx.GraphDef, objective: Objective, rate: optax.Schedule) -> Callable:
    """Return a pure `step(state, batch, index, key, features) -> (state, loss)`.

    `index` picks its draws from `key`, and its rate.
    """
    adam = optax.scale_by_adam()

    def step(
        state: State, batch: Batch, index: Array, key: Array, features: Features
    ) -> tuple[State, Float[Array, ""]]:
        def loss(params: nnx.State) -> tuple[Float[Array, ""], nnx.State]:
            network = nnx.merge(graph, params, state.stats)
            value = objective(network, batch, jax.random.fold_in(key, index), True, features)
            return value, nnx.state(network, nnx.BatchStat)

        (value, stats), gradients = jax.value_and_grad(loss, has_aux=True)(state.params)
        updates, opt_state = adam.update(gradients, state.opt_state)
        now = rate(index)
        params = jax.tree.map(lambda p, u: p - now * u, state.params, updates)
        return State(params, opt_state, stats), value

    return step


class Programs(NamedTuple):
    """The compiled functions of a training; keys and weights are arguments, all seeds share them.

    `validate(state, batch, key, index, features)` is the loss of a batch; `rate(step)`.
    """

    graph: nnx.GraphDef
    init: Callable[[Array], State]
    step: Callable
    validate: Callable
    rate: optax.Schedule


@functools.cache
def compiled(kind: str, config: Config, steps: int) -> Programs:
    """Return the programs that train a kind of network for so many steps."""
    graph = nnx.graphdef(nnx.eval_shape(lambda: build(kind, config, nnx.Rngs(0))))
    objective = denoising(config) if kind == "denoiser" else segmenting(config)
    rate = make_rate(kind, config.train, steps)

    def init(key: Array) -> State:
        network = build(kind, config, nnx.Rngs(key))
        params, stats = nnx.state(network, nnx.Param), nnx.state(network, nnx.BatchStat)
        return State(params, optax.scale_by_adam().init(params), stats)

    def validate(
        state: State, batch: Batch, key: Array, index: Array, features: Features
    ) -> Float[Array, ""]:
        network = nnx.merge(graph, state.params, state.stats)
        return objective(network, batch, jax.random.fold_in(key, index), False, features)

    step = data_parallel(make_step(graph, objective, rate), data_mesh())
    return Programs(graph, jax.jit(init), step, jax.jit(validate), rate)


def validation_loss(
    programs: Programs,
    state: State,
    examples: ArraySource,
    size: int,
    key: Array,
    features: Features,
) -> float:
    """Return the mean loss of batches of so many examples, with the same draws each time."""
    rows = [np.arange(s, min(s + size, len(examples))) for s in range(0, len(examples), size)]
    values = [
        programs.validate(state, examples[r], key, np.int32(i), features)
        for i, r in enumerate(rows)
    ]
    return float(np.mean(jax.device_get(values)))


def trained_network(unit: Unit[Config]) -> Any:
    """Return the network of a trained unit: denoiser, segmenter or both."""
    return load_network(unit.folder, unit.network, unit.config)


def load_network(folder: Path, network: str, config: Config) -> Any:
    """Return the trained network in a folder; raises `InputError` where there is none."""
    state = load_state(folder, network, config)
    return nnx.merge(compiled(kind_of(network), config, 1).graph, state.params, state.stats)


def load_state(folder: Path, network: str, config: Config) -> State:
    """Return the trained state in a folder; raises `InputError` where there is none."""
    init = compiled(kind_of(network), config, 1).init
    return trained_state(folder, jax.eval_shape(init, Streams(0).key("parameters")))
