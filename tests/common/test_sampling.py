"""The sampling loop: seeds, guidance, chunks, trajectories, devices."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from common.diffusion import sampling
from common.diffusion.samplers import DDIM, DDPM, predicted_x0
from common.diffusion.sampling import sample
from common.diffusion.schedule import Schedule


def network(weights, x, t, condition):
    """A small convolution with a condition and a time: enough for bits to differ if they can."""
    y = jax.lax.conv_general_dilated(
        x, weights, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jnp.tanh(
        y + condition.sum(-1)[:, None, None, None] * 0.1 + t[:, None, None, None] * 0.01
    )


PREDICT = Partial(network, jax.random.normal(jax.random.key(1), (5, 5, 1, 1)) * 0.3)
CONDITIONS = np.random.RandomState(0).standard_normal((6, 3)).astype(np.float32)
SEEDS = np.arange(6) + 100
OPTIONS = {
    "shape": (12, 20, 1),
    "unconditional": np.full(3, -1, np.float32),
    "batch_size": 4,
}


ANCESTRAL, SHORT = DDPM(20), DDIM(20, train_steps=20)


def draw(conditions=CONDITIONS, seeds=SEEDS, w=3.0, predict=PREDICT, sampler=SHORT, **options):
    return sample(
        predict,
        Schedule.linear(20),
        conditions,
        seeds,
        guidance_scale=w,
        sampler=sampler,
        **(OPTIONS | options),
    )


@pytest.mark.parametrize("sampler", [ANCESTRAL, DDIM(5, train_steps=20)])
def test_image_does_not_depend_on_its_batch(sampler):
    images, _ = draw(sampler=sampler)
    order = [5, 3, 3, 0, 1]
    again, _ = draw(CONDITIONS[order], SEEDS[order], sampler=sampler)
    np.testing.assert_array_equal(again, images[order])
    alone, _ = draw(CONDITIONS[2:3], SEEDS[2:3], sampler=sampler)
    np.testing.assert_array_equal(alone, images[2:3])


def test_image_depends_on_seed_and_condition():
    images, _ = draw(np.repeat(CONDITIONS[:2], 2, axis=0), np.array([1, 2, 1, 2]))
    assert len({image.tobytes() for image in images}) == 4


def test_guidance_of_one_and_zero_is_exactly_one_prediction():
    unconditional = np.tile(OPTIONS["unconditional"], (6, 1))
    only = Partial(lambda weights, x, t, c: network(weights, x, t, c), PREDICT.args[0])
    conditional, _ = draw(w=1, predict=only)
    # with equal conditions the guidance cancels: eps_u + w * 0
    np.testing.assert_array_equal(draw(w=0)[0], draw(unconditional, w=7.0)[0])
    np.testing.assert_array_equal(draw(w=1.0)[0], conditional)
    np.testing.assert_array_equal(draw(w=0)[0], draw(unconditional, w=1)[0])
    np.testing.assert_allclose(draw(w=jnp.float32(1))[0], conditional, atol=1e-4)
    assert np.abs(draw(w=3)[0] - conditional).max() > 0.01


@pytest.mark.parametrize(("w", "rows"), [(0, 4), (1, 4), (1.0, 4), (2.0, 8)])
def test_guidance_of_one_and_zero_evaluates_the_network_once(w, rows):
    evaluated = []

    def counted(x, t, condition):
        jax.debug.callback(evaluated.append, x.shape[0] + 0 * t[0])
        return network(PREDICT.args[0], x, t, condition)

    draw(w=w, predict=counted)
    jax.effects_barrier()
    assert [int(count) for count in evaluated] == [rows] * 20 * 2  # steps, batches


@pytest.mark.parametrize("sampler", [SHORT, DDIM(20, 0.5, 20), ANCESTRAL])
def test_steps_draw_noise_only_where_the_sampler_needs_it(sampler, monkeypatch):
    drawn, noise = [], sampling._Process.noise

    def recorded(process, t, shape):
        drawn.append(t)
        return noise(process, t, shape)

    monkeypatch.setattr(sampling._Process, "noise", recorded)
    draw(sampler=sampler, shape=(3, 4, 1))  # of no other test: traced here
    assert drawn[0] == 20
    assert bool(drawn[1:]) == (sampler is not SHORT)


def test_one_compilation_serves_all_scales_and_parameters():
    draw(w=2.0)
    before = sampling._whole._cache_size()
    for w in (2.5, 3, jnp.float32(7)):
        draw(w=w)
    draw(w=2.0, predict=Partial(network, PREDICT.args[0] * 2))
    draw(w=2.0, sampler=DDIM(20, train_steps=20))
    assert sampling._whole._cache_size() == before


@pytest.mark.parametrize("sampler", [ANCESTRAL, SHORT, DDIM(20, 1.0, 20)])
def test_chunks_change_no_bit_of_images_and_trajectory(sampler):
    whole = draw(sampler=sampler, trajectory_every=3)
    for chunk in (1, 7, 100):
        drawn = draw(sampler=sampler, trajectory_every=3, chunk=chunk)
        np.testing.assert_array_equal(drawn[0], whole[0])
        np.testing.assert_array_equal(drawn[1], whole[1])


def test_one_compilation_serves_all_chunks():
    draw(chunk=20)
    before = sampling._chunk._cache_size()
    draw(chunk=8, w=5.0)  # the last of 4 steps
    assert sampling._chunk._cache_size() == before


def test_host_sees_estimates_between_the_chunks():
    seen = []
    images, trajectory = draw(chunk=8, trajectory_every=7, on_chunk=lambda *step: seen.append(step))
    np.testing.assert_allclose(images, draw()[0], atol=1e-5)
    assert [step for step, _ in seen] == [8, 16, 20, 8, 16, 20]
    assert [len(estimate) for _, estimate in seen] == [4, 4, 4, 2, 2, 2]
    x, t = jnp.asarray(trajectory[1]), jnp.full(6, 12)  # before step 8
    eps = network(PREDICT.args[0], x, t, np.tile(OPTIONS["unconditional"], (6, 1)))
    eps += 3.0 * (network(PREDICT.args[0], x, t, CONDITIONS) - eps)
    estimate = predicted_x0(Schedule.linear(20), eps, 12, x, None)
    np.testing.assert_allclose(seen[0][1], estimate[:4], atol=1e-5)
    np.testing.assert_allclose(seen[3][1], estimate[4:], atol=1e-5)


def test_host_may_cancel_between_the_chunks():
    steps = []

    def cancel(step, estimate):
        steps.append(step)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw(chunk=8, on_chunk=cancel)
    assert steps == [8]


def followed(weights, own, x, t, condition):
    return network(weights, x + own, t, condition)


@pytest.mark.parametrize("w", [0, 3.0])
def test_conditions_may_be_any_tree(w):
    """Every image also follows one of its own, which the unconditional prediction shares."""
    own = np.random.RandomState(1).standard_normal((6, 12, 20, 1)).astype(np.float32)

    def shown(weights, x, t, condition):
        return followed(weights, condition["image"], x, t, condition["text"].sum(1))

    text = np.stack([CONDITIONS, CONDITIONS * 2], axis=1)
    empty = np.stack([OPTIONS["unconditional"]] * 2)
    predict = Partial(shown, PREDICT.args[0])
    images, _ = draw(
        {"text": text, "image": own},
        w=w,
        predict=predict,
        unconditional={"text": empty, "image": None},
    )
    for row in range(6):
        image, _ = draw(
            CONDITIONS[row : row + 1] * 3,
            SEEDS[row : row + 1],
            w=w,
            predict=Partial(followed, PREDICT.args[0], own[row]),
            unconditional=OPTIONS["unconditional"] * 2,
        )
        np.testing.assert_allclose(images[row], image[0], atol=1e-4)


def test_no_condition_is_a_tree_too():
    images, _ = draw(
        None, w=1, predict=lambda x, t, c: 0 * x if c is None else 1, unconditional=None
    )
    assert images.shape == (6, 12, 20, 1)


def test_trajectory_runs_from_the_noise_to_the_image():
    images, trajectory = draw(trajectory_every=5)
    assert trajectory.shape == (5, 6, 12, 20, 1)
    every, _ = draw(trajectory_every=1)[::-1]
    np.testing.assert_array_equal(trajectory, every[::5])
    np.testing.assert_array_equal(trajectory[-1], images)
    assert 0.9 < trajectory[0].std() < 1.1
    _, uneven = draw(trajectory_every=8)
    assert uneven.shape[0] == 4  # start, 8, 16, 20
    np.testing.assert_array_equal(uneven[-1], images)
    assert draw()[1] is None


def test_progress_counts_images_without_the_filling():
    counts = []
    draw(progress=counts.append)
    assert counts == [4, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conditions": CONDITIONS[:0], "seeds": SEEDS[:0]}, "at least one seed"),
        ({"seeds": -SEEDS}, "seeds in"),
        ({"seeds": SEEDS + 2**32}, "seeds in"),
        ({"conditions": CONDITIONS[:5]}, r"shape \(5, 3\) for 6 seeds"),
        ({"chunk": 0}, "chunk is 0"),
        ({"on_chunk": print}, "on_chunk needs chunk"),
        ({"sampler": DDPM(21)}, "after the 20 of the schedule"),
        ({"sampler": DDIM(20, train_steps=20, offset=1)}, "after the 20 of the schedule"),
        ({"unconditional": np.zeros(2, np.float32)}, r"unconditional is \(2,\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        draw(**change)


ON_EIGHT_DEVICES = """
import jax, numpy as np
from tests.common.test_sampling import draw
from jax.sharding import Mesh
assert len(jax.devices()) == 8
mesh = Mesh(np.array(jax.devices()), ("data",))
images, trajectory = draw(mesh=mesh, trajectory_every=5)
assert images.shape == (6, 12, 20, 1) and trajectory.shape[:2] == (5, 6)
np.testing.assert_allclose(images, draw()[0], atol=1e-5)
seen = []
chunked, _ = draw(mesh=mesh, chunk=12, on_chunk=lambda step, estimate: seen.append(estimate))
np.testing.assert_allclose(chunked, images, atol=1e-5)
assert [estimate.shape for estimate in seen] == [images.shape] * 2
"""


def test_eight_devices_draw_the_same_images():
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    subprocess.run(
        [sys.executable, "-c", ON_EIGHT_DEVICES],
        check=True,
        cwd=Path(__file__).parents[2],
        env=environment,
    )
