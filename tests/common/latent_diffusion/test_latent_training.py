"""Training of adaptations, ControlNets and whole U-Nets on latents."""

import os
import subprocess
import sys
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from common.diffusion.losses import denoising_loss
from common.diffusion.schedule import Schedule
from common.diffusion.unet.unet import UNet
from common.latent_diffusion.config import HintConfig
from common.latent_diffusion.controlnet import ControlNet
from common.latent_diffusion.lora import LoRAParam, add_lora, merge_lora
from common.latent_diffusion.training import (
    Fixed,
    Objective,
    controlnet_prediction,
    draw_examples,
    make_loss,
    make_step,
    unet_prediction,
)
from common.training.state import State
from tests.common.latent_diffusion.small import SMALL

CONFIG = SMALL.unet
HINT = HintConfig(channels=(4,))
SCHEDULE = Schedule.scaled_linear()
KEY, INDEX = jax.random.key(3), np.int32(0)


@cache
def drawn_unet():
    unet = jax.jit(lambda: UNet(CONFIG, rngs=nnx.Rngs(0)))()
    # nothing is zero, so that every gradient is something
    for path, parameter in nnx.to_flat_state(nnx.state(unet)):
        if path[-1] == "kernel" and not parameter[...].any():
            spread = 0.3 / np.sqrt(np.prod(parameter.shape[:-1]))
            parameter[...] = spread * jax.random.normal(jax.random.key(1), parameter.shape)
    return unet


def fresh_unet():
    return nnx.clone(drawn_unet())


def batch(rows=4):
    random = np.random.default_rng(0)
    return {
        "latents": jnp.asarray(random.standard_normal((rows, 8, 8, 4), np.float32)),
        "context": jnp.asarray(random.standard_normal((rows, 5, 8), np.float32)),
        "hint": jnp.asarray(random.random((rows, 8, 8, 3), np.float32)),
    }


def adapted(rank=2, alpha=16):
    """Return the parts of an adapted U-Net, what it predicts, and what is fixed."""
    unet = fresh_unet()
    add_lora(unet, rank, alpha, rngs=nnx.Rngs(5))
    graph, trained, rest = nnx.split(unet, LoRAParam, ...)
    return unet, graph, trained, Fixed(rest, SCHEDULE, jnp.zeros((5, 8)))


def run(predict, trained, fixed, objective=None, indices=(0,), **options):
    """Return the state after steps with the draws of these indices, and their losses."""
    optimizer = optax.adam(1e-2)
    step = jax.jit(make_step(predict, objective or Objective(), optimizer, **options))
    ema = jax.tree.map(jnp.copy, trained) if options.get("ema") else None
    state, losses = State(trained, optimizer.init(trained), ema=ema), []
    for index in indices:
        state, value = step(state, batch(), np.int32(index), KEY, fixed)
        losses.append(float(value))
    return state, losses


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def test_an_adaptation_learns_and_nothing_else_changes():
    _, graph, trained, fixed = adapted()
    before = leaves(fixed.network)
    state, losses = run(unet_prediction(graph), trained, fixed, indices=(0,) * 8)
    assert losses[-1] < losses[0]
    for old, new in zip(leaves(trained), leaves(state.params), strict=True):
        assert (old != new).any()
    for old, new in zip(before, leaves(fixed.network), strict=True):
        assert (old == new).all()
    count = sum(leaf.size for leaf in leaves(trained))
    moments = [leaf for leaf in leaves(state.opt_state) if leaf.ndim]
    assert sum(leaf.size for leaf in moments) == 2 * count
    assert count < 0.2 * sum(leaf.size for leaf in before)


def test_gradients_of_an_adaptation_are_those_of_its_product():
    unet, graph, trained, fixed = adapted()
    trained = jax.tree.map(lambda x: x + 0.1 * jax.random.normal(KEY, x.shape), trained)
    nnx.update(unet, trained)
    loss = make_loss(unet_prediction(graph), Objective())
    examples = draw_examples(batch(), KEY, fixed, 0.0)
    ours = jax.jit(jax.grad(loss))(trained, fixed, examples)
    layer = unet.down[0].blocks[0].attention.transformer.self_attention.query
    a, b, scale = layer.lora_a[...], layer.lora_b[...], 16 / 2
    place = ("down", 0, "blocks", 0, "attention", "transformer", "self_attention", "query")
    merge_lora(unet)
    plain, parameters = nnx.split(unet)
    whole = make_loss(unet_prediction(plain), Objective())
    theirs = jax.jit(jax.grad(whole))(parameters, Fixed(nnx.State({}), SCHEDULE), examples)
    kernel = dict(nnx.to_flat_state(theirs))[(*place, "kernel")][...]
    flat = dict(nnx.to_flat_state(ours))
    np.testing.assert_allclose(flat[(*place, "lora_a")][...], scale * kernel @ b.T, rtol=1e-3)
    np.testing.assert_allclose(
        flat[(*place, "lora_b")][...], scale * a.T @ kernel, rtol=1e-3, atol=1e-6
    )


def controlled():
    unet = fresh_unet()
    controlnet = ControlNet.of(unet, CONFIG, HINT, seed=0)
    unet_graph, rest = nnx.split(unet)
    graph, trained = nnx.split(controlnet)
    predict = controlnet_prediction(graph, unet_graph)
    return predict, unet_prediction(unet_graph), trained, rest


