"""Our side of `experiments.benchmarks.surgical_nets`, in a process of its own.

Started by it with a folder and a row. Answers as `answering` says: "load" takes the weights that
PyTorch's side left in the folder, "compile" makes the programs ready; then "infer" and "step",
which is the program that a training of the study runs.
"""

from common import xla

xla.configure()  # before JAX is imported

import json  # noqa: E402
import sys  # noqa: E402
from collections.abc import Mapping  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from flax import nnx  # noqa: E402

from common.nn.by_name import from_torch_parameter, from_torch_transposed_kernel  # noqa: E402
from common.training.state import State  # noqa: E402
from experiments.benchmarks.answering import answer  # noqa: E402
from experiments.benchmarks.latent_diffusion_sides import recorded  # noqa: E402
from experiments.benchmarks.surgical_nets_rows import (  # noqa: E402
    DOMAINS,
    KEY,
    READ,
    config_of,
)
from papers.surgical_vision.config import Config  # noqa: E402
from papers.surgical_vision.families import recipe_of  # noqa: E402
from papers.surgical_vision.models import convert  # noqa: E402
from papers.surgical_vision.recipes.recipe import Faces, Recipe  # noqa: E402
from papers.surgical_vision.train import compiled  # noqa: E402

Arrays = Mapping[str, np.ndarray]
PARTS = {"kernel": "weight", "scale": "weight"}
STEPS = np.float32(1000)  # of a training; every measured step draws what its first does


def loaded(template: nnx.State, weights: Arrays, names: convert.Names | None) -> nnx.State:
    """Return the state of a network with PyTorch's weights, by our names where none are given."""

    def name_of(path: tuple[Any, ...]) -> str:
        if names is not None:
            return convert.torch_name(path, names)
        return ".".join(PARTS.get(str(part), str(part)) for part in path)

    def array(path: tuple[Any, ...], dimensions: int) -> np.ndarray:
        if path[0] == "own":  # of StarGANv2's mapping network: ours has those of all domains in one
            own = [weights[name_of(("own", d, *path[1:]))] for d in range(DOMAINS)]
            return np.stack([one.T for one in own])
        found = weights[name_of(path)]
        if path[0] == "up" and path[-1] == "kernel":
            return from_torch_transposed_kernel(found)
        return from_torch_parameter(path, found, dimensions)

    flat = nnx.to_flat_state(template)
    return nnx.from_flat_state(
        [(path, v.replace(jnp.asarray(array(path, len(v.shape))))) for path, v in flat]
    )


def names_of(row: str, config: Config) -> dict[str, convert.Names]:
    """Return what PyTorch's calls the layers of each network; none of StarGANv2's."""
    if row == "pix2pix":
        judge = convert.patchgan_names(config.pix2pix.discriminator_layers)
        return {"generator": convert.pix2pix_names(config.pix2pix.downs), "discriminator": judge}
    if row == "cyclegan":
        generator = convert.cyclegan_names(config.cyclegan.blocks)
        judge = convert.patchgan_names(config.cyclegan.discriminator_layers)
        both = {"to_after": generator, "to_before": generator}
        return both | {"is_after": judge, "is_before": judge}
    if row == "stargan":
        judge = convert.stargan_discriminator_names(config.stargan.discriminator_layers)
        return {"generator": convert.stargan_names(config.stargan.blocks), "discriminator": judge}
    return {}


class Model:
    """A model of the study, the state of its training, and its two programs."""

    def __init__(self, row: str, folder: Path):
        setting = json.loads((folder / "setting.json").read_text())
        config = config_of(setting["tiny"])
        self.recipe, self.inputs = recipe_of(row, config), dict(np.load(folder / "inputs.npz"))
        self.state = first_state(self.recipe, folder, names_of(row, config))
        batch = {name: jnp.asarray(self.inputs[name]) for name in READ[row]}
        fixed = self.recipe.fixed({}, None)
        self.given = (batch, np.int32(0), jax.random.key(KEY), STEPS, fixed)
        self.faces = Faces(*(self.inputs[name] for name in ("image", "label", "seed")))

    def compile(self) -> int:
        """Make both programs ready; return the bytes that XLA plans for a step's activations."""
        step: Any = compiled(self.recipe)[1]
        translate: Any = self.recipe.translate
        self.train = step.lower(self.state, *self.given).compile()
        weights = self.recipe.weights(self.state, {})
        self.translate = translate.lower(weights, self.faces).compile()
        return self.train.memory_analysis().temp_size_in_bytes

    def step(self) -> np.ndarray:
        """Take a step; return its losses in the order of their names."""
        self.state, losses = self.train(self.state, *self.given)
        return np.array([float(losses[name]) for name in sorted(losses)])

    def infer(self) -> np.ndarray:
        """Return the images of faces."""
        return np.asarray(self.translate(self.recipe.weights(self.state, {}), self.faces))


def first_state(recipe: Recipe, folder: Path, names: Mapping[str, convert.Names]) -> State:
    """Return PyTorch's weights, and an optimizer that has seen nothing."""
    template = jax.eval_shape(recipe.init, jax.random.key(KEY), recipe.fixed({}, None))
    params = {
        name: loaded(network, np.load(folder / f"{name}.npz"), names.get(name))
        for name, network in template.params.items()
    }
    rest = (template.opt_state, template.stats)
    opt_state, stats = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), rest)
    averaged = template.ema or ()
    average = {name: jax.tree.map(jnp.array, params[name]) for name in averaged}
    return State(params, opt_state, stats, average or None)


def main() -> None:
    folder, row = Path(sys.argv[1]), sys.argv[2]
    models: list[Model] = []

    def load() -> float:
        models.append(Model(row, folder))
        return 0.0

    runs = {"infer": lambda: models[0].infer(), "step": lambda: models[0].step()}
    others = {"load": load, "compile": lambda: models[0].compile()}
    answer(f"JAX {jax.__version__}", {**others, **recorded(runs, folder / "jax")})


if __name__ == "__main__":
    main()
