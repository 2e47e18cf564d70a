"""Writes layers.npz: PyTorch's transposed convolutions and instance normalization, with gradients.

Of the product of the output with `slopes`, for the input and the parameters.

pip install torch==2.13.0 numpy
python tests/golden/make_layers.py
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

random = np.random.default_rng(0)
images = random.normal(1, 2, (2, 5, 4, 3)).astype(np.float32)
LAYERS = {
    "transposed3": nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1),
    "transposed4": nn.ConvTranspose2d(3, 4, 4, stride=2, padding=1),
    "instance": nn.InstanceNorm2d(3),
    "instance_affine": nn.InstanceNorm2d(3, affine=True),
}


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).permute(0, 3, 1, 2).contiguous()


def array(value: torch.Tensor) -> np.ndarray:
    return value.detach().permute(0, 2, 3, 1).contiguous().numpy()


golden = {"images": images}
for name, layer in LAYERS.items():
    for parameter in layer.parameters():
        parameter.data = torch.from_numpy(random.normal(0.5, 1, parameter.shape).astype(np.float32))
    x = tensor(images).requires_grad_()
    output = layer(x)
    slopes = random.standard_normal(array(output).shape).astype(np.float32)
    output.backward(tensor(slopes))
    golden |= {f"{name}/output": array(output), f"{name}/slopes": slopes}
    golden[f"{name}/gradient"] = array(x.grad)
    for key, parameter in layer.named_parameters():
        golden[f"{name}/{key}"] = parameter.detach().numpy()
        golden[f"{name}/{key}_gradient"] = parameter.grad.numpy()
np.savez_compressed(Path(__file__).with_name("layers.npz"), **golden)
