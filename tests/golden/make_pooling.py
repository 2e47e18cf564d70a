"""Writes pooling.npz: PyTorch's max pooling with indices and unpooling, with gradients.

pip install torch==2.13.0 numpy
python tests/golden/make_pooling.py
"""

from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import max_pool2d, max_unpool2d

random = np.random.default_rng(0)
# few different values, so that most windows have several largest ones
images = random.integers(0, 4, (2, 6, 8, 3)).astype(np.float32)
values = random.standard_normal((2, 3, 4, 3)).astype(np.float32)  # unpooled in place of the maxima
slopes = random.standard_normal((2, 6, 8, 3)).astype(np.float32)  # cotangent of what is unpooled


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).permute(0, 3, 1, 2).contiguous().requires_grad_()


def array(value: torch.Tensor) -> np.ndarray:
    return value.detach().permute(0, 2, 3, 1).contiguous().numpy()


x, v = tensor(images), tensor(values)
pooled, indices = max_pool2d(x, 2, return_indices=True)
pooled.backward(tensor(values).detach())
unpooled = max_unpool2d(v, indices, 2)
unpooled.backward(tensor(slopes).detach())
np.savez_compressed(
    Path(__file__).with_name("pooling.npz"),
    images=images,
    values=values,
    slopes=slopes,
    pooled=array(pooled),
    indices=array(indices).astype(np.int32),
    pooled_gradient=array(x.grad),
    unpooled=array(unpooled),
    unpooled_gradient=array(v.grad),
)
