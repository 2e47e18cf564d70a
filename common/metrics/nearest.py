"""Whether what was made of an image is still nearest to that image among all of them.

A distance such as LPIPS is looked up between every output and every input. With features scaled so
that LPIPS is a squared Euclidean distance, each image passes the network once:

    LPIPS(x, y) = |e(x) - e(y)|²,   e = the taps' unit features · √(w_l / positions_l)         (1)
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Float64

from common.errors import InputError
from common.metrics.checks import check_finite, check_images
from common.metrics.lpips import lpips, unit
from common.nn.predictor import in_batches
from common.pretrained.perceptual import PerceptualNetwork, perceptual_features

AnyArray = jax.Array | np.ndarray
Images = Float[AnyArray, "n height width channels"]


def nearest_is_own(distances: Float[AnyArray, "outputs inputs"]) -> Bool[np.ndarray, " outputs"]:
    """Return whether output i is nearer to input i than to every other input.

    A tie is no. Outputs that are all alike have at most one that is: chance is one in the number
    of inputs. Raises InputError for NaN, fewer than 2 inputs, and more outputs than inputs.
    """
    outputs, inputs = distances.shape
    if inputs < 2 or outputs > inputs:
        raise InputError(
            f"distances {distances.shape} of outputs to inputs: expected an input for each "
            "output, at least 2"
        )
    check_finite(distances, "distances")
    others, own = np.array(distances, np.float64), np.arange(outputs)
    nearness = others[own, own].copy()
    others[own, own] = np.inf
    return nearness < others.min(1)


def pairwise_lpips(
    a: Float32[np.ndarray, "n values"], b: Float32[np.ndarray, "m values"]
) -> Float64[np.ndarray, "n m"]:
    """Return the LPIPS of each image of one set with each of another; in [0, inf).

    From their `lpips_vectors`, so that a set compared many times passes the network once. Equal to
    `common.metrics.lpips.lpips` of each pair.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1)
    return np.maximum(squares - 2 * x @ y.T, 0)


def lpips_vectors(
    network: PerceptualNetwork, images: Images, batch_size: int = 16
) -> Float32[np.ndarray, "n values"]:
    """Return e of equation (1) of images [0, 1], RGB or gray, so many at a time.

    At 64x64 pixels 32,000 values an image of AlexNet, and 500,000 of VGG16. Raises InputError as
    `common.metrics.lpips.lpips` does, and for a network with weights below 0, which LPIPS's
    training forbids.
    """
    check_images(images)
    jax.eval_shape(lpips, network, images[:1], images[:1])  # says which shapes it does not take
    if any(float(head.min()) < 0 for head in network.heads):
        raise InputError(f"LPIPS's {network.net} network: weights below 0, expected 0 or more")
    return in_batches(partial(_vectors, network), np.asarray(images), batch_size)


@jax.jit
def _vectors(network: PerceptualNetwork, images: Images) -> Float[Array, "n values"]:
    """Return e of equation (1) of one batch."""
    scaled = [
        unit(tap) * jnp.sqrt(head / (tap.shape[1] * tap.shape[2]))
        for tap, head in zip(perceptual_features(network, images), network.heads, strict=True)
    ]
    return jnp.concatenate([tap.reshape(len(tap), -1) for tap in scaled], 1)
