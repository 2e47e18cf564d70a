"""Di-Conv-AE-Net and SegNet in PyTorch, and their side of `experiments.benchmarks.ultrasound_nets`.

The networks are the reference of golden values too, which need nothing but PyTorch. As a program
it is started by the benchmark with the interpreter of a PyTorch environment (`pip install torch`)
and a folder, and answers as `answering` says. Layers are named as ours are.
"""

import json
import os
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class DiConvAE(nn.Module):
    """Four dilated convolutions down, four up; no dropout, which is random."""

    def __init__(self, filters: tuple, dilations: tuple, pooled: int, channels: int = 1):
        super().__init__()
        widths = [channels, *filters]
        self.pooled, self.down, self.up = pooled, nn.ModuleList(), nn.ModuleList()
        for level, dilation in enumerate(dilations):
            before, after = widths[level : level + 2]
            self.down.append(nn.Conv2d(before, after, 3, padding=dilation, dilation=dilation))
            if level < pooled:
                back = nn.ConvTranspose2d(after, before, 4, stride=2, padding=1)
            else:
                back = nn.Conv2d(after, before, 3, padding=dilation, dilation=dilation)
            self.up.insert(0, back)
        self.norms = nn.ModuleList(nn.BatchNorm2d(w) for w in [*filters, *filters[-2::-1]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return images in [0, 1]."""
        layers = [*self.down, *self.up]
        for i, norm in enumerate(self.norms):
            x = F.relu(norm(layers[i](x)))
            if i < self.pooled:
                x = F.max_pool2d(x, 2)
        return torch.sigmoid(self.up[-1](x))


class Level(nn.Module):
    """3x3 convolutions, each before BatchNorm and ReLU."""

    def __init__(self, widths: list):
        super().__init__()
        pairs = pairwise(widths)
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the level's output."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.relu(norm(convolution(x)))
        return x


class SegNet(nn.Module):
    """VGG16's convolutions down, max-unpooling up."""

    def __init__(self, filters: tuple, convolutions: tuple, classes: int, channels: int = 1):
        super().__init__()
        below = [channels, *filters]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, (width, count) in enumerate(zip(filters, convolutions, strict=True)):
            self.down.append(Level([below[level]] + [width] * count))
            self.up.append(Level([width] * count + ([below[level]] if level else [])))
        self.head = nn.Conv2d(filters[0], classes, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits of the classes."""
        places = []
        for level in self.down:
            x, indices = F.max_pool2d(level(x), 2, return_indices=True)
            places.append(indices)
        for level, indices in zip(reversed(self.up), reversed(places), strict=True):
            x = level(F.max_unpool2d(x, indices, 2))
        return self.head(x)


def main() -> None:
    from answering import answer  # beside this file, where a script finds it

    torch.set_num_threads(os.cpu_count())
    folder = Path(sys.argv[1])
    setting = json.loads((folder / "setting.json").read_text())
    arrays = {name: torch.from_numpy(a) for name, a in np.load(folder / "inputs.npz").items()}
    images, clean = (arrays[k].permute(0, 3, 1, 2).contiguous() for k in ("images", "clean"))
    labels = arrays["labels"].long()
    torch.manual_seed(0)
    networks = {
        "denoiser": DiConvAE(**setting["denoiser"]),
        "segmenter": SegNet(**setting["segmenter"]),
    }
    losses = {
        "denoiser": lambda y: F.l1_loss(y, clean),
        "segmenter": lambda y: F.cross_entropy(y, labels),
    }
    optimizers = {}
    for name, network in networks.items():
        weights = {key: value.numpy() for key, value in network.state_dict().items()}
        np.savez(folder / f"{name}.npz", **weights)
        optimizers[name] = torch.optim.Adam(network.parameters(), setting["rate"])

    def forward(name: str) -> float:
        with torch.no_grad():
            return networks[name].eval()(images).abs().mean().item()

    def step(name: str) -> float:
        optimizers[name].zero_grad(set_to_none=True)
        loss = losses[name](networks[name].train()(images))
        loss.backward()
        optimizers[name].step()
        return loss.item()

    actions = {
        f"{name} {action.__name__}": partial(action, name)
        for name in networks
        for action in (forward, step)
    }
    answer(torch.__version__, actions)


if __name__ == "__main__":
    main()
