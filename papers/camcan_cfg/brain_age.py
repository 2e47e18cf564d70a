"""Training of the brain-age regressor and what it reads from pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from common.data.loader import in_batches
from common.training.rng import Streams
from common.training.stopping import EarlyStop, Plateau
from papers.camcan_cfg.config import BrainAgeConfig
from papers.camcan_cfg.data import Slices
from papers.camcan_cfg.models.brain_age import BrainAge


@dataclass(frozen=True)
class Reader:
    """A trained regressor with the mean and standard deviation of what it was trained on."""

    apply: Callable
    params: nnx.State
    mean: np.ndarray
    std: np.ndarray
    history: list[dict[str, float]]  # training and validation loss an epoch, standard units

    def __call__(self, images: np.ndarray, batch: int = 128) -> np.ndarray:
        """Return [n, 3]: age in years, sex (1 female … 2 male), slice number, of [n, h, w, 1]."""
        read = in_batches(partial(self.apply, self.params), images, batch)
        return read * self.std + self.mean


@partial(jax.jit, static_argnums=0)
def _apply(graph: nnx.GraphDef, params: nnx.State, images: Array) -> Array:
    return nnx.merge(graph, params)(images)


def _loss(graph: nnx.GraphDef, params: nnx.State, images: Array, targets: Array) -> Array:
    return jnp.mean(jnp.square(nnx.merge(graph, params)(images) - targets))


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def _step(
    graph: nnx.GraphDef,
    params: nnx.State,
    moments: optax.OptState,
    images: Float[Array, "batch height width 1"],
    targets: Float[Array, "batch 3"],
    rate: Array,
):
    loss, gradients = jax.value_and_grad(partial(_loss, graph))(params, images, targets)
    updates, moments = optax.scale_by_adam().update(gradients, moments)
    return jax.tree.map(lambda p, u: p - rate * u, params, updates), moments, loss


def train_reader(train: Slices, validation: Slices, config: BrainAgeConfig, seed: int) -> Reader:
    """Train on real slices: MSE in standard units, Adam, rate lowered on plateau, early stop.

    The parameters of the epoch with the lowest validation loss are kept, as in the source.
    """
    streams = Streams(seed)
    model = BrainAge(config, rngs=nnx.Rngs(streams.key("brain age")))
    graph, params = nnx.split(model)
    moments = optax.scale_by_adam().init(params)
    mean, std = train.conditions.mean(0), train.conditions.std(0) + 1e-6
    targets = (train.conditions - mean) / std
    apply = partial(_apply, graph)
    order = np.random.default_rng([seed, 1])
    plateau = Plateau(config.learning_rate, config.plateau_factor, config.plateau_patience)
    stop = EarlyStop(config.stop_patience)
    best = jax.device_get(params)
    history: list[dict[str, float]] = []
    for _ in range(config.epochs):
        losses = []
        shuffled = order.permutation(len(targets))
        for i in range(0, len(shuffled) - config.batch_size + 1, config.batch_size):
            rows = shuffled[i : i + config.batch_size]
            params, moments, loss = _step(
                graph, params, moments, train.images[rows], targets[rows], plateau.rate
            )
            losses.append(loss)
        reader = Reader(apply, params, mean, std, history)
        error = (reader(validation.images) - validation.conditions) / std
        value = float(np.mean(np.square(error)))
        history.append({"loss": float(np.mean(jax.device_get(losses))), "validation_loss": value})
        plateau, stop = plateau.update(value), stop.update(value)
        if stop.improved:
            best = jax.device_get(params)
        if stop.stopped:
            break
    return Reader(apply, best, mean, std, history)
