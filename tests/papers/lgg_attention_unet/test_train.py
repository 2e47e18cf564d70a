"""One real step of the training, its losses and rates, and that the step can learn."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from common.data.loader import ArraySource
from common.pipeline.plan import plan
from common.study.protocol import Unit
from common.training.loop import LOG, checkpoints_of
from common.training.mesh import data_mesh, replicate, shard
from common.training.rng import Streams
from common.training.stopping import Plateau
from papers.lgg_attention_unet.config import Config, ModelConfig, TrainConfig
from papers.lgg_attention_unet.losses import bce_dice, dice, focal_tversky, make_loss
from papers.lgg_attention_unet.study import STUDY
from papers.lgg_attention_unet.train import BEST, compiled, fit, make_rate, validate

RUN = plan(STUDY, "smoke")
SMOKE: Config = RUN.config
KEY = jax.random.key(0)
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


def programs_and_state(model: ModelConfig, train: TrainConfig, steps: int = 100):
    programs = compiled(model, train, steps)
    return programs, programs.init(Streams(0).key("parameters"))


def test_one_step_moves_every_parameter_and_statistic() -> None:
    programs, state = programs_and_state(SMOKE.model, SMOKE.train)
    before, mesh = jax.device_get(state), data_mesh()
    batch = shard(mesh, examples()[np.arange(8)])
    after, value = programs.step(replicate(mesh, state), batch, np.int32(0), KEY, np.float32(1e-3))
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
    programs, state = programs_and_state(model, STILL)
    source = examples()
    before = validate(programs, state, source, STILL)
    for index in range(150):
        batch = source[(np.arange(8) + 8 * index) % 16]
        state, _ = programs.step(state, batch, np.int32(index), KEY, np.float32(1e-2))
    after = validate(programs, state, source, STILL)
    assert after["validation_soft_iou"] > 0.8 > before["validation_soft_iou"]
    assert after["validation_loss"] < -0.85
    assert validate(programs, state, source, STILL) == after


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
    programs, state = programs_and_state(SMOKE.model, train)
    batch = examples()[np.arange(8)]

    def head(state) -> np.ndarray:
        return np.asarray(state.params["head"]["kernel"][...])

    before = head(state)
    moved, _ = programs.step(state, batch, np.int32(0), KEY, np.float32(1e-3))
    after = head(moved)
    np.testing.assert_allclose(np.abs(after - before), 1e-3, rtol=1e-2)  # Adam's first: the rate
    assert isinstance(moved.opt_state, optax.ScaleByAdamState)
    again, _ = programs.step(moved, batch, np.int32(1), KEY, np.float32(0.0))
    np.testing.assert_array_equal(head(again), after)


def test_the_cosine_runs_inside_the_step() -> None:
    train = replace(STILL, schedule="cosine", warmup_steps=10, learning_rate=1e-2)
    programs, state = programs_and_state(SMOKE.model, train)
    before = np.asarray(state.params["head"]["kernel"][...])
    batch = examples()[np.arange(8)]
    moved, _ = programs.step(state, batch, np.int32(5), KEY, np.float32(7.0))
    after = np.asarray(moved.params["head"]["kernel"][...])
    np.testing.assert_allclose(np.abs(after - before), 5e-3, rtol=1e-2)


def test_rates_follow_plateau_or_cosine() -> None:
    plateau = Plateau.keras(1e-4, patience=1, min_rate=1e-6)
    rate = make_rate(TrainConfig(), 100)
    assert rate(7, plateau.rate) == 1e-4
    assert rate(7, plateau.update(1.0).update(1.0).rate) == pytest.approx(1e-5)
    cosine = make_rate(
        replace(TrainConfig(), schedule="cosine", warmup_steps=10, learning_rate=1e-2), 110
    )
    rates = [round(float(cosine(i, plateau.rate)), 6) for i in (0, 5, 10, 60, 110)]
    assert rates == [0, 5e-3, 1e-2, 5e-3, 0]


def test_networks_of_a_seed() -> None:
    assert list(STUDY.networks(SMOKE)) == ["attention", "plain"]
    alone = replace(SMOKE, train=replace(SMOKE.train, ablation=False))
    assert list(STUDY.networks(alone)) == ["attention"]
    without = replace(alone, model=replace(SMOKE.model, gates=False))
    assert list(STUDY.networks(without)) == ["plain"]


def test_the_network_without_gates_is_another_unit() -> None:
    units = {name: Unit(RUN, 0, name, "hash") for name in ("attention", "plain")}
    assert len({unit.folder for unit in units.values()}) == 2
    alone = replace(RUN, config=replace(SMOKE, train=replace(SMOKE.train, ablation=False)))
    assert Unit(alone, 0, "attention", "hash").folder == units["attention"].folder


def test_training_stops_early_and_stays_stopped(tmp_path) -> None:
    train = replace(STILL, epochs=30, stop_patience=2, learning_rate=1e-12, batch_size=8)
    run = replace(RUN, config=replace(SMOKE, train=train), home=tmp_path)
    unit, source = Unit(run, 0, "attention", "hash"), examples()
    fit(unit, source, source)
    first = (unit.folder / LOG).read_bytes()
    steps = checkpoints_of(unit.folder, BEST).steps()
    assert steps[-1] < 60  # BatchNorm's averages still move, so the first epochs improve
    fit(unit, source, source)
    assert (unit.folder / LOG).read_bytes() == first
    assert checkpoints_of(unit.folder, BEST).steps() == steps
