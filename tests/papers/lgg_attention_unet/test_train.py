"""One real step of the training, its losses and rates, and that the step can learn."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from common.data.loader import ArraySource
from common.study import experiment as experiments
from common.study.config import override
from common.training.mesh import data_mesh, data_parallel, replicate, shard
from common.training.stopping import Plateau
from papers.lgg_attention_unet.config import Config, TrainConfig
from papers.lgg_attention_unet.losses import bce_dice, dice, focal_tversky, make_loss
from papers.lgg_attention_unet.train import (
    _train,
    checkpoints_of,
    initial_state,
    make_rate,
    make_step,
    make_validation,
    networks,
)

SMOKE: Config = override(Config(), experiments.load("lgg_attention_unet", "smoke").config)
STILL = replace(SMOKE.train, rotation_degrees=0.0, shift=0.0, shear_degrees=0.0, zoom=0.0)


def examples(count: int = 16) -> ArraySource:
    """Return dark slices with a bright square where the mask is."""
    random = np.random.default_rng(0)
    masks = np.zeros((count, 32, 32, 1), np.uint8)
    for i, (row, column) in enumerate(random.integers(2, 20, (count, 2))):
        masks[i, row : row + 9, column : column + 9] = 1
    images = random.integers(0, 60, (count, 32, 32, 3)) + 150 * masks
    return ArraySource(
        {
            "image": images.astype(np.uint8),
            "mask": masks,
            "scale": np.full((count, 3), 1 / 255, np.float32),
        }
    )


def test_one_step_moves_every_parameter_and_statistic() -> None:
    graph, state = initial_state(SMOKE.model, SMOKE.train, 0)
    before, mesh = jax.device_get(state), data_mesh()
    loss = make_loss(SMOKE.train)
    step = data_parallel(make_step(graph, loss, SMOKE.train, jax.random.key(0)), mesh)
    batch = examples()[np.arange(8)]
    after, value = step(replicate(mesh, state), shard(mesh, batch), np.int32(0), np.float32(1e-3))
    assert np.isfinite(value)
    for part in ("params", "stats"):
        old, new = (jax.tree.leaves_with_path(getattr(s, part)) for s in (before, after))
        same = [
            jax.tree_util.keystr(path)
            for (path, a), (_, b) in zip(old, new, strict=True)
            if np.array_equal(a, b)
        ]
        # a bias before BatchNorm shifts nothing, so it learns nothing but rounding
        assert all("conv2" in name and "bias" in name for name in same), same


def test_a_short_training_learns_and_validates_in_inference_mode() -> None:
    model = replace(SMOKE.model, norm_momentum=0.9)  # the averages keep up with a fast training
    graph, state = initial_state(model, STILL, 0)
    loss, source = make_loss(STILL), examples()
    step = jax.jit(make_step(graph, loss, STILL, jax.random.key(0)))
    validate = make_validation(graph, loss, source, STILL)
    before = validate(state)
    for index in range(150):
        batch = source[(np.arange(8) + 8 * index) % 16]
        state, _ = step(state, batch, np.int32(index), np.float32(1e-2))
    after = validate(state)
    assert after["validation_soft_iou"] > 0.8 > before["validation_soft_iou"]
    assert after["validation_loss"] < -0.85
    assert validate(state) == after


def test_losses_by_hand() -> None:
    masks = jnp.array([1.0, 1.0, 0.0, 0.0]).reshape(1, 2, 2, 1)
    p = jnp.array([0.8, 0.6, 0.4, 0.1]).reshape(1, 2, 2, 1)
    logits = jnp.log(p / (1 - p))
    expected = -(2 * 1.4 + 0.1) / (1.9 + 2 + 0.1)
    np.testing.assert_allclose(dice(logits, masks, 0.1), expected, rtol=1e-5)
    entropy = -np.log([0.8, 0.6, 0.6, 0.9]).mean()
    np.testing.assert_allclose(bce_dice(logits, masks, 0.1), entropy + expected, rtol=1e-5)
    index = (1.4 + 0.1) / (1.4 + 0.7 * 0.6 + 0.3 * 0.5 + 0.1)
    np.testing.assert_allclose(focal_tversky(logits, masks, 0.1), (1 - index) ** 0.75, rtol=1e-5)


def test_dice_is_that_of_the_whole_batch() -> None:
    masks = jnp.zeros((2, 4, 4, 1)).at[0].set(1.0)
    logits = jnp.where(masks > 0, 20.0, -20.0).at[1, 0, 0].set(20.0)
    np.testing.assert_allclose(dice(logits, masks, 0.1), -32.1 / 33.1, rtol=1e-4)


@pytest.mark.parametrize("loss", ["dice", "bce_dice", "focal_tversky"])
def test_losses_stay_finite_at_the_ends(loss: str) -> None:
    named = make_loss(replace(TrainConfig(), loss=loss))  # type: ignore[arg-type]
    for masks in (jnp.zeros((1, 4, 4, 1)), jnp.ones((1, 4, 4, 1))):
        for logit in (-80.0, 80.0):
            value, slope = jax.value_and_grad(named)(jnp.full((1, 4, 4, 1), logit), masks)
            assert np.isfinite(value)
            assert np.isfinite(slope).all()


def test_the_step_is_adam_as_the_config_has_it() -> None:
    train = replace(STILL, beta1=0.8, beta2=0.9)
    graph, state = initial_state(SMOKE.model, train, 0)
    step = jax.jit(make_step(graph, make_loss(train), train, jax.random.key(0)))
    batch = examples()[np.arange(8)]
    moved, _ = step(state, batch, np.int32(0), np.float32(1e-3))
    head = moved.params["head"]["kernel"][...] - state.params["head"]["kernel"][...]
    np.testing.assert_allclose(np.abs(head), 1e-3, rtol=1e-2)  # Adam's first step is the rate
    again, _ = step(moved, batch, np.int32(1), np.float32(0.0))
    np.testing.assert_array_equal(
        again.params["head"]["kernel"][...], moved.params["head"]["kernel"][...]
    )
    assert isinstance(moved.moments, optax.ScaleByAdamState)


def test_rates_follow_plateau_or_cosine() -> None:
    plateau = Plateau.keras(1e-4, patience=1, min_rate=1e-6)
    rate = make_rate(TrainConfig(), 100)
    assert rate(7, plateau) == 1e-4
    assert rate(7, plateau.update(1.0).update(1.0)) == pytest.approx(1e-5)
    cosine = make_rate(
        replace(TrainConfig(), schedule="cosine", warmup_steps=10, learning_rate=1e-2), 110
    )
    assert [round(cosine(i, plateau), 6) for i in (0, 5, 10, 60, 110)] == [0, 5e-3, 1e-2, 5e-3, 0]


def test_networks_of_a_seed() -> None:
    assert {name: model.gates for name, model in networks(SMOKE).items()} == {
        "attention": True,
        "plain": False,
    }
    alone = replace(SMOKE, train=replace(SMOKE.train, ablation=False))
    assert list(networks(alone)) == ["attention"]
    assert list(networks(replace(alone, model=replace(SMOKE.model, gates=False)))) == ["plain"]


def test_training_stops_early_and_stays_stopped(tmp_path) -> None:
    train = replace(STILL, epochs=30, stop_patience=2, learning_rate=0.0, batch_size=8)
    source = examples()
    _train(tmp_path, SMOKE.model, train, source, source, seed=0)
    first = (tmp_path / "train.jsonl").read_bytes()
    steps = checkpoints_of(tmp_path).steps()
    assert steps[-1] < 60  # BatchNorm's averages still move, so the first epochs improve
    _train(tmp_path, SMOKE.model, train, source, source, seed=0)
    assert (tmp_path / "train.jsonl").read_bytes() == first
    assert checkpoints_of(tmp_path).steps() == steps