def test_a_controlnet_learns_beside_a_unet_that_stays_as_it_is():
    predict, alone, trained, rest = controlled()
    fixed = Fixed(rest, SCHEDULE)
    examples = draw_examples(batch(), KEY, fixed, 0.0)
    without = jax.jit(alone)(rest, Fixed(nnx.State({}), SCHEDULE), examples)
    np.testing.assert_array_equal(jax.jit(predict)(trained, fixed, examples), without)
    before = leaves(rest)
    state, losses = run(predict, trained, fixed, indices=(0,) * 8)
    assert losses[-1] < losses[0]
    assert all((old == new).all() for old, new in zip(before, leaves(rest), strict=True))
    changed = dict(nnx.to_flat_state(state.params))
    # the first step moves the zero convolutions, later ones what lies before them
    assert changed[("to_middle", "kernel")][...].any()
    assert changed[("hint", "conv_out", "kernel")][...].any()


def test_bfloat16_weights_that_are_fixed_stay_so_and_trained_ones_are_float32():
    unet = fresh_unet()
    for _, parameter in nnx.to_flat_state(nnx.state(unet)):
        parameter[...] = parameter[...].astype(jnp.bfloat16)
    add_lora(unet, 2, 16, rngs=nnx.Rngs(5))
    graph, trained, rest = nnx.split(unet, LoRAParam, ...)
    state, losses = run(unet_prediction(graph), trained, Fixed(rest, SCHEDULE), indices=(0, 1))
    assert np.isfinite(losses).all()
    assert {leaf.dtype for leaf in leaves(state.params)} == {np.dtype("float32")}


def test_accumulated_gradients_are_those_of_the_whole_batch():
    _, graph, trained, fixed = adapted()
    whole, (loss,) = run(unet_prediction(graph), trained, fixed)
    accumulated, (same,) = run(unet_prediction(graph), trained, fixed, parts=2)
    assert same == pytest.approx(loss, rel=1e-5)
    gradients = (whole.opt_state[0].mu, accumulated.opt_state[0].mu)
    for one, other in zip(*map(leaves, gradients), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-7)


def test_parts_that_do_not_divide_the_batch_are_refused():
    _, graph, trained, fixed = adapted()
    with pytest.raises(ValueError, match="a batch of 4 in 3 parts"):
        run(unet_prediction(graph), trained, fixed, parts=3)


def test_loss_is_the_objectives():
    _, graph, trained, fixed = adapted()
    predict, objective = unet_prediction(graph), Objective("v_prediction", gamma=5.0)
    _, (loss,) = run(predict, trained, fixed, objective)
    examples = draw_examples(batch(), jax.random.fold_in(KEY, 0), fixed, 0.0)
    predicted = jax.jit(predict)(trained, fixed, examples)
    drawn = (examples.latents, examples.noise, examples.t)
    expected = denoising_loss(SCHEDULE, *drawn, predicted, "v_prediction", 5.0).mean()
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_dropout_replaces_whole_prompts_by_the_empty_one():
    fixed = Fixed(None, SCHEDULE, jnp.full((5, 8), 7.0))
    contexts = np.asarray(draw_examples(batch(400), KEY, fixed, 0.3).context)
    empty = (contexts == 7).all((1, 2))
    assert 0.2 < empty.mean() < 0.4
    given = np.asarray(batch(400)["context"])
    assert (contexts[~empty] == given[~empty]).all()
    with pytest.raises(ValueError, match=r"dropout 0\.3 needs"):
        draw_examples(batch(), KEY, Fixed(None, SCHEDULE), 0.3)


def test_moving_average_is_of_the_trained_alone_and_steps_repeat():
    _, graph, trained, fixed = adapted()
    state, losses = run(unet_prediction(graph), trained, fixed, indices=(0, 1, 0), ema=0.5)
    assert jax.tree.structure(state.ema) == jax.tree.structure(trained)
    for first, average, last in zip(*map(leaves, (trained, state.ema, state.params)), strict=True):
        assert (average != last).any()
        assert (average != first).any()
    _, repeated = run(unet_prediction(graph), trained, fixed, indices=(0, 1, 0), ema=0.5)
    assert losses == repeated
    assert len({*losses}) == 3


PROGRAM = """
import sys
import numpy as np, optax
sys.path.insert(0, {folder!r})
import test_latent_training as module
_, graph, trained, fixed = module.adapted()
optimizer = optax.sgd(1e-2)
from common.training.mesh import data_mesh, data_parallel, shard
mesh = data_mesh()
step = module.make_step(module.unet_prediction(graph), module.Objective(), optimizer, parts=2)
step = data_parallel(step, mesh, donate=False, save_memory=True)
state = module.State(trained, optimizer.init(trained))
batch = shard(mesh, module.batch(8))
state, loss = step(state, batch, np.int32(0), module.KEY, fixed)
print(mesh.size, float(loss), float(sum(np.abs(x).sum() for x in module.leaves(state.params))))
"""


def test_step_over_devices_equals_the_step_on_one():
    program = PROGRAM.format(folder=os.path.dirname(__file__))
    values = []
    for devices in (1, 4):
        flags = f"--xla_force_host_platform_device_count={devices}"
        environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": "."}
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        count, *numbers = map(float, done.stdout.split())
        assert count == devices
        values.append(numbers)
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)
