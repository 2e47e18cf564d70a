"""Losses of the families, each with its origin; images are [-1, 1]."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Integer, UInt8

Logits = Float[Array, "batch ..."]
_CLIP = 1e-7  # Keras's, of probabilities under a logarithm


def is_real(logits: Logits, real: bool) -> Float[Array, ""]:
    """Return the mean binary cross-entropy of "real" or "generated" (Goodfellow et al. 2014).

    A generator's non-saturating loss is that of its images and `real` true.
    """
    return optax.sigmoid_binary_cross_entropy(logits, jnp.full_like(logits, real)).mean()


def is_real_squared(scores: Logits, real: bool) -> Float[Array, ""]:
    """Return the mean squared distance from 1 or 0 (LSGAN, Mao et al. 2017)."""
    return jnp.square(scores - real).mean()


def l1(a: Array, b: Array) -> Float[Array, ""]:
    """Return the mean absolute difference."""
    return jnp.abs(a - b).mean()


def pixels_entropy(
    output: Float[Array, "batch height width 3"], target: Float[Array, "batch height width 3"]
) -> Float[Array, ""]:
    """Return the binary cross-entropy summed over an image's pixels, mean over the batch.

    Values of images are taken as probabilities, as Keras's example of a VAE does.
    """
    p, y = jnp.clip(output / 2 + 0.5, _CLIP, 1 - _CLIP), target / 2 + 0.5
    entropy = -(y * jnp.log(p) + (1 - y) * jnp.log1p(-p))
    return entropy.sum((1, 2, 3)).mean()


def pixels_squared(
    output: Float[Array, "batch height width 3"], target: Float[Array, "batch height width 3"]
) -> Float[Array, ""]:
    """Return the squared difference, of [0, 1], summed over an image's pixels."""
    return jnp.square((output - target) / 2).sum((1, 2, 3)).mean()


def kl(
    mean: Float[Array, "batch latent"], log_variance: Float[Array, "batch latent"]
) -> Float[Array, ""]:
    """Return the Kullback-Leibler divergence from a standard normal, summed over latents."""
    divergence = 0.5 * (mean**2 + jnp.exp(log_variance) - 1 - log_variance)
    return divergence.sum(1).mean()


def has_labels(
    logits: Float[Array, "batch 3"], labels: UInt8[Array, "batch 3"]
) -> Float[Array, ""]:
    """Return the binary cross-entropy summed over labels, mean over the batch: StarGAN's."""
    return optax.sigmoid_binary_cross_entropy(logits, labels.astype(jnp.float32)).sum(1).mean()


def of_domain(
    logits: Float[Array, "batch domains"], domain: Integer[Array, " batch"]
) -> Float[Array, " batch"]:
    """Return each image's logit of its domain."""
    return jnp.take_along_axis(logits, domain[:, None], 1)[:, 0]


def gram(features: Float[Array, "batch height width channels"]) -> Float[Array, "batch c c"]:
    """Return the Gram matrices over channels * height * width (Johnson et al. 2016, eq. 3)."""
    batch, height, width, channels = features.shape
    flat = features.reshape(batch, height * width, channels)
    return jnp.einsum("bpi,bpj->bij", flat, flat) / (channels * height * width)


def stopped(tree: Array) -> Array:
    """Return the same, through which no gradient goes."""
    return jax.lax.stop_gradient(tree)
