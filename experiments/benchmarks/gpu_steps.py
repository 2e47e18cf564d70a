"""Our training steps of `experiments.benchmarks.gpu`: pure, on fixed inputs, nothing fetched.

Imported after `xla.configure()`. Where PyTorch's side has left its weights in a row's folder, the
training begins with them, else with weights of its own.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from common.nn.by_name import load_by_name, torch_layout
from experiments.benchmarks import surgical_nets_jax, surgical_nets_rows
from papers.camcan_cfg.config import ModelConfig as UNetConfig
from papers.camcan_cfg.models.convert import from_monai
from papers.camcan_cfg.models.unet import UNet
from papers.lgg_attention_unet.config import ModelConfig as AttentionUNetConfig
from papers.lgg_attention_unet.convert import from_keras
from papers.lgg_attention_unet.losses import bce_dice
from papers.lgg_attention_unet.model import AttentionUNet
from papers.rare_disease_controlnet.classifier.model import Classifier
from papers.rare_disease_controlnet.config import ClassifierConfig
from papers.surgical_vision.families import recipe_of
from papers.surgical_vision.train import compiled
from papers.ultrasound_diconvae.config import DenoiserConfig, SegmenterConfig
from papers.ultrasound_diconvae.models.convert import from_torch
from papers.ultrasound_diconvae.models.denoiser import DiConvAE
from papers.ultrasound_diconvae.models.segnet import SegNet
from tests.papers.rare_disease_controlnet.test_classifier import name_of

Inputs = dict[str, jax.Array]


@dataclass
class Training:
    """A training: `begin()` returns its first state, `step(state, *given)` the next and a loss."""

    begin: Callable[[], Any]
    step: Any
    given: tuple


@dataclass(frozen=True)
class Supervised:
    """A network that learns from one loss; `read` takes PyTorch's weights."""

    build: Callable[[], nnx.Module]
    read: Callable[[nnx.Module, dict[str, np.ndarray]], Any]
    loss: Callable[[Any, Inputs], jax.Array]  # of the network in training mode
    optimizer: optax.GradientTransformation


def training_of(row: str, folder: Path, dtype: str) -> Training:
    """Return the training of a row, computing in `dtype` on parameters of float32."""
    setting = json.loads((folder / "setting.json").read_text())
    inputs = {name: jnp.asarray(a) for name, a in np.load(folder / "inputs.npz").items()}
    if row in surgical_nets_rows.ROWS:
        return _surgical(row, folder, dtype, setting["tiny"], inputs)
    return _supervised(_NETWORKS[row](setting, dtype), folder, inputs)


def _supervised(row: Supervised, folder: Path, inputs: Inputs) -> Training:
    abstract = nnx.eval_shape(row.build)
    graph, *_ = nnx.split(abstract, nnx.Param, nnx.BatchStat)
    build = jax.jit(lambda: nnx.state(row.build()))
    file = folder / "network.npz"

    def begin() -> tuple:
        state = row.read(abstract, dict(np.load(file))) if file.exists() else build()
        network = nnx.merge(nnx.graphdef(abstract), state)
        _, params, stats = nnx.split(network, nnx.Param, nnx.BatchStat)
        params, stats = jax.tree.map(jnp.array, (params, stats))
        return params, stats, row.optimizer.init(params)

    def step(state: tuple, inputs: Inputs) -> tuple[tuple, jax.Array]:
        params, stats, moments = state

        def objective(params: Any) -> tuple[jax.Array, Any]:
            network = nnx.merge(graph, params, stats)
            return row.loss(network, inputs), nnx.state(network, nnx.BatchStat)

        (value, moved), gradients = jax.value_and_grad(objective, has_aux=True)(params)
        updates, moments = row.optimizer.update(gradients, moments, params)
        return (optax.apply_updates(params, updates), moved, moments), value

    return Training(begin, jax.jit(step, donate_argnums=0), (inputs,))


