"""Training objectives of diffusion models, on images or latent images.

Notation of `common.diffusion.schedule`. The network predicts the noise (Ho et al. 2020,
arXiv:2006.11239, eq. 14) or the velocity; min-SNR weighting (Hang et al. 2023, arXiv:2303.09556)
keeps the times near the data, which are many and easy, from ruling the gradients:

    (1)  snr_t = alphabar_t / (1 - alphabar_t)
    (2)  w_t = min(snr_t, gamma) / snr_t           for the noise
    (3)  w_t = min(snr_t, gamma) / (snr_t + 1)     for the velocity

Both are the weight min(snr_t, gamma) of an error of the data, said of what is predicted. They match
diffusers 0.42.1: `compute_snr` and the loss of its text-to-image training script.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from common.diffusion.schedule import Schedule, velocity
from common.errors import InputError, nearest

PREDICTIONS = ("epsilon", "v_prediction")  # what a network may predict, in diffusers' words


def denoising_loss(
    schedule: Schedule,
    x0: Float[Array, "batch height width channels"],
    noise: Float[Array, "batch height width channels"],
    t: Int[Array, " batch"],
    predicted: Float[Array, "batch height width channels"],
    prediction: str = "epsilon",
    gamma: Float[Array, ""] | float | int | None = None,
) -> Float[Array, " batch"]:
    """Return the mean squared error of `predicted` for each image, weighted by (2) or (3).

    `x0` and standard normal `noise` are what `add_noise` mixed at times `t`. Without `gamma` (the
    paper's is 5) the weights are 1. The error is float32 whatever the network computes in.
    InputError for an unknown `prediction`.
    """
    if prediction not in PREDICTIONS:
        raise InputError(f"prediction is '{prediction}': {nearest(prediction, PREDICTIONS)}")
    target = noise if prediction == "epsilon" else velocity(schedule, x0, noise, t)
    error = predicted.astype(jnp.float32) - target.astype(jnp.float32)
    loss = jnp.mean(jnp.square(error), axis=(1, 2, 3))
    if gamma is None:
        return loss
    ratio = snr(schedule, t)
    if prediction == "epsilon":
        return jnp.minimum(1, gamma / ratio) * loss
    return jnp.minimum(ratio, gamma) / (ratio + 1) * loss


def snr(schedule: Schedule, t: Int[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return the ratio of signal to noise at times `t`: equation (1)."""
    alpha_bar = schedule.alpha_bar(t)
    return alpha_bar / (1 - alpha_bar)
