"""PNDM, UniPC and Stable Diffusion's schedule against diffusers' (golden/make_schedulers.py)."""

from functools import partial
from pathlib import Path
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from common.diffusion import sampling
from common.diffusion.multistep import PNDM, Spacing, UniPC, unipc_times
from common.diffusion.samplers import DDIM, DDPM, Sampler
from common.diffusion.sampling import sample
from common.diffusion.schedule import Schedule, noise_of_velocity
from common.errors import InputError

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "schedulers.npz"))
SCHEDULE = Schedule.scaled_linear()
X, EPS = jnp.asarray(GOLDEN["x"]), jnp.asarray(GOLDEN["eps"])
RUNS = [(1, 0), (2, 0), (3, 0), (10, 0), (20, 0), (50, 0), (10, 3), (10, 9), (3, 1)]
MAKERS = {"pndm": PNDM.of} | {
    f"unipc_{spacing}": partial(UniPC.of, spacing=spacing) for spacing in get_args(Spacing)
}
MOST = {"pndm": 999, "unipc_linspace": 999, "unipc_leading": 998, "unipc_trailing": 1000}
SAMPLERS = pytest.mark.parametrize("make", [PNDM.of, UniPC.of])


def stepwise(sampler, start=0, noise=None, of_velocity=False):
    """Return the images after every update from evaluation `start` on, each given its own x."""
    update = jax.jit(sampler.update)
    state, images = sampler.init(X[0]), []
    for x, eps, index in zip(X, EPS, range(start, len(sampler.times)), strict=False):
        state = state._replace(x=x)
        if of_velocity:
            eps = noise_of_velocity(SCHEDULE, eps, x, jnp.full(1, sampler.times[index]))
        state = update(SCHEDULE, state, eps, index, noise)
        images.append(sampler.finalize(state))
    return np.concatenate(images)


def assert_close(ours, theirs, tolerance=3e-6):
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    assert np.max(np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))) < tolerance


def test_schedule_is_stable_diffusions_to_the_bit():
    np.testing.assert_array_equal(SCHEDULE.betas, GOLDEN["betas"])
    np.testing.assert_array_equal(SCHEDULE.alphas_cumprod, GOLDEN["alphas_cumprod"])
    assert Schedule.scaled_linear(1).steps == 1


@pytest.mark.parametrize("name", MAKERS)
def test_times_are_diffusers(name):
    theirs = GOLDEN[f"{name}_times"]
    for steps in GOLDEN["tables"]:
        count = steps + (name == "pndm" and steps > 1)
        expected, theirs = theirs[:count], theirs[count:]
        twice = name != "pndm" and len(set(expected)) < steps  # steps that are not finite
        assert (steps > MOST[name]) == (twice or expected.max() == 1000)
        if steps > MOST[name]:
            with pytest.raises(
                InputError, match=rf"^steps is {steps}: expected 1 to {MOST[name]}$"
            ):
                MAKERS[name](SCHEDULE, int(steps))
            continue
        times = MAKERS[name](SCHEDULE, int(steps)).times
        np.testing.assert_array_equal(times, expected)
        assert times.dtype == np.int32
    assert not len(theirs)


@pytest.mark.parametrize(("steps", "start"), RUNS)
@pytest.mark.parametrize("name", MAKERS)
def test_steps_are_diffusers(name, steps, start):
    sampler = MAKERS[name](SCHEDULE, steps)
    assert_close(stepwise(sampler, start), GOLDEN[f"{name}_{steps}_{start}"])


def test_steps_of_a_velocity_are_diffusers():
    assert_close(stepwise(UniPC.of(SCHEDULE, 10), of_velocity=True), GOLDEN["unipc_velocity"])


@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_ddim_steps_are_diffusers(eta):
    noise = jnp.asarray(GOLDEN["noise"])
    sampler = DDIM(20, eta=eta, offset=1, last=0, clip=None)
    assert_close(stepwise(sampler, noise=noise), GOLDEN[f"ddim_{eta}"])


def test_ancestral_steps_are_diffusers():
    sampler, noise = DDPM(clip=None), jnp.asarray(GOLDEN["noise"])
    for t, theirs in zip(GOLDEN["times"].tolist(), GOLDEN["ddpm"], strict=True):
        ours = sampler.update(SCHEDULE, sampler.init(X[0]), EPS[0], 999 - t, noise).x
        # diffusers takes beta from two of alphabar's rounded values, MONAI and we do not
        assert_close(ours[0], theirs, 3e-5 if t == 0 else 3e-6)


