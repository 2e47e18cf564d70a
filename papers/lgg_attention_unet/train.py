"""Training: a pure step on (state, batch, step number, rate) and the loop around it."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from common.data.loader import ArraySource, batches
from common.errors import InputError
from common.metrics.overlap import soft_iou
from common.study.protocol import Run
from common.study.trained import save_config
from common.training.checkpoints import Checkpoints
from common.training.finite import check_finite
from common.training.mesh import data_mesh, data_parallel, replicate, shard
from common.training.rng import Streams
from common.training.stopping import EarlyStop, Plateau
from common.training.writer import MetricWriter
from papers.lgg_attention_unet import data
from papers.lgg_attention_unet.augment import augment
from papers.lgg_attention_unet.config import Config, ModelConfig, TrainConfig
from papers.lgg_attention_unet.inference import Segmenter, best_threshold
from papers.lgg_attention_unet.losses import Loss, make_loss
from papers.lgg_attention_unet.model import AttentionUNet

EPSILON = 1e-7  # of Keras's Adam


class State(NamedTuple):
    """What training changes; `stats` are the moving averages of BatchNorm."""

    params: nnx.State
    stats: nnx.State
    moments: optax.OptState


def networks(config: Config) -> dict[str, ModelConfig]:
    """Return the networks that a seed trains: the config's own and, if asked, one without gates."""
    found = {"attention" if config.model.gates else "plain": config.model}
    if config.train.ablation:
        found["plain"] = replace(config.model, gates=False)
    return found


def adam(config: TrainConfig) -> optax.GradientTransformation:
    """Return Adam without its rate, which the loop gives to every step."""
    return optax.scale_by_adam(config.beta1, config.beta2, EPSILON)


def make_step(graph: nnx.GraphDef, loss: Loss, config: TrainConfig, key: Array) -> Callable:
    """Return a pure `step(state, batch, index, rate) -> (state, loss)`; `index` picks its draws."""
    optimizer = adam(config)

    def step(
        state: State, batch: dict[str, Array], index: Array, rate: Array
    ) -> tuple[State, Float[Array, ""]]:
        images = batch["image"] * batch["scale"][:, None, None]
        masks = batch["mask"].astype(jnp.float32)
        images, masks = augment(jax.random.fold_in(key, index), images, masks, config)

        def objective(params: nnx.State) -> tuple[Float[Array, ""], nnx.State]:
            network = nnx.merge(graph, params, state.stats)
            value = loss(network(images, train=True), masks)
            return value, nnx.state(network, nnx.BatchStat)

        (value, stats), gradients = jax.value_and_grad(objective, has_aux=True)(state.params)
        updates, moments = optimizer.update(gradients, state.moments)
        params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
        return State(params, stats, moments), value

    return step


def initial_state(model: ModelConfig, config: TrainConfig, seed: int) -> tuple[nnx.GraphDef, State]:
    """Return the network's graph and its state before the first step."""

    @jax.jit
    def init(key: Array) -> State:
        network = AttentionUNet(model, rngs=nnx.Rngs(key))
        params = nnx.state(network, nnx.Param)
        return State(params, nnx.state(network, nnx.BatchStat), adam(config).init(params))

    graph = nnx.graphdef(nnx.eval_shape(lambda: AttentionUNet(model, rngs=nnx.Rngs(0))))
    return graph, init(Streams(seed).key("parameters"))


def make_validation(
    graph: nnx.GraphDef, loss: Loss, examples: ArraySource, config: TrainConfig
) -> Callable[[State], dict[str, float]]:
    """Return `validate(state)`: loss and soft IoU, means over batches as in Keras.

    The batches are the same each time; every process computes the whole of it.
    """

    @jax.jit
    def measure(state: State, batch: dict[str, Array]) -> tuple[Array, Array]:
        network = nnx.merge(graph, state.params, state.stats)
        logits = network(batch["image"] * batch["scale"][:, None, None])
        masks = batch["mask"].astype(jnp.float32)
        return loss(logits, masks), soft_iou(jax.nn.sigmoid(logits), masks, smooth=config.smooth)

    order = np.random.default_rng(0).permutation(len(examples))
    size = config.batch_size
    chosen = [examples[order[start : start + size]] for start in range(0, len(order), size)]

    def validate(state: State) -> dict[str, float]:
        found = np.array(jax.device_get([measure(state, batch) for batch in chosen]))
        value, iou = found.mean(0).tolist()
        return {"validation_loss": value, "validation_soft_iou": iou}

    return validate


