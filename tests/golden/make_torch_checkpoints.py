"""The three kinds of file that PyTorch saves, with the tensors they hold.

"lightning" is a checkpoint as trainers leave it: weights in `state_dict`, of several types, beside
what no one needs for them: states of callbacks and of an optimizer, scalars of NumPy, settings.

pip install torch==2.13.0 numpy==2.4.6
python tests/golden/make_torch_checkpoints.py
"""

import io
import sys
import types
import zipfile
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


class ModelCheckpoint:
    """What older versions of Lightning key a callback's state by, and pickle by its name."""


ModelCheckpoint.__module__ = "pytorch_lightning.callbacks.model_checkpoint"
for end in ("", ".callbacks", ".callbacks.model_checkpoint"):
    name = f"pytorch_lightning{end}"
    sys.modules[name] = types.ModuleType(name)
sys.modules[name].ModelCheckpoint = ModelCheckpoint


def without_paths(archive):
    """Return a TorchScript archive less the debug records, which name files of this machine."""
    with zipfile.ZipFile(io.BytesIO(archive.tobytes())) as whole:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as copy:
            for member in whole.infolist():
                if not member.filename.endswith(".debug_pkl"):
                    copy.writestr(member, whole.read(member))
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
with_attribute = torch.nn.Parameter(torch.full((2,), 3.0))
with_attribute.fixed = True
weights = {
    "model.brain": torch.linspace(-3, 3, 7, dtype=torch.bfloat16),
    "model.half": torch.linspace(-3, 3, 7, dtype=torch.float16),
    "model.attribute": with_attribute,
    "model.buffer": torch.nn.Buffer(torch.ones(3)),
    "model.last": torch.ones(2, 3, 3, 2).to(memory_format=torch.channels_last),
}
linear = torch.nn.Linear(2, 1)
optimizer = torch.optim.AdamW(linear.parameters())
linear(torch.ones(1, 2)).sum().backward()
optimizer.step()
lightning = {
    "epoch": 3,
    "global_step": np.int64(470000),
    "state_dict": torch.nn.ParameterDict().state_dict() | weights,
    "callbacks": {ModelCheckpoint: {"best": np.float32(0.5), "score": torch.ones(1)}},
    "checkpoint": ModelCheckpoint(),
    "optimizer_states": [optimizer.state_dict()],
    "mean": torch.zeros(1),
    "settings": {"bytes": b"\xff", "set": {1}, "dtype": torch.float16, "size": torch.Size([1])},
}
lists = torch.nn.ParameterDict({"*": torch.ones(2, 4)})  # of textual inversion's first code
arrays = {
    "zip": bytes_of(lambda f: torch.save(tensors, f)),
    "plain": bytes_of(lambda f: torch.save(tensors, f, _use_new_zipfile_serialization=False)),
    "script": without_paths(bytes_of(lambda f: torch.jit.save(torch.jit.script(module), f))),
}
arrays |= {
    "lightning": bytes_of(lambda f: torch.save(lightning, f)),
    "lightning plain": bytes_of(
        lambda f: torch.save(lightning, f, _use_new_zipfile_serialization=False)
    ),
    "parameters": bytes_of(lambda f: torch.save({"string_to_param": lists}, f)),
}
arrays |= {f"lightning:{name}": value.detach().float().numpy() for name, value in weights.items()}
arrays |= {f"tensor:{name}": value.detach().numpy() for name, value in tensors.items()}
arrays |= {f"script:{name}": value.numpy() for name, value in module.state_dict().items()}
np.savez_compressed(Path(__file__).with_name("torch_checkpoints.npz"), **arrays)
