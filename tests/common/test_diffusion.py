"""Schedule and steps against MONAI's (tests/golden/make_diffusion.py), guidance, the loop."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from common.diffusion import sampling
from common.diffusion.guidance import guided, guided_eps
from common.diffusion.samplers import ddim_step, ddim_times, ddpm_step
from common.diffusion.sampling import sample
from common.diffusion.schedule import Schedule, add_noise, noise_of_velocity, velocity

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "diffusion.npz"))
SCHEDULE = Schedule.linear()
X, EPS, NOISE = (jnp.asarray(GOLDEN[name]) for name in ("x", "eps", "noise"))
MEAN, SPREAD = 0.3, 0.2


def close(ours, theirs, tolerance=1e-5):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return np.max(np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))) < tolerance


def test_schedule_is_monais():
    assert close(SCHEDULE.betas, GOLDEN["betas"], 1e-7)
    assert close(SCHEDULE.alphas_cumprod, GOLDEN["alphas_cumprod"], 1e-6)
    assert SCHEDULE.alpha_bar(-1) == 1


def test_noise_is_added_as_monai_does():
    times = jnp.asarray(GOLDEN["times"])
    x0, noise = (jnp.tile(a, (len(times), 1, 1, 1)) for a in (X, NOISE))
    assert close(add_noise(SCHEDULE, x0, noise, times), GOLDEN["noisy"])


@pytest.mark.parametrize("clip", [1.0, None])
def test_ancestral_steps_are_monais(clip):
    for t, theirs in zip(GOLDEN["times"], GOLDEN[f"ddpm_clip{bool(clip):d}"], strict=True):
        assert close(ddpm_step(SCHEDULE, EPS, int(t), X, NOISE, clip)[0], theirs)


def test_ancestral_steps_of_a_velocity_are_monais():
    for t, theirs in zip(GOLDEN["times"], GOLDEN["ddpm_velocity"], strict=True):
        eps = noise_of_velocity(SCHEDULE, EPS, X, jnp.asarray([t]))  # EPS in the role of v
        ours = ddpm_step(SCHEDULE, eps, int(t), X, NOISE, None)[0]
        assert close(ours, theirs, 3e-5)  # eps carries the data in its last digits at t = 999


def test_noise_comes_back_from_velocity():
    times = jnp.asarray(GOLDEN["times"])
    x0, noise = (jnp.tile(a, (len(times), 1, 1, 1)) for a in (X, NOISE))
    noisy, v = (make(SCHEDULE, x0, noise, times) for make in (add_noise, velocity))
    assert close(noise_of_velocity(SCHEDULE, v, noisy, times), noise)


@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize(("name", "offset", "last"), [("plain", 0, -1), ("offset", 1, 0)])
def test_ddim_steps_are_monais(name, offset, last, eta):
    times, previous = ddim_times(1000, 50, offset, last)
    np.testing.assert_array_equal(times, GOLDEN[f"ddim_{name}_times"])
    for t, s, theirs in zip(times, previous, GOLDEN[f"ddim_{name}_eta{eta}"], strict=True):
        assert close(ddim_step(SCHEDULE, EPS, int(t), int(s), X, eta, noise=NOISE)[0], theirs)


def test_ddim_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="needs noise"):
        ddim_step(SCHEDULE, EPS, 20, 0, X, eta=0.5)
    with pytest.raises(ValueError, match="1001 DDIM steps"):
        ddim_times(1000, 1001)


def test_guidance_is_linear_between_and_beyond_the_two_predictions():
    assert np.array_equal(guided(X, EPS, 0.0), X)
    assert close(guided(X, EPS, 1.0), EPS)
    assert close(guided(X, EPS, 3.0), 3 * EPS - 2 * X)
    # the paper's convention, omega = w - 1
    assert close(guided(X, EPS, 3.0), (1 + 2) * EPS - 2 * X)


def condition_as_eps(x, t, condition):
    return jnp.broadcast_to(condition[:, :1, None, None], x.shape) + 0 * x


def test_both_conditions_of_an_image_reach_the_network():
    condition = jnp.array([[5.0, 0.0], [7.0, 0.0]])
    x, t = jnp.zeros((2, 4, 4, 1)), jnp.zeros(2, jnp.int32)
    eps = guided_eps(condition_as_eps, x, t, condition, jnp.array([-1.0, -1.0]), 2.0)
    np.testing.assert_allclose(eps[:, 0, 0, 0], [11.0, 15.0])


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


def draw(conditions=CONDITIONS, seeds=SEEDS, w=3.0, predict=PREDICT, steps=20, **options):
    return sample(
        predict,
        Schedule.linear(20),
        conditions,
        seeds,
        guidance_scale=w,
        steps=steps,
        **(OPTIONS | options),
    )


@pytest.mark.parametrize("steps", [None, 5])
def test_picture_does_not_depend_on_its_batch(steps):
    images, _ = draw(steps=steps)
    order = [5, 3, 3, 0, 1]
    again, _ = draw(CONDITIONS[order], SEEDS[order], steps=steps)
    np.testing.assert_array_equal(again, images[order])
    alone, _ = draw(CONDITIONS[2:3], SEEDS[2:3], steps=steps)
    np.testing.assert_array_equal(alone, images[2:3])


def test_picture_depends_on_seed_and_condition():
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


def test_guidance_of_one_and_zero_evaluates_the_network_once(monkeypatch):
    rows = []

    def counted(x, t, condition):
        rows.append(len(x))
        return condition_as_eps(x, t, condition)

    for w in (0, 1.0, 2.0):
        draw(w=w, predict=counted)
    assert set(rows[:1]) == {4}
    assert set(rows[-1:]) == {8}


def test_one_compilation_serves_all_scales_and_parameters():
    draw(w=2.0)
    before = sampling._draw._cache_size()
    for w in (2.5, 3, jnp.float32(7)):
        draw(w=w)
    draw(w=2.0, predict=Partial(network, PREDICT.args[0] * 2))
    assert sampling._draw._cache_size() == before


def test_trajectory_runs_from_the_noise_to_the_picture():
    images, trajectory = draw(trajectory_every=5)
    assert trajectory.shape == (5, 6, 12, 20, 1)
    np.testing.assert_array_equal(trajectory[-1], images)
    assert 0.9 < trajectory[0].std() < 1.1
    _, uneven = draw(trajectory_every=8)
    assert uneven.shape[0] == 4  # start, 8, 16, 20
    np.testing.assert_array_equal(uneven[-1], images)
    assert draw()[1] is None


def test_progress_counts_pictures_without_the_filling():
    counts = []
    draw(progress=counts.append)
    assert counts == [4, 2]


def test_nothing_to_draw_and_negative_seeds_are_refused():
    with pytest.raises(ValueError, match="at least one condition"):
        draw(CONDITIONS[:0], SEEDS[:0])
    with pytest.raises(ValueError, match="seeds in"):
        draw(seeds=-SEEDS)


def gaussian_eps(x, t, condition):
    """The exact noise prediction for data from N(MEAN, SPREAD^2), pixel by pixel."""
    alpha_bar = SCHEDULE.alpha_bar(t)[:, None, None, None]
    variance = alpha_bar * SPREAD**2 + 1 - alpha_bar
    return jnp.sqrt(1 - alpha_bar) * (x - jnp.sqrt(alpha_bar) * MEAN) / variance


# the exact map of 50 DDIM steps, computed in float64, narrows the spread to 0.1762
@pytest.mark.parametrize(("steps", "spread"), [(None, SPREAD), (50, 0.1762)])
def test_sampler_recovers_a_gaussian(steps, spread):
    images, _ = sample(
        gaussian_eps,
        SCHEDULE,
        np.zeros((16, 1), np.float32),
        np.arange(16),
        shape=(32, 32, 1),
        guidance_scale=1,
        unconditional=np.zeros(1, np.float32),
        steps=steps,
        batch_size=16,
    )
    # standard errors with 16384 pixels: 0.0016 and 0.0011
    assert images.mean() == pytest.approx(MEAN, abs=0.005)
    assert images.std() == pytest.approx(spread, abs=0.004)


ON_EIGHT_DEVICES = """
import jax, numpy as np
from tests.common.test_diffusion import draw
from jax.sharding import Mesh
assert len(jax.devices()) == 8
mesh = Mesh(np.array(jax.devices()), ("data",))
images, trajectory = draw(mesh=mesh, trajectory_every=5)
assert images.shape == (6, 12, 20, 1) and trajectory.shape[:2] == (5, 6)
np.testing.assert_allclose(images, draw()[0], atol=1e-5)
"""


def test_eight_devices_draw_the_same_pictures():
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    subprocess.run(
        [sys.executable, "-c", ON_EIGHT_DEVICES],
        check=True,
        cwd=Path(__file__).parents[2],
        env=environment,
    )
