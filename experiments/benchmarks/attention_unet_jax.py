"""Our side of `experiments.benchmarks.attention_unet`, which starts it with a folder and a dtype.

Reads the weights that PyTorch's side wrote, then answers as `answering` says.
"""

from common import xla

xla.configure()  # before JAX is imported

import json  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from flax import nnx  # noqa: E402

from experiments.benchmarks.answering import answer  # noqa: E402
from papers.lgg_attention_unet.config import ModelConfig  # noqa: E402
from papers.lgg_attention_unet.convert import from_keras  # noqa: E402
from papers.lgg_attention_unet.model import AttentionUNet  # noqa: E402


def actions(folder: Path, dtype: Any) -> dict[str, Callable[[], float]]:
    """Return what the other sides do too, each one compiled program; `step` keeps its state."""
    setting = json.loads((folder / "setting.json").read_text())
    config = ModelConfig(filters=tuple(setting["filters"]), dtype=dtype)
    inputs = np.load(folder / "inputs.npz")
    images, masks = jnp.asarray(inputs["images"]), jnp.asarray(inputs["masks"])
    network = nnx.eval_shape(lambda: AttentionUNet(config, rngs=nnx.Rngs(0)))
    nnx.update(network, from_keras(dict(np.load(folder / "weights.npz")), config))
    graph, params, stats = nnx.split(network, nnx.Param, nnx.BatchStat)
    optimizer = optax.adam(setting["rate"], b1=0.9, b2=0.99, eps=1e-7)

    @jax.jit
    def forward(params, stats):
        return jnp.square(jax.nn.sigmoid(nnx.merge(graph, params, stats)(images))).mean()

    def loss(params, stats):
        network = nnx.merge(graph, params, stats)
        logits = network(images, train=True)
        p, smooth = jax.nn.sigmoid(logits), setting["smooth"]
        dice = (2 * (p * masks).sum() + smooth) / (p.sum() + masks.sum() + smooth)
        value = optax.sigmoid_binary_cross_entropy(logits, masks).mean() - dice
        return value, nnx.state(network, nnx.BatchStat)

    def step(params, stats, moments):
        (value, stats), gradients = jax.value_and_grad(loss, has_aux=True)(params, stats)
        updates, moments = optimizer.update(gradients, moments)
        return optax.apply_updates(params, updates), stats, moments, value

    state = [params, stats, optimizer.init(params)]
    compiled = jax.jit(step, donate_argnums=(0, 1, 2))

    def train() -> float:
        *state[:], value = compiled(*state)
        return float(value)

    return {"forward": lambda: float(forward(*state[:2])), "step": train}


if __name__ == "__main__":
    xla.restart_with_huge_pages()
    answer(f"JAX {jax.__version__}", actions(Path(sys.argv[1]), sys.argv[2]))