def make_rate(config: TrainConfig, steps: int) -> Callable[[int, Plateau], float]:
    """Return `rate(step, plateau)`: the plateau's, or the cosine's with its warm-up."""
    if config.schedule == "plateau":
        return lambda _, plateau: plateau.rate
    cosine = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, config.warmup_steps, max(steps, config.warmup_steps + 1)
    )
    return lambda step, _: float(cosine(step))


def train(run: Run, prepared: data.Prepared, seed: int) -> None:
    """Train every network of one seed, each from its last checkpoint where there is one.

    Writes checkpoints, `train.jsonl` and `config.json` into a folder for each network, the last
    with the threshold that validation patients choose, where the config says so. Raises `Diverged`
    where the loss stops being finite.
    """
    config: Config = run.config
    parts = data.load(prepared, config.data, seed)
    options = config.train
    examples = data.source(parts["train"], config.data, options.normalize, options.tumour_repeats)
    validation = data.source(parts["validation"], config.data, options.normalize)
    for name, model in networks(config).items():
        folder, own = run.seed_folder(seed) / name, replace(config, model=model)
        save_config(folder, own)
        _train(folder, model, options, examples, validation, seed)
        if config.evaluate.tuned_threshold:
            segment = Segmenter(restore(folder, own), own)
            threshold = best_threshold(parts["validation"], segment, own.evaluate)
            save_config(folder, replace(own, evaluate=replace(own.evaluate, threshold=threshold)))


def _train(
    folder: Path,
    model: ModelConfig,
    config: TrainConfig,
    examples: ArraySource,
    validation: ArraySource,
    seed: int,
) -> None:
    """Train one network to its last epoch or its early stop."""
    iterator = batches(
        examples,
        config.batch_size,
        seed,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    epoch = len(examples) // config.batch_size  # steps
    total = config.epochs * epoch
    mesh, loss = data_mesh(), make_loss(config)
    graph, state = initial_state(model, config, seed)
    step = data_parallel(make_step(graph, loss, config, Streams(seed).key("train")), mesh)
    validate = make_validation(graph, loss, validation, config)
    rate = make_rate(config, total)
    state = replicate(mesh, state)
    plateau = Plateau.keras(
        config.learning_rate, config.plateau_factor, config.plateau_patience,
        config.min_learning_rate,
    )  # fmt: skip
    stop = EarlyStop(config.stop_patience)

    checkpoints = checkpoints_of(folder)
    start = 0
    if restored := checkpoints.restore_last(state):
        start, state = restored.step, restored.state
        iterator.set_state(restored.iterator)
        plateau, stop = Plateau(**restored.extra["plateau"]), EarlyStop(**restored.extra["stop"])
    label = f"train {folder.name}, seed {seed}"
    with MetricWriter(folder / "train.jsonl", total, label, start) as writer:
        losses, saved = [], time.monotonic()
        for done in range(start + 1, total + 1):
            if stop.stopped:
                break
            now = np.float32(rate(done - 1, plateau))
            state, value = step(state, shard(mesh, next(iterator)), np.int32(done - 1), now)
            losses.append(value)
            validates = done % epoch == 0
            if not validates and done % config.log_every:
                continue
            scalars = {"loss": float(np.mean(jax.device_get(losses))), "rate": float(now)}
            losses = []
            check_finite(done, scalars["loss"], checkpoints)
            if validates:
                scalars |= validate(state)
                plateau = plateau.update(scalars["validation_loss"])
                stop = stop.update(scalars["validation_loss"])
            writer.write(done, **scalars)
            late = time.monotonic() - saved > 60 * config.checkpoint_minutes
            if validates and (stop.improved or stop.stopped or late or done == total):
                extra = {"plateau": asdict(plateau), "stop": asdict(stop)}
                checkpoints.save(done, state, iterator.get_state(), scalars, extra)
                saved = time.monotonic()


def checkpoints_of(folder: Path) -> Checkpoints:
    """Return the checkpoints of one network's training: the last and the best."""
    return Checkpoints(folder / "checkpoints", keep=1, best="validation_loss")


def restore(folder: Path, config: Config) -> AttentionUNet:
    """Return the network of one training's folder: the best by validation loss, or the last."""
    graph, state = initial_state(config.model, config.train, 0)
    checkpoints: Any = checkpoints_of(folder)
    best = config.train.keep == "best"
    restored = (checkpoints.restore_best if best else checkpoints.restore_last)(state)
    if restored is None:
        raise InputError(f"{checkpoints.folder}: no checkpoint; run --stage train first")
    return nnx.merge(graph, restored.state.params, restored.state.stats)
