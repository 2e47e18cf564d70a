"""Writes resnet.npz: torchvision's residual blocks as a small network on gray films.

pip install torch==2.13.0 torchvision==0.28.0
python tests/golden/make_resnet.py

torchvision's `resnet18` has 64 channels and 4 levels; its `ResNet` is built here of the same blocks
with fewer, in evaluation and with the statistics of the batch, and with the stems of small images.
"""

from pathlib import Path

import numpy as np
import torch
from seeded_weights import seeded_weights
from torch import nn
from torchvision.models.resnet import BasicBlock

CHANNELS, CLASSES = (6, 8, 12), 4
STEMS = {"imagenet": (7, 2, 3), "half": (3, 2, 1), "small": (3, 1, 1)}  # window, stride, padding


class Network(nn.Module):
    def __init__(self, stem: str) -> None:
        super().__init__()
        window, stride, padding = STEMS[stem]
        self.conv = nn.Conv2d(1, CHANNELS[0], window, stride, padding, bias=False)
        self.norm = nn.BatchNorm2d(CHANNELS[0])
        self.pool = nn.MaxPool2d(3, 2, 1) if stem == "imagenet" else nn.Identity()
        blocks, width = [], CHANNELS[0]
        for level, features in enumerate(CHANNELS):
            stride = 2 if level else 1
            skip = None
            if level:
                skip = nn.Sequential(
                    nn.Conv2d(width, features, 1, stride, bias=False), nn.BatchNorm2d(features)
                )
            blocks += [BasicBlock(width, features, stride, skip), BasicBlock(features, features)]
            width = features
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.norm(self.conv(2 * x - 1))))
        return self.head(self.blocks(x).mean((2, 3)))


def weights_of(network: Network) -> dict[str, torch.Tensor]:
    """Return weights by the names of the network's parameters; variances are above 0."""
    kept = network.state_dict()
    named = {name: tuple(value.shape) for name, value in kept.items() if value.shape}
    weights = {
        name: 0.2 + abs(value) if name.endswith("running_var") else value
        for name, value in seeded_weights(named).items()
    }
    return kept | {name: torch.tensor(value) for name, value in weights.items()}


def main() -> None:
    torch.set_num_threads(1)
    x = np.random.RandomState(0).random_sample((3, 32, 32, 1)).astype(np.float32)
    golden = {"x": x}
    for stem in STEMS:
        network = Network(stem)
        network.load_state_dict(weights_of(network))
        for name, train in (("test", False), ("train", True)):
            network.train(train)
            with torch.no_grad():
                golden[f"{stem}_{name}"] = network(torch.tensor(x).permute(0, 3, 1, 2)).numpy()
            if train:
                golden[f"{stem}_moved"] = network.norm.running_mean.numpy()
    np.savez_compressed(Path(__file__).with_name("resnet.npz"), **golden)


if __name__ == "__main__":
    main()