def _surgical(row: str, folder: Path, dtype: str, tiny: bool, inputs: Inputs) -> Training:
    config = surgical_nets_rows.config_of(tiny)
    config = replace(config, train=replace(config.train, dtype=dtype))
    recipe, key = recipe_of(row, config), jax.random.key(surgical_nets_rows.KEY)
    fixed = recipe.fixed({}, None)
    init, step = jax.jit(recipe.init), compiled(recipe)[1]
    names = surgical_nets_jax.names_of(row, config)

    def begin() -> Any:
        if len(list(folder.glob("*.npz"))) > 1:  # the inputs, and PyTorch's weights
            return surgical_nets_jax.first_state(recipe, folder, names)
        return init(key, fixed)

    batch = {name: inputs[name] for name in surgical_nets_rows.READ[row]}
    steps = jnp.float32(surgical_nets_jax.STEPS)
    return Training(begin, step, (batch, jnp.int32(0), key, steps, fixed))


def _unet(setting: dict, dtype: str) -> Supervised:
    model = {name: _tuples(value) for name, value in setting["model"].items()}
    config = UNetConfig(**{**model, "dtype": dtype})

    def loss(network: Any, inputs: Inputs) -> jax.Array:
        eps = network(inputs["x"], inputs["t"], inputs["conditions"])
        return jnp.square(eps - inputs["noise"]).mean()

    return Supervised(
        lambda: UNet(config, rngs=nnx.Rngs(0)),
        lambda _, weights: from_monai(weights, replace(config, dtype="float32")),
        loss,
        optax.adam(setting["rate"]),
    )


def _attention_unet(setting: dict, dtype: str) -> Supervised:
    config = AttentionUNetConfig(filters=_tuples(setting["filters"]), dtype=dtype)  # type: ignore[arg-type]

    def loss(network: Any, inputs: Inputs) -> jax.Array:
        logits = network(inputs["images"], train=True)
        return bce_dice(logits, inputs["masks"], setting["smooth"])

    return Supervised(
        lambda: AttentionUNet(config, rngs=nnx.Rngs(0)),
        lambda _, weights: from_keras(weights, config),
        loss,
        optax.adam(setting["rate"], b1=0.9, b2=0.99, eps=1e-7),
    )


def _denoiser(setting: dict, dtype: str) -> Supervised:
    sizes = {name: _tuples(value) for name, value in setting["denoiser"].items()}
    config = DenoiserConfig(**sizes, dropout=0.0, dtype=dtype)  # type: ignore[arg-type]

    def loss(network: Any, inputs: Inputs) -> jax.Array:
        return jnp.abs(network(inputs["images"], train=True) - inputs["clean"]).mean()

    adam = optax.adam(setting["rate"])
    build = lambda: DiConvAE(config, rngs=nnx.Rngs(0))  # noqa: E731
    return Supervised(build, from_torch, loss, adam)


def _segmenter(setting: dict, dtype: str) -> Supervised:
    sizes = {name: _tuples(value) for name, value in setting["segmenter"].items()}
    classes = sizes.pop("classes")
    config = SegmenterConfig(**sizes, dtype=dtype)
    adam = optax.adam(setting["rate"])
    build = lambda: SegNet(config, classes, rngs=nnx.Rngs(0))  # noqa: E731
    return Supervised(build, from_torch, _entropy, adam)


def _classifier(setting: dict, dtype: str) -> Supervised:
    config = ClassifierConfig(dtype=dtype)  # type: ignore[arg-type]
    adam = optax.adamw(setting["rate"], weight_decay=setting["decay"])
    build = lambda: Classifier(config, setting["classes"], rngs=nnx.Rngs(0))  # noqa: E731

    def read(network: nnx.Module, weights: dict[str, np.ndarray]) -> Any:
        return load_by_name(network, weights, name_of, torch_layout(network), "torchvision's")

    return Supervised(build, read, _entropy, adam)


def _entropy(network: Any, inputs: Inputs) -> jax.Array:
    logits = network(inputs["images"], train=True)
    return optax.softmax_cross_entropy_with_integer_labels(logits, inputs["labels"]).mean()


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


_NETWORKS: dict[str, Callable[[dict, str], Supervised]] = {
    "unet": _unet,
    "attention_unet": _attention_unet,
    "denoiser": _denoiser,
    "segmenter": _segmenter,
    "classifier": _classifier,
}
