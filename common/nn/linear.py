"""Linear layers and layer normalization."""

from __future__ import annotations

from typing import Any

from flax import nnx

ZEROS = nnx.initializers.zeros_init()


def linear(in_features: int, out_features: int, **options: Any) -> nnx.Linear:
    """Return a linear layer over the last axis, its kernel zero until weights are drawn or read."""
    return nnx.Linear(in_features, out_features, kernel_init=ZEROS, **options)


def layer_norm(features: int, **options: Any) -> nnx.LayerNorm:
    """Return layer normalization over the last axis, with PyTorch's epsilon and its two passes."""
    return nnx.LayerNorm(features, epsilon=1e-5, use_fast_variance=False, **options)
