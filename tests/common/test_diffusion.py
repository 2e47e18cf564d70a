"""The schedule against MONAI's (tests/golden/make_diffusion.py), and guidance."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from common.diffusion.guidance import guided, guided_eps, unconditioned
from common.diffusion.schedule import Schedule, add_noise, noise_of_velocity, velocity

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "diffusion.npz"))
SCHEDULE = Schedule.linear()
X, EPS, NOISE = (jnp.asarray(GOLDEN[name]) for name in ("x", "eps", "noise"))


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


def test_noise_comes_back_from_velocity():
    times = jnp.asarray(GOLDEN["times"])
    x0, noise = (jnp.tile(a, (len(times), 1, 1, 1)) for a in (X, NOISE))
    noisy, v = (make(SCHEDULE, x0, noise, times) for make in (add_noise, velocity))
    assert close(noise_of_velocity(SCHEDULE, v, noisy, times), noise)
    # of noise alone the velocity is minus the data, of data alone it is the noise: (3)
    signal = np.sqrt(GOLDEN["alphas_cumprod"][GOLDEN["times"]])[:, None, None, None]
    spread = np.sqrt(1 - GOLDEN["alphas_cumprod"][GOLDEN["times"]])[:, None, None, None]
    assert close(velocity(SCHEDULE, x0, jnp.zeros_like(x0), times), -spread * np.asarray(x0))
    assert close(velocity(SCHEDULE, jnp.zeros_like(x0), x0, times), signal * np.asarray(x0))


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


def test_conditions_may_be_any_tree_and_share_arrays_without_guidance() -> None:
    def shown(x, t, condition):
        text, (image,) = condition["text"], condition["more"]
        return x + t[:, None, None, None] + text.sum((1, 2))[:, None, None, None] * image

    random = np.random.default_rng(0)
    x, image = random.standard_normal((2, 3, 4, 4, 1), np.float32)
    text, empty = random.standard_normal((3, 7, 5), np.float32), np.ones((7, 5), np.float32)
    t = jnp.array([3, 5, 8])
    conditions, unconditional = {"text": text, "more": [image]}, {"text": empty, "more": [None]}
    eps_u = shown(x, t, {"text": np.stack([empty] * 3), "more": [image]})
    eps_c = shown(x, t, conditions)
    eps = guided_eps(shown, jnp.asarray(x), t, conditions, unconditional, 2.5)
    assert close(eps, eps_u + 2.5 * (eps_c - eps_u))

    with pytest.raises(ValueError, match=r"unconditional is \(5, 7\), each condition \(7, 5\)"):
        unconditioned(conditions, {"text": empty.T, "more": [None]})
    with pytest.raises(ValueError, match="more"):
        unconditioned(conditions, {"text": empty})
