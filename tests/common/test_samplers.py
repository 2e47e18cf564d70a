"""Samplers: steps and times against MONAI's (tests/golden/make_diffusion.py), known solutions."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common.diffusion.samplers import (
    DDIM,
    DDPM,
    Sampler,
    ddim_step,
    ddim_times,
    ddpm_step,
    predicted_x0,
)
from common.diffusion.sampling import sample
from common.diffusion.schedule import Schedule, noise_of_velocity

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "diffusion.npz"))
SCHEDULE = Schedule.linear()
MEAN, SPREAD = 0.3, 0.2
X, EPS, NOISE = (jnp.asarray(GOLDEN[name]) for name in ("x", "eps", "noise"))
IMAGE, EPS_OF_IMAGE, NOISE_OF_IMAGE = (jnp.moveaxis(a, 1, -1) for a in (X, EPS, NOISE))


def close(ours, theirs, tolerance=1e-5):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return np.max(np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))) < tolerance


@pytest.mark.parametrize("clip", [1.0, None])
def test_ancestral_steps_are_monais(clip):
    for t, theirs in zip(GOLDEN["times"], GOLDEN[f"ddpm_clip{bool(clip):d}"], strict=True):
        assert close(ddpm_step(SCHEDULE, EPS, int(t), X, NOISE, clip)[0], theirs)


def test_ancestral_steps_of_a_velocity_are_monais():
    for t, theirs in zip(GOLDEN["times"], GOLDEN["ddpm_velocity"], strict=True):
        eps = noise_of_velocity(SCHEDULE, EPS, X, jnp.asarray([t]))  # EPS in the role of v
        ours = ddpm_step(SCHEDULE, eps, int(t), X, NOISE, None)[0]
        assert close(ours, theirs, 3e-5)  # eps carries the data in its last digits at t = 999


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


@pytest.mark.parametrize("sampler", [DDPM(), DDIM(50), DDIM(50, eta=0.7, offset=1, last=0)])
def test_samplers_take_these_steps(sampler):
    assert isinstance(sampler, Sampler)
    assert hash(sampler) == hash(type(sampler)(**vars(sampler)))  # one program for equal ones
    assert not jax.tree.leaves(sampler)
    state = sampler.init(IMAGE)
    np.testing.assert_array_equal(state.x, IMAGE)
    for index in (0, len(sampler.times) // 2, len(sampler.times) - 1):
        t = int(sampler.times[index])
        noise = NOISE_OF_IMAGE if sampler.stochastic else None
        after = sampler.update(SCHEDULE, state, EPS_OF_IMAGE, index, noise)
        if isinstance(sampler, DDPM):
            x = ddpm_step(SCHEDULE, EPS_OF_IMAGE, t, IMAGE, NOISE_OF_IMAGE)
        else:
            leads_to = ddim_times(1000, 50, sampler.offset, sampler.last)[1][index]
            x = ddim_step(SCHEDULE, EPS_OF_IMAGE, t, int(leads_to), IMAGE, sampler.eta, noise=noise)
        np.testing.assert_array_equal(after.x, x)
        np.testing.assert_array_equal(sampler.finalize(after), x)


def test_samplers_visit_the_schedule_from_its_end() -> None:
    np.testing.assert_array_equal(DDPM(20).times, range(19, -1, -1))
    np.testing.assert_array_equal(DDIM(4, train_steps=20).times, [15, 10, 5, 0])
    np.testing.assert_array_equal(DDIM(4, train_steps=20, offset=1).times, [16, 11, 6, 1])
    assert [s.stochastic for s in (DDPM(), DDIM(5), DDIM(5, 0.1))] == [True, False, True]


@pytest.mark.parametrize("clip", [None, 0.25, 1.0])
def test_estimates_are_clipped_as_asked(clip):
    x0 = predicted_x0(SCHEDULE, EPS_OF_IMAGE, 500, IMAGE, clip)
    largest = float(np.abs(x0).max())
    assert largest > 1 if clip is None else largest == clip
    # a last step leads to the estimate itself; the noise of the ancestral one has no effect there
    last = DDIM(1, offset=500, clip=clip)
    np.testing.assert_array_equal(
        last.update(SCHEDULE, last.init(IMAGE), EPS_OF_IMAGE, 0, None).x, x0
    )
    ancestral = DDPM(clip=clip)
    after = ancestral.update(SCHEDULE, ancestral.init(9 * IMAGE), EPS_OF_IMAGE, 999, NOISE_OF_IMAGE)
    x0 = predicted_x0(SCHEDULE, EPS_OF_IMAGE, 0, 9 * IMAGE, clip)
    np.testing.assert_allclose(after.x, x0, rtol=1e-3)  # 1 - alphabar is one of few digits


def gaussian_eps(x, t, condition):
    """The exact noise prediction for data from N(MEAN, SPREAD^2), pixel by pixel."""
    alpha_bar = SCHEDULE.alpha_bar(t)[:, None, None, None]
    variance = alpha_bar * SPREAD**2 + 1 - alpha_bar
    return jnp.sqrt(1 - alpha_bar) * (x - jnp.sqrt(alpha_bar) * MEAN) / variance


# the exact map of 50 DDIM steps, computed in float64, narrows the spread to 0.1762
@pytest.mark.parametrize(("sampler", "spread"), [(DDPM(), SPREAD), (DDIM(50), 0.1762)])
def test_sampler_recovers_a_gaussian(sampler, spread):
    images, _ = sample(
        gaussian_eps,
        SCHEDULE,
        np.zeros((16, 1), np.float32),
        np.arange(16),
        shape=(32, 32, 1),
        guidance_scale=1,
        unconditional=np.zeros(1, np.float32),
        sampler=sampler,
        batch_size=16,
    )
    # standard errors with 16384 pixels: 0.0016 and 0.0011
    assert images.mean() == pytest.approx(MEAN, abs=0.005)
    assert images.std() == pytest.approx(spread, abs=0.004)


class TwoStepState(NamedTuple):
    x: jax.Array
    x0: jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TwoStep:
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095), as tables of float64: x, x0, last x0."""

    steps: int = field(metadata={"static": True})
    weights: jax.Array

    stochastic = False

    @classmethod
    def over(cls, schedule, steps):
        times = np.append(DDIM(steps).times, -1)
        alpha_bar = np.append(np.asarray(schedule.alphas_cumprod, np.float64), 1)[times]
        signal, sigma = np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)
        rows = [(0.0, 1.0, 0.0)] * steps  # so the last one: nothing but the estimate
        with np.errstate(divide="ignore"):
            h = np.diff(np.log(signal / sigma))
        for i in range(steps - 1):
            extra = h[i] / h[i - 1] / 2 if i else 0.0
            weight = -signal[i + 1] * np.expm1(-h[i])
            rows[i] = (sigma[i + 1] / sigma[i], weight * (1 + extra), -weight * extra)
        return cls(steps, jnp.asarray(np.array(rows), jnp.float32))

    @property
    def times(self):
        return DDIM(self.steps).times

    def init(self, noise):
        return TwoStepState(noise, jnp.zeros_like(noise))

    def update(self, schedule, state, eps, index, noise):
        x0 = predicted_x0(schedule, eps, jnp.asarray(self.times)[index], state.x, None)
        a, b, c = self.weights[index]
        return TwoStepState(a * state.x + b * x0 + c * state.x0, x0)

    def finalize(self, state):
        return state.x


@pytest.mark.parametrize("chunk", [None, 4])
def test_multistep_solvers_fit_the_protocol(chunk):
    images, trajectory = sample(
        gaussian_eps,
        SCHEDULE,
        np.zeros((2, 1), np.float32),
        np.arange(2),
        sampler=TwoStep.over(SCHEDULE, 10),
        shape=(8, 8, 1),
        guidance_scale=1,
        unconditional=np.zeros(1, np.float32),
        chunk=chunk,
        trajectory_every=1,
    )
    # every step maps the noise linearly; the whole map, computed in float64:
    np.testing.assert_allclose(images, 0.298951 + 0.212684 * trajectory[0], atol=2e-4)