@SAMPLERS
def test_samplers_are_arguments_of_programs(make):
    sampler = make(SCHEDULE, 7)
    assert isinstance(sampler, Sampler)
    assert not sampler.stochastic
    leaves, structure = jax.tree.flatten(sampler)
    assert all(leaf.dtype == jnp.float32 and np.isfinite(leaf).all() for leaf in leaves)
    assert structure == jax.tree.structure(make(Schedule.linear(), 7))
    assert structure != jax.tree.structure(make(SCHEDULE, 8))


@SAMPLERS
def test_images_stay_float32_whatever_the_network_computes_in(make):
    sampler, eps = make(SCHEDULE, 4), EPS.astype(jnp.bfloat16)
    half = full = sampler.init(X[0])
    for index in range(4):
        half = sampler.update(SCHEDULE, half, eps[index], index, None)
        full = sampler.update(SCHEDULE, full, eps[index].astype(jnp.float32), index, None)
    start = sampler.init(X[0])
    assert [a.dtype for a in jax.tree.leaves(half)] == [a.dtype for a in jax.tree.leaves(start)]
    jax.tree.map(np.testing.assert_array_equal, half, full)


@pytest.mark.parametrize("steps", [-1, 0, 1000])
def test_what_no_schedule_has_is_refused(steps):
    for make in (PNDM.of, UniPC.of):
        with pytest.raises(InputError, match=rf"^steps is {steps}: expected 1 to 999$"):
            make(SCHEDULE, steps)
    with pytest.raises(InputError, match="spacing is 'linspce': did you mean 'linspace'"):
        unipc_times(1000, 10, "linspce")


MEAN, SPREAD = 0.3, 0.5


def gaussian_eps(schedule, x, t, condition):
    """The exact noise prediction for data from N(MEAN, SPREAD^2), pixel by pixel."""
    alpha_bar = schedule.alpha_bar(t)[:, None, None, None]
    variance = alpha_bar * SPREAD**2 + 1 - alpha_bar
    return jnp.sqrt(1 - alpha_bar) * (x - jnp.sqrt(alpha_bar) * MEAN) / variance


def draw(sampler, schedule=SCHEDULE, **options):
    return sample(
        Partial(gaussian_eps, schedule),
        schedule,
        np.zeros((2, 1), np.float32),
        np.arange(2),
        sampler=sampler,
        shape=(8, 8, 1),
        guidance_scale=1,
        unconditional=np.zeros(1, np.float32),
        batch_size=2,
        **options,
    )


# the last step, to the data, is of first order always and left out; DDIM, of that order: 0.134
@pytest.mark.parametrize(("make", "error"), [(PNDM.of, 0.03), (UniPC.of, 0.007)])
def test_samplers_solve_the_equation_of_a_gaussian(make, error):
    sampler = make(SCHEDULE, 20)
    trajectory = draw(sampler, trajectory_every=1)[1]
    first, last = (SCHEDULE.alpha_bar(t) for t in sampler.times[[0, -1]].tolist())
    spread = [np.sqrt(alpha_bar * SPREAD**2 + 1 - alpha_bar) for alpha_bar in (first, last)]
    noise = (trajectory[0] - np.sqrt(first) * MEAN) / spread[0]
    exact = np.sqrt(last) * MEAN + spread[1] * noise
    assert np.abs(trajectory[-2] - exact).max() < error


@SAMPLERS
def test_chunks_change_no_bit(make):
    sampler = make(SCHEDULE, 10)
    whole = draw(sampler, trajectory_every=1)
    chunked = draw(sampler, trajectory_every=1, chunk=3)
    np.testing.assert_array_equal(whole[0], chunked[0])
    np.testing.assert_array_equal(whole[1], chunked[1])
    initial = {"initial": whole[0], "start": 3}
    np.testing.assert_array_equal(draw(sampler, **initial)[0], draw(sampler, **initial, chunk=3)[0])


@SAMPLERS
def test_one_program_serves_all_schedules(make):
    draw(make(SCHEDULE, 5))
    before = sampling._whole._cache_size()
    other = Schedule.linear()
    images, _ = draw(make(other, 5), other)
    assert sampling._whole._cache_size() == before
    assert np.abs(images - draw(make(SCHEDULE, 5))[0]).max() > 0.01
