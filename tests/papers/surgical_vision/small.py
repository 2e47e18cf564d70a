"""Every model in its smallest form, faces that are clouds of color, and steps compiled once."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.ndimage import gaussian_filter

from common.study import config as configs
from common.study import experiment as experiments
from common.training.rng import Streams
from common.training.state import State
from papers.surgical_vision.config import Config
from papers.surgical_vision.data import Images, Part
from papers.surgical_vision.families import recipe_of
from papers.surgical_vision.networks import networks
from papers.surgical_vision.recipes.recipe import Recipe
from papers.surgical_vision.study import STUDY

QUICK = {"xla_backend_optimization_level": 0}  # compiles in half the time
EXPERIMENT = experiments.load(STUDY.experiments, "smoke")
SMOKE: Config = configs.override(Config(), EXPERIMENT.config)
# Nothing is augmented, so that losses are known; rates at which a few steps show.
SMALL = configs.override(
    SMOKE,
    {
        "augment": {"flip": False, "rotation": 0.0, "brightness": 0.0},
        "autoencoder": {"learning_rate": 0.01},
        "pix2pix": {"learning_rate": 0.003},
        "stargan": {"critic_steps": 2, "learning_rate": 0.003},
        "starganv2": {"learning_rate": 0.003, "mapping_learning_rate": 3e-5},
        "diffusion": {"learning_rate": 0.01, "lora_learning_rate": 0.03, "sampling_steps": 3},
        "warm_start": {"steps": 0, "learning_rate": 0.01},
    },
)
SIDE = SMALL.data.size
LABELS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], np.uint8)


def clouds(seed: int, count: int, side: int = SIDE) -> Images:
    """Return smooth images of random color."""
    noise = np.random.default_rng(seed).standard_normal((count, side, side, 3))
    smooth = gaussian_filter(noise, (0, 4, 4, 0), mode="wrap")
    return (128 + 60 * (smooth / smooth.std())).clip(0, 255).astype(np.uint8)


def part_of(count: int = 4, seed: int = 0) -> Part:
    """Return pairs without truth, their labels in turn."""
    names = tuple(f"{number}" for number in range(count))
    labels = np.resize(LABELS, (count, 3))
    return Part(names, clouds(seed, count), clouds(seed + 1, count), labels)


class Trained(NamedTuple):
    """A network's recipe, its two programs, and what they need; `state` is in host memory."""

    recipe: Recipe
    fixed: Any
    step: Any
    state: State
    states: Mapping[str, State]  # of the networks that it learns from

    def weights(self, state: State) -> Any:
        """What it translates with after such a training."""
        return self.recipe.weights(state, self.states)


@functools.cache
def fresh(network: str, config: Config = SMALL) -> Trained:
    """Return a network with its first state, behind networks that took some steps."""
    known, recipe = networks(config), recipe_of(network, config)
    after = known[network].after if network in known else ()  # not there: an identity
    states = {name: learned(name) for name in after}
    fixed = recipe.fixed(states, part_of())
    init, step = (jax.jit(f, compiler_options=QUICK) for f in (recipe.init, recipe.step))
    state = jax.device_get(init(Streams(0).key(network), fixed))
    return Trained(recipe, fixed, step, state, states)


@functools.cache
def learned(network: str, count: int = 4) -> State:
    """Return a network's state after so many steps."""
    state, _ = stepped(network)
    for index in range(1, count):
        state, _ = stepped(network, state, index=index)
    return state


def batch_of(network: str, count: int = 4, config: Config = SMALL) -> dict[str, np.ndarray]:
    """Return the first examples of what a network learns from."""
    return recipe_of(network, config).source(part_of(count))[np.arange(count)]


def stepped(
    network: str, state: State | None = None, batch: Any = None, *, index: int = 0, steps: int = 8,
    fixed: Any = None, key: int = 1,
) -> tuple[State, dict[str, float]]:  # fmt: skip
    """Return state and losses after a step: by default the first, on the first four examples."""
    one = fresh(network)
    given = one.state if state is None else state
    batch = batch_of(network) if batch is None else batch
    fixed = one.fixed if fixed is None else fixed
    state, losses = one.step(
        given, batch, np.int32(index), jax.random.key(key), np.float32(steps), fixed
    )
    return jax.device_get(state), {name: float(loss) for name, loss in losses.items()}


def leaves(tree: Any) -> dict[str, np.ndarray]:
    """Return the arrays of a pytree by their paths."""
    found = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in found}


def assert_same(ours: Any, theirs: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
