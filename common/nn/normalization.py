"""Group, instance and batch normalization.

The gradient of group normalization is written out: a few passes over the activations. With m and r
the mean and the inverse standard deviation of a group, and y = (x - m) r s + b:

    (1)  dx = r s dy - r mean(s dy) - r (x - m) r mean(s dy (x - m) r)

the means being taken over the group. Automatic differentiation of the same function keeps and
passes over several arrays more. On the CPU the backward pass begins with a barrier: without it
XLA's CPU backend computes parts of the convolution's gradient again inside it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from common.nn import cpu_forms

Images = Float[Array | np.ndarray, "batch height width channels"]
Vector = Float[Array | np.ndarray, " channels"]


class GroupNorm(nnx.Module):
    """Group normalization (Wu & He 2018), with SiLU behind it if `silu`; as `flax.nnx.GroupNorm`.

    `scale` and `bias` [channels]. Statistics in float32, the result in `dtype`.
    """

    def __init__(
        self,
        features: int,
        groups: int,
        *,
        epsilon: float = 1e-6,
        silu: bool = False,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        if features % groups:
            raise ValueError(f"{features} channels cannot be divided into {groups} groups")
        self.scale = nnx.Param(jnp.ones(features))
        self.bias = nnx.Param(jnp.zeros(features))
        self.groups, self.epsilon, self.silu, self.dtype = groups, epsilon, silu, dtype

    def __call__(self, x: Images) -> Float[Array, "batch height width channels"]:
        """Return `x` normalized over height, width and the channels of each group."""
        y = group_norm(
            x.astype(jnp.float32), self.scale[...], self.bias[...], self.groups, self.epsilon,
            self.silu,
        )  # fmt: skip
        return y.astype(self.dtype or jnp.float32)


class InstanceNorm(nnx.Module):
    """Instance normalization (Ulyanov et al. 2016): each image and channel by its own statistics.

    As `torch.nn.InstanceNorm2d` without running statistics, in training and inference alike: what
    comes out of an image does not depend on its batch. `scale` and `bias` [channels] if `affine`.
    At a batch of one it is also PyTorch's BatchNorm in training. Statistics in float32, the result
    in `dtype`.
    """

    def __init__(
        self,
        features: int,
        *,
        affine: bool = False,
        epsilon: float = 1e-5,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        self.scale = nnx.Param(jnp.ones(features)) if affine else None
        self.bias = nnx.Param(jnp.zeros(features)) if affine else None
        self.features, self.epsilon, self.dtype = features, epsilon, dtype

    def __call__(self, x: Images) -> Float[Array, "batch height width channels"]:
        """Return `x` normalized over height and width."""
        ones, zeros = jnp.ones(self.features), jnp.zeros(self.features)
        scale = ones if self.scale is None else self.scale[...]
        bias = zeros if self.bias is None else self.bias[...]
        y = group_norm(x.astype(jnp.float32), scale, bias, self.features, self.epsilon, False)
        return y.astype(self.dtype or jnp.float32)


class BatchNorm(nnx.Module):
    """Batch normalization (Ioffe & Szegedy 2015), with ReLU behind it if `relu`; as Keras's.

    `scale` and `bias` [channels]; `mean` and `var` [channels], the moving statistics, each
    `momentum` of the old and the rest of the batch's. The variance is the biased one throughout,
    where PyTorch moves an unbiased one. Statistics in float32, the result in `dtype`. A batch that
    is split over devices under `jax.jit` is normalized as a whole.
    """

    def __init__(
        self,
        features: int,
        *,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        relu: bool = False,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        self.scale = nnx.Param(jnp.ones(features))
        self.bias = nnx.Param(jnp.zeros(features))
        self.mean: nnx.Variable = nnx.BatchStat(jnp.zeros(features))
        self.var: nnx.Variable = nnx.BatchStat(jnp.ones(features))
        self.momentum, self.epsilon, self.relu, self.dtype = momentum, epsilon, relu, dtype

    def __call__(self, x: Images, train: bool) -> Float[Array, "batch height width channels"]:
        """Return `x` normalized by its own statistics and move ours if `train`, else by ours."""
        x = jnp.asarray(x, jnp.float32)
        mean, var = self.mean[...], self.var[...]
        if train:
            mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
            # new variables: the old ones may come from outside of a transformation, as in the
            # gradient of a loss that merges only the parameters
            self.mean = self._moved(self.mean, mean)
            self.var = self._moved(self.var, var)
        y = (x - mean) * (lax.rsqrt(var + self.epsilon) * self.scale[...]) + self.bias[...]
        y = jax.nn.relu(y) if self.relu else y
        return jnp.asarray(y, self.dtype or jnp.float32)

    def _moved(self, moving: nnx.Variable, batch: Array) -> nnx.Variable:
        return moving.replace(self.momentum * moving[...] + (1 - self.momentum) * batch)


@partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def group_norm(
    x: Images, scale: Vector, bias: Vector, groups: int, epsilon: float, silu: bool
) -> Float[Array, "batch height width channels"]:
    """Return group normalization of `x`, then scale, bias, and SiLU if `silu`."""
    return _forward(x, scale, bias, groups, epsilon, silu)[0]


def _forward(x, scale, bias, groups, epsilon, silu):
    mean = _group_mean(x.mean((1, 2)), groups)
    variance = _group_mean(jnp.square(x - mean).mean((1, 2)), groups)
    inverse = lax.rsqrt(variance + epsilon)
    z = (x - mean) * (inverse * scale) + bias
    return (z * lax.logistic(z) if silu else z), (x, mean, inverse, scale, bias)


def _backward(groups, epsilon, silu, kept, gradient):
    if cpu_forms.on_cpu():
        kept, gradient = lax.optimization_barrier((kept, gradient))
    x, mean, inverse, scale, bias = kept
    if silu:
        z = (x - mean) * (inverse * scale) + bias
        sigmoid = lax.logistic(z)
        gradient = gradient * (sigmoid * (1 + z * (1 - sigmoid)))
    pixels = x.shape[1] * x.shape[2]
    total = gradient.sum((1, 2))
    correlation = (gradient * (x - mean)).sum((1, 2)) * inverse[:, 0, 0]
    shift = _group_mean(scale * total / pixels, groups)
    slope = _group_mean(scale * correlation / pixels, groups)
    dx = (inverse * scale) * gradient - inverse * shift - (x - mean) * (inverse**2 * slope)
    return dx, correlation.sum(0), total.sum(0)


def _group_mean(values: Float[Array | np.ndarray, "batch channels"], groups: int) -> Array:
    """Return the mean over each group's channels, for every channel: [batch, 1, 1, channels]."""
    batch, channels = values.shape
    means = values.reshape(batch, groups, -1).mean(2)
    return jnp.repeat(means, channels // groups, axis=1)[:, None, None]


group_norm.defvjp(_forward, _backward)
