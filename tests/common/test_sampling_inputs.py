"""What a sampling may begin with and be told on the way: noise, images, arrays of every step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from common.diffusion import sampling
from common.diffusion.multistep import UniPC
from common.diffusion.samplers import DDIM
from common.diffusion.sampling import noise_of_seeds, sample
from common.diffusion.schedule import Schedule, add_noise

SCHEDULE, SAMPLER = Schedule.linear(20), DDIM(10, train_steps=20, clip=None)
SEEDS = np.array([4, 9, 7])
CONDITIONS = np.random.RandomState(0).standard_normal((3, 2)).astype(np.float32)
SHAPE = (4, 6, 1)
IMAGES = np.random.RandomState(1).standard_normal((3, *SHAPE)).astype(np.float32)


def network(weights, x, t, condition, row=None):
    y = jnp.tanh(
        weights * x + 0.02 * t[:, None, None, None] + condition.sum(-1)[:, None, None, None]
    )
    return y if row is None else y * row["scale"] + row["shift"]


PREDICT = Partial(network, jnp.float32(0.7))


def draw(**options):
    options = {"guidance_scale": 2.0, "batch_size": 2, "sampler": SAMPLER, **options}
    predict = options.pop("predict", PREDICT)
    images, _ = sample(
        predict,
        SCHEDULE,
        CONDITIONS,
        SEEDS,
        shape=SHAPE,
        unconditional=np.zeros(2, np.float32),
        **options,
    )
    return images


def test_noise_that_is_given_is_what_the_process_begins_with():
    drawn = np.asarray(noise_of_seeds(SEEDS.astype(np.uint32), SCHEDULE.steps, SHAPE))
    np.testing.assert_array_equal(draw(noise=drawn), draw())
    assert np.abs(draw(noise=drawn[::-1].copy()) - draw()).max() > 0.01


def test_initial_images_enter_noised_at_their_evaluation():
    noise = noise_of_seeds(SEEDS.astype(np.uint32), SCHEDULE.steps, SHAPE)
    x = add_noise(SCHEDULE, jnp.asarray(IMAGES), noise, jnp.full(3, int(SAMPLER.times[6])))
    images = draw(initial=IMAGES, start=6)
    # four steps by hand, of the same formula
    for index in range(6, 10):
        t = int(SAMPLER.times[index])
        eps = [
            PREDICT(x, jnp.full(3, t), condition)
            for condition in (jnp.zeros((3, 2)), jnp.asarray(CONDITIONS))
        ]
        state = SAMPLER.init(x)
        guided = eps[0] + 2.0 * (eps[1] - eps[0])
        x = SAMPLER.update(SCHEDULE, state, guided, index, None).x
    np.testing.assert_allclose(images, x, atol=1e-5)
    # at the last evaluation little of them is lost
    last = draw(initial=IMAGES, start=9)
    assert np.abs(last - IMAGES).mean() < 0.5 * np.abs(draw(initial=IMAGES) - IMAGES).mean()


def test_every_start_is_the_same_program():
    draw(initial=IMAGES, start=3)
    before = sampling._whole._cache_size()
    draw(initial=IMAGES + 1, start=8)
    assert sampling._whole._cache_size() == before


def test_chunks_begin_at_the_start():
    steps = []
    chunked = draw(initial=IMAGES, start=5, chunk=2, on_chunk=lambda step, _: steps.append(step))
    np.testing.assert_allclose(chunked, draw(initial=IMAGES, start=5), atol=1e-6)
    assert steps == [7, 9, 10] * 2


@pytest.mark.parametrize("sampler", [SAMPLER, UniPC.of(SCHEDULE, 6)], ids=["ddim", "unipc"])
def test_outside_of_a_region_images_stay_and_inside_they_fit(sampler):
    region = np.zeros((3, *SHAPE), np.float32)
    region[:, 1:3, 2:5] = 1
    options = {"initial": IMAGES, "region": region, "sampler": sampler}
    images = draw(**options)
    np.testing.assert_array_equal(images[region == 0], IMAGES[region == 0])
    assert np.abs(images - IMAGES)[region == 1].min() > 0
    chunked = draw(**options, chunk=2, on_chunk=lambda step, _: None)
    np.testing.assert_allclose(chunked, images, atol=1e-6)
    np.testing.assert_allclose(draw(**options | {"region": np.ones_like(region)}),
                               draw(initial=IMAGES, sampler=sampler), atol=1e-6)  # fmt: skip
    later = draw(**options, start=3)
    np.testing.assert_array_equal(later[region == 0], IMAGES[region == 0])


def test_what_is_outside_has_the_noise_of_each_time():
    seen = []

    def watched(x, t, condition):
        jax.debug.callback(lambda x, t: seen.append((int(t[0]), np.array(x))), x, t)
        return network(jnp.float32(0.7), x, t, condition)

    region = np.zeros((3, *SHAPE), np.float32)
    region[:, 0] = 1
    draw(initial=IMAGES, region=region, predict=watched, guidance_scale=1.0, batch_size=3)
    noise = noise_of_seeds(SEEDS.astype(np.uint32), SCHEDULE.steps, SHAPE)
    assert len(seen) == 10
    for index, (t, x) in enumerate(sorted(seen, key=lambda one: -one[0])):
        assert t == SAMPLER.times[index]
        if not index:
            continue  # begins with noise alone, or where `start` says
        expected = add_noise(SCHEDULE, jnp.asarray(IMAGES), noise, jnp.full(3, t))
        np.testing.assert_allclose(x[:, 1:], np.asarray(expected)[:, 1:], atol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_rows_of_every_step_reach_the_network(scale):
    rows = {"scale": np.ones(10, np.float32), "shift": np.zeros(10, np.float32)}
    plain = draw(guidance_scale=scale)
    np.testing.assert_array_equal(draw(stepwise=rows, guidance_scale=scale), plain)
    changed = {}
    for index in (0, 9):
        shift = rows["shift"].copy()
        shift[index] = 1
        changed[index] = draw(stepwise=rows | {"shift": shift}, guidance_scale=scale)
    # the last step adds -(what eps weighs there) everywhere; the first is felt by all that follow
    difference = changed[9] - plain
    assert np.ptp(difference) < 1e-5
    assert np.abs(difference).min() > 1e-3
    assert np.ptp(changed[0] - plain) > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 2}, "start is 2 without initial images"),
        ({"region": IMAGES}, "a region without initial images"),
        ({"initial": IMAGES, "start": 10}, "expected 0 to 9"),
        ({"initial": IMAGES, "start": -1}, "expected 0 to 9"),
        ({"initial": IMAGES, "start": 1, "trajectory_every": 2}, "0 for a trajectory"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        draw(**options)


def test_images_depend_on_nothing_beside_them():
    options = {"initial": IMAGES, "start": 4, "noise": IMAGES[::-1].copy()}
    np.testing.assert_allclose(draw(batch_size=3, **options), draw(**options), atol=1e-6)
