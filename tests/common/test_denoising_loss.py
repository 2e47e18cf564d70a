"""Training objectives of diffusion against diffusers' (golden/make_schedulers.py)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common.diffusion.losses import denoising_loss, snr
from common.diffusion.schedule import Schedule
from common.errors import InputError

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "schedulers.npz"))
SCHEDULE = Schedule.scaled_linear()
TIMES = jnp.asarray(GOLDEN["times"])
X0, NOISE, PREDICTED = (
    jnp.asarray(a[: len(TIMES), 0]) for a in (GOLDEN["x"], GOLDEN["x"][::-1], GOLDEN["eps"])
)
KINDS = pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])


def test_ratio_of_signal_to_noise_is_diffusers():
    np.testing.assert_allclose(snr(SCHEDULE, TIMES), GOLDEN["snr"], rtol=1e-6)


@KINDS
@pytest.mark.parametrize(("gamma", "name"), [(None, "loss"), (5.0, "min_snr")])
def test_losses_are_diffusers(kind, gamma, name):
    loss = jax.jit(denoising_loss, static_argnames="prediction")
    losses = loss(SCHEDULE, X0, NOISE, TIMES, PREDICTED, prediction=kind, gamma=gamma)
    np.testing.assert_allclose(losses, GOLDEN[f"{name}_{kind}"], rtol=2e-6)


@KINDS
def test_weights_are_finite_where_there_is_no_signal(kind):
    silent = Schedule(jnp.ones(3), jnp.array([0.9, 0.5, 0.0]))
    data = (X0[:3], NOISE[:3], jnp.arange(3), PREDICTED[:3], kind)
    plain, weighted = denoising_loss(silent, *data), denoising_loss(silent, *data, gamma=5)
    # of the noise there the plain loss, of the velocity none: it says nothing of the data
    np.testing.assert_allclose(weighted[2], plain[2] if kind == "epsilon" else 0, rtol=1e-6)
    np.testing.assert_allclose(weighted[1], plain[1] if kind == "epsilon" else plain[1] / 2)
    factor = 5 / 9 if kind == "epsilon" else 5 / 10
    np.testing.assert_allclose(weighted[0], plain[0] * factor, rtol=1e-5)


def test_errors_are_float32_whatever_the_network_computes_in():
    half = PREDICTED.astype(jnp.bfloat16)
    losses = denoising_loss(SCHEDULE, X0, NOISE, TIMES, half, gamma=5)
    assert losses.dtype == jnp.float32
    expected = denoising_loss(SCHEDULE, X0, NOISE, TIMES, half.astype(jnp.float32), gamma=5)
    np.testing.assert_array_equal(losses, expected)


def test_unknown_predictions_are_refused():
    with pytest.raises(InputError, match="prediction is 'velocity': choose one of epsilon, v_p"):
        denoising_loss(SCHEDULE, X0, NOISE, TIMES, PREDICTED, "velocity")
