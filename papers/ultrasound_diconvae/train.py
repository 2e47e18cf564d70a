"""Training: the denoiser, a segmenter for every kind of picture, and the two together.

What they learn differs by the objective, a function of a network and a batch; one pure step and
one loop serve them all.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Key

from common.data.loader import ArraySource, batches
from common.errors import InputError
from common.pretrained.perceptual import load_perceptual
from common.pretrained.weights import lpips_path
from common.study.protocol import Run
from common.study.trained import save_config
from common.training.checkpoints import Checkpoints
from common.training.finite import check_finite
from common.training.mesh import data_mesh, data_parallel, replicate, shard
from common.training.rng import Streams
from common.training.writer import MetricWriter
from papers.ultrasound_diconvae.config import Config, TrainConfig
from papers.ultrasound_diconvae.data import Prepared, load
from papers.ultrasound_diconvae.inputs import Inputs, kinds
from papers.ultrasound_diconvae.losses import denoising_loss, segmentation_loss
from papers.ultrasound_diconvae.models.denoiser import DiConvAE
from papers.ultrasound_diconvae.models.joint import Joint
from papers.ultrasound_diconvae.models.segnet import SegNet
from papers.ultrasound_diconvae.speckle import speckled

Batch = dict[str, Array]
Objective = Callable[[Any, Batch, Key[Array, ""], bool], Float[Array, ""]]


class State(NamedTuple):
    """What training changes; `stats` are the moving averages of BatchNorm."""

    params: nnx.State
    stats: nnx.State
    moments: optax.OptState


@dataclass(frozen=True)
class Plan:
    """How long and how fast a network is trained."""

    epochs: int
    batch_size: int
    learning_rate: float


def train(run: Run, prepared: Prepared, seed: int) -> None:
    """Train all networks of one seed, each from its last checkpoint where there is one.

    Writes checkpoints and `train.jsonl` into a folder for each, and `config.json` beside these
    folders. Raises `Diverged` where a loss stops being finite.
    """
    config: Config = run.config
    options, folder = config.train, run.seed_folder(seed)
    save_config(folder, config)
    parts = {part: load(prepared, part) for part in ("train", "validation")}

    def fit(
        name: str,
        plan: Plan,
        objective: Objective,
        seen: dict[str, np.ndarray],
        given: nnx.Module | None = None,
    ) -> None:
        examples = {
            part: ArraySource({"image": seen[part], "labels": one.labels})
            for part, one in parts.items()
        }
        build = networks(config, len(prepared.classes))[name.split("_")[0]]
        _fit(folder / name, build, plan, objective, options, examples, seed, given)

    own = {part: one.images for part, one in parts.items()}
    plan = Plan(options.epochs, options.batch_size, options.learning_rate)
    fit("denoiser", plan, denoising(config), own)
    denoiser = trained(run, prepared, seed, "denoiser")
    inputs = Inputs(config, denoiser)
    plan = Plan(
        options.segmenter_epochs, options.segmenter_batch_size, options.segmenter_learning_rate
    )
    for kind in kinds(config):
        seen = {part: inputs(kind, images) for part, images in own.items()}
        fit(f"segmenter_{kind}", plan, segmenting(config), seen)
    if options.joint:  # the denoiser learns on, from where it is
        fit("joint", plan, segmenting(config), own, denoiser)


def networks(config: Config, classes: int) -> dict[str, Callable[[nnx.Rngs], nnx.Module]]:
    """Return what makes each kind of network."""
    return {
        "denoiser": lambda rngs: DiConvAE(config.denoiser, rngs=rngs),
        "segmenter": lambda rngs: SegNet(config.segmenter, classes, rngs=rngs),
        "joint": lambda rngs: Joint(config, classes, rngs=rngs),
    }


def denoising(config: Config) -> Objective:
    """Return the loss of a picture found under speckle, of a strength drawn for each."""
    sigmas = jnp.array(config.speckle.sigmas)
    features = None
    if config.train.loss != "l1_msssim":
        features = load_perceptual("vgg", lpips_path("vgg"))

    def objective(network: DiConvAE, batch: Batch, key: Array, train: bool) -> Array:
        which, noise, drop = jax.random.split(key, 3)
        images = batch["image"].astype(jnp.float32) / 255
        strength = jax.random.choice(which, sigmas, (len(images), 1, 1, 1))
        noisy = speckled(noise, images, strength, centred=config.speckle.centred)
        return denoising_loss(network(noisy, train, drop), images, config.train, features)

    return objective


def segmenting(config: Config) -> Objective:
    """Return the loss of a segmentation."""

    def objective(network: Any, batch: Batch, key: Array, train: bool) -> Array:
        images = batch["image"].astype(jnp.float32) / 255
        logits = (
            network(images, train, key) if isinstance(network, Joint) else network(images, train)
        )
        return segmentation_loss(logits, batch["labels"].astype(jnp.int32), config.train)

    return objective


def make_step(graph: nnx.GraphDef, objective: Objective, key: Array) -> Callable:
    """Return a pure `step(state, batch, index, rate) -> (state, loss)`; `index` picks its draws."""
    adam = optax.scale_by_adam()

    def step(
        state: State, batch: Batch, index: Array, rate: Array
    ) -> tuple[State, Float[Array, ""]]:
        def of(params: nnx.State) -> tuple[Float[Array, ""], nnx.State]:
            network = nnx.merge(graph, params, state.stats)
            value = objective(network, batch, jax.random.fold_in(key, index), True)
            return value, nnx.state(network, nnx.BatchStat)

        (value, stats), gradients = jax.value_and_grad(of, has_aux=True)(state.params)
        updates, moments = adam.update(gradients, state.moments)
        params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
        return State(params, stats, moments), value

    return step


def initial_state(build: Callable[[nnx.Rngs], nnx.Module], seed: int) -> tuple[nnx.GraphDef, State]:
    """Return a network's graph and its state before the first step."""

    @jax.jit
    def init(key: Array) -> State:
        network = build(nnx.Rngs(key))
        params = nnx.state(network, nnx.Param)
        return State(params, nnx.state(network, nnx.BatchStat), optax.scale_by_adam().init(params))

    graph = nnx.graphdef(nnx.eval_shape(lambda: build(nnx.Rngs(0))))
    return graph, init(Streams(seed).key("parameters"))


