"""The three kinds of file that PyTorch saves, whole, with the tensors they hold.

pip install torch==2.13.0
python tests/golden/make_torch_checkpoints.py
"""

import io
from pathlib import Path

import numpy as np
import torch


class Scaled(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Conv2d(2, 3, (1, 2))
        self.sizes = [3, 1]

    def forward(self, x):
        return self.inner(x) * self.sizes[0]


def bytes_of(save):
    buffer = io.BytesIO()
    save(buffer)
    return np.frombuffer(buffer.getvalue(), np.uint8)


torch.manual_seed(0)
whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
tensors = {
    "layer.weight": whole,
    "layer.transposed": whole.T,  # another view of the same storage
    "layer.part": whole[1:3, ::2],
    "counts": torch.arange(5),
    "half": torch.linspace(0, 1, 3, dtype=torch.float16),
    "flags": torch.tensor([True, False]),
    "steps": torch.tensor(7),
    "learnt": torch.nn.Parameter(torch.ones(2, 2)),
    "empty": torch.zeros(0, 3),
}
module = Scaled()
arrays = {
    "zip": bytes_of(lambda f: torch.save(tensors, f)),
    "plain": bytes_of(lambda f: torch.save(tensors, f, _use_new_zipfile_serialization=False)),
    "script": bytes_of(lambda f: torch.jit.save(torch.jit.script(module), f)),
}
arrays |= {f"tensor:{name}": value.detach().numpy() for name, value in tensors.items()}
arrays |= {f"script:{name}": value.numpy() for name, value in module.state_dict().items()}
np.savez_compressed(Path(__file__).with_name("torch_checkpoints.npz"), **arrays)
