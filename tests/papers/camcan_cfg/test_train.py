"""One real step of the training, and that the step can learn what it is shown."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.tree_util import Partial

from common.diffusion.schedule import Schedule
from common.pipeline.plan import plan
from common.study.config import override
from common.training.mesh import data_mesh, replicate, shard
from common.training.rng import Streams
from papers.camcan_cfg.config import Config
from papers.camcan_cfg.models.unet import UNet
from papers.camcan_cfg.sampling import Sampler
from papers.camcan_cfg.study import STUDY
from papers.camcan_cfg.train import (
    UNCONDITIONAL,
    compiled,
    make_loss,
    make_optimizer,
    normalize_condition,
)

SMOKE: Config = plan(STUDY, "smoke").config


def batch(count: int = 8) -> dict[str, jax.Array]:
    rng = np.random.default_rng(0)
    shape = (count, SMOKE.data.height, SMOKE.data.width, 1)
    conditions = np.stack(
        [rng.integers(18, 89, count), rng.integers(1, 3, count), rng.integers(20, 60, count)], 1
    )
    images = rng.uniform(size=shape).astype(np.float32)
    return {"image": jnp.asarray(images), "condition": jnp.asarray(conditions, jnp.float32)}


def parts(config: Config):
    programs = compiled(config, 10)
    state = programs.init(Streams(0).key("parameters"))
    loss = make_loss(programs.graph, Schedule.linear(config.sample.train_steps), config.train)
    return programs, state, loss


def test_one_step_changes_every_parameter_and_the_average() -> None:
    config = replace(SMOKE, train=replace(SMOKE.train, ema=0.9))
    programs, state, _ = parts(config)
    mesh = data_mesh()
    before = jax.device_get(state)
    after = replicate(mesh, state)
    for index in range(5):  # gradients pass the zero-initialized layers one step after another
        after, value = programs.step(
            after, shard(mesh, batch()), np.int32(index), jax.random.key(1)
        )
    assert np.isfinite(value)
    still = [
        jax.tree_util.keystr(path)
        for (path, old), new in zip(
            jax.tree_util.tree_leaves_with_path(before.params),
            jax.tree.leaves(after.params),
            strict=True,
        )
        if np.array_equal(old, new)
    ]
    # one token only: attention to it is 1 whatever its key and the query, so these never learn
    unmoved = [name for name in still if "transformer" not in name]
    unmoved += [n for n in still if "cross_attention" not in n and "norm2" not in n]
    assert not unmoved
    moved = jax.tree.map(lambda a, b: not np.array_equal(a, b), before.ema, after.ema)
    assert any(jax.tree.leaves(moved))


def test_step_overfits_one_batch() -> None:
    config = replace(SMOKE, train=replace(SMOKE.train, condition_dropout=0.0))
    _, state, loss = parts(config)
    optimizer = optax.adam(3e-3)
    fixed = batch(4)
    key = jax.random.key(2)

    @jax.jit
    def step(params, moments):
        value, gradients = jax.value_and_grad(loss)(params, fixed["image"], fixed["condition"], key)
        updates, moments = optimizer.update(gradients, moments)
        return optax.apply_updates(params, updates), moments, value

    params, moments, values = state.params, optimizer.init(state.params), []
    for _ in range(150):
        params, moments, value = step(params, moments)
        values.append(float(value))
    assert values[-1] < 0.25 * values[0]


def test_dropped_conditions_are_the_unconditional_token() -> None:
    config = replace(SMOKE, train=replace(SMOKE.train, condition_dropout=1.0))
    programs, state, loss = parts(config)
    params = jax.tree.map(
        lambda p: p + 0.05, state.params
    )  # else the zero-initialized head hides it
    first = batch()
    other = first["condition"] + 7
    key = jax.random.key(3)
    a = loss(params, first["image"], first["condition"], key)
    b = loss(params, first["image"], other, key)
    assert a == b
    kept = make_loss(
        programs.graph, Schedule.linear(), replace(config.train, condition_dropout=0.0)
    )
    assert kept(params, first["image"], first["condition"], key) != kept(
        params, first["image"], other, key
    )
    unconditional = jnp.full_like(other, UNCONDITIONAL) * jnp.asarray(config.train.condition_scale)
    assert kept(params, first["image"], unconditional, key) == a


def test_published_optimizer_is_adam_at_a_constant_rate() -> None:
    published = Config().train
    optimizer = make_optimizer(published, 1000)
    params = {"w": jnp.ones(3)}
    updates, _ = optimizer.update({"w": jnp.ones(3)}, optimizer.init(params))
    np.testing.assert_allclose(updates["w"], -published.learning_rate, rtol=1e-4)


def test_conditions_are_raw_as_published() -> None:
    conditions = np.array([[48, 2, 25]], np.float32)
    np.testing.assert_array_equal(normalize_condition(conditions, Config().train), conditions)


@pytest.mark.parametrize("prediction", ["epsilon", "velocity"])
def test_images_are_what_the_network_predicts_in_the_range_it_was_given(prediction: str) -> None:
    changes = {"image_range": [-1.0, 3.0], "prediction": prediction}
    wide = override(SMOKE, {f"train.{name}": value for name, value in changes.items()})
    schedule = Schedule.linear(wide.sample.train_steps)

    def oracle(x, t, conditions):  # whose image is 3/4 of the way from black to white
        share = schedule.alpha_bar(t)[:, None, None, None]
        eps = (x - jnp.sqrt(share) * 2) / jnp.sqrt(1 - share)
        v = jnp.sqrt(share) * eps - jnp.sqrt(1 - share) * 2
        return eps if prediction == "epsilon" else v

    images, frames = Sampler(wide, Partial(oracle))(
        np.ones((2, 3), np.float32), np.arange(2), 1.0, 2
    )
    np.testing.assert_allclose(images, round(0.75 * 255), atol=1)
    assert frames is not None
    np.testing.assert_array_equal(frames[-1], images)


def test_image_range_is_stretched_for_the_network() -> None:
    wide = override(SMOKE, {"train.image_range": [-1.0, 3.0]})
    programs, state, loss = parts(SMOKE)
    first, key = batch(), jax.random.key(0)
    stretched = make_loss(programs.graph, Schedule.linear(), wide.train)
    params = jax.tree.map(lambda p: p + 0.05, state.params)
    np.testing.assert_allclose(
        stretched(params, first["image"], first["condition"], key),
        loss(params, 4 * first["image"] - 1, first["condition"], key),
        rtol=1e-6,
    )


def test_state_has_no_average_as_published() -> None:
    small = replace(Config(), model=SMOKE.model)
    _, state, _ = parts(small)
    assert state.ema is None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_parameters_stay_float32(dtype: str) -> None:
    config = override(SMOKE, {"model.dtype": dtype})
    programs, state, _ = parts(config)
    after, value = programs.step(state, batch(), np.int32(0), jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(after.params)} == {jnp.dtype("float32")}
    assert np.isfinite(value)
    assert isinstance(
        nnx.merge(nnx.graphdef(UNet(config.model, rngs=nnx.Rngs(0))), after.params), UNet
    )