def make_validation(
    graph: nnx.GraphDef, objective: Objective, examples: ArraySource, size: int, key: Array
) -> Callable[[State], float]:
    """Return `validate(state)`: the mean loss of batches, with the same draws each time."""

    @jax.jit
    def measure(state: State, batch: Batch, index: Array) -> Float[Array, ""]:
        network = nnx.merge(graph, state.params, state.stats)
        return objective(network, batch, jax.random.fold_in(key, index), False)

    starts = range(0, len(examples), size)
    chosen = [examples[np.arange(s, min(s + size, len(examples)))] for s in starts]

    def validate(state: State) -> float:
        found = [measure(state, batch, np.int32(i)) for i, batch in enumerate(chosen)]
        return float(np.mean(jax.device_get(found)))

    return validate


def make_rate(config: TrainConfig, plan: Plan, steps: int) -> Callable[[int], float]:
    """Return the rate at a step: constant as published, or falling to zero as a cosine."""
    if config.schedule == "constant":
        return lambda _: plan.learning_rate
    cosine = optax.cosine_decay_schedule(plan.learning_rate, steps)
    return lambda step: float(cosine(step))


def _fit(
    folder: Path,
    build: Callable[[nnx.Rngs], nnx.Module],
    plan: Plan,
    objective: Objective,
    config: TrainConfig,
    examples: dict[str, ArraySource],
    seed: int,
    given: nnx.Module | None = None,
) -> None:
    """Train one network to its last epoch; `given` is the denoiser that a joint one begins with."""
    source, streams, mesh = examples["train"], Streams(seed), data_mesh()
    iterator = batches(
        source,
        plan.batch_size,
        seed,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    epoch = len(source) // plan.batch_size  # steps
    total = plan.epochs * epoch
    graph, state = initial_state(build, seed)
    if given is not None:
        for part, kind in (("params", nnx.Param), ("stats", nnx.BatchStat)):
            getattr(state, part)["denoiser"] = nnx.state(given, kind)
    step = data_parallel(make_step(graph, objective, streams.key(folder.name)), mesh)
    validate = make_validation(
        graph, objective, examples["validation"], plan.batch_size, streams.key("validation")
    )
    rate = make_rate(config, plan, total)
    state = replicate(mesh, state)
    checkpoints, start = checkpoints_of(folder), 0
    if restored := checkpoints.restore_last(state):
        start, state = restored.step, restored.state
        iterator.set_state(restored.iterator)
    label = f"train {folder.name}, seed {seed}"
    with MetricWriter(folder / "train.jsonl", total, label, start) as writer:
        losses, saved = [], time.monotonic()
        for done in range(start + 1, total + 1):
            now = np.float32(rate(done - 1))
            state, value = step(state, shard(mesh, next(iterator)), np.int32(done - 1), now)
            losses.append(value)
            validates = done % epoch == 0
            if not validates and done % config.log_every:
                continue
            scalars = {"loss": float(np.mean(jax.device_get(losses))), "rate": float(now)}
            losses = []
            check_finite(done, scalars["loss"], checkpoints)
            if validates:
                scalars["validation_loss"] = validate(state)
            writer.write(done, **scalars)
            if done == total or time.monotonic() - saved > 60 * config.checkpoint_minutes:
                checkpoints.save(done, state, iterator.get_state(), scalars)
                saved = time.monotonic()


def trained(run: Run, prepared: Prepared, seed: int, name: str) -> Any:
    """Return a trained network of a seed: denoiser, segmenter_<kind> or joint."""
    return restore(run.seed_folder(seed), name, run.config, len(prepared.classes))


def restore(folder: Path, name: str, config: Config, classes: int) -> Any:
    """Return a trained network of a seed's folder, by the name of its own folder in there."""
    build = networks(config, classes)[name.split("_")[0]]
    graph, state = initial_state(build, 0)
    checkpoints = checkpoints_of(folder / name)
    restored = checkpoints.restore_last(state)
    if restored is None:
        raise InputError(f"{checkpoints.folder}: no checkpoint; run --stage train first")
    return nnx.merge(graph, restored.state.params, restored.state.stats)


def checkpoints_of(folder: Path) -> Checkpoints:
    """Return the checkpoints of one network's training: the last."""
    return Checkpoints(folder / "checkpoints", keep=1)
