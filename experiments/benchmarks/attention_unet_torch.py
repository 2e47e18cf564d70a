"""The PyTorch side of `experiments.benchmarks.attention_unet`: the same network, written in it.

Started by it with the interpreter of an environment with PyTorch (`pip install torch numpy`) and a
folder. Writes the weights there under Keras's names, then answers as `answering` says.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from answering import answer
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate, max_pool2d, relu


class ConvBlock(nn.Module):
    """Two convolutions with one BatchNorm."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.norm = nn.BatchNorm2d(after, eps=1e-3, momentum=0.01)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return relu(self.norm(self.conv2(relu(self.conv1(x)))))


class Gate(nn.Module):
    """The attention gate of a skip, with BatchNorm."""

    def __init__(self, low: int, high: int):
        super().__init__()
        self.phi = nn.Conv2d(low, high, 1)
        self.theta = nn.Conv2d(high, high, 1, stride=2)
        self.psi = nn.Conv2d(high, 1, 1)
        self.norm = nn.BatchNorm2d(high, eps=1e-3, momentum=0.01)

    def forward(self, low: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:  # noqa: D102
        gate = torch.sigmoid(self.psi(relu(self.phi(low) + self.theta(skip))))
        return self.norm(skip * interpolate(gate, scale_factor=2))


class Up(nn.Module):
    """One level of the way up."""

    def __init__(self, low: int, high: int):
        super().__init__()
        self.grow = nn.ConvTranspose2d(low, high, 2, stride=2)
        self.gate = Gate(low, high)
        self.block = ConvBlock(2 * high, high)

    def forward(self, low: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return self.block(torch.cat([self.grow(low), self.gate(low, skip)], 1))


class AttentionUNet(nn.Module):
    """Submodules stand in the order in which Keras makes its layers: `keras_weights` needs it."""

    def __init__(self, filters: list[int]):
        super().__init__()
        pairs = zip([3, *filters], filters, strict=False)
        self.down = nn.ModuleList(ConvBlock(*pair) for pair in pairs)
        pairs = zip(filters[:0:-1], filters[-2::-1], strict=True)
        self.up = nn.ModuleList(Up(*pair) for pair in pairs)
        self.head = nn.Conv2d(filters[0], 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        skips = []
        for level, block in enumerate(self.down):
            x = block(max_pool2d(x, 2) if level else x)
            skips.append(x)
        for up, skip in zip(self.up, skips[-2::-1], strict=True):
            x = up(x, skip)
        return self.head(x)


def keras_weights(network: nn.Module) -> dict[str, np.ndarray]:
    """Return the weights under the names and in the layouts that Keras gives them."""
    kinds = {
        nn.Conv2d: "conv2d", nn.ConvTranspose2d: "conv2d_transpose",
        nn.BatchNorm2d: "batch_normalization",
    }  # fmt: skip
    made, weights = Counter(), {}
    for module in network.modules():
        if (kind := kinds.get(type(module))) is None:
            continue
        name = f"{kind}_{made[kind]}" if made[kind] else kind
        made[kind] += 1
        if kind == "batch_normalization":
            parts = {
                "gamma": module.weight, "beta": module.bias,
                "moving_mean": module.running_mean, "moving_variance": module.running_var,
            }  # fmt: skip
        else:  # [out in rows columns] and, transposed, [in out rows columns]
            parts = {"kernel": module.weight.permute(2, 3, 1, 0), "bias": module.bias}
        weights |= {f"{name}/{key}": value.detach().numpy() for key, value in parts.items()}
    return weights


def main() -> None:
    torch.set_num_threads(os.cpu_count())
    torch.manual_seed(0)
    folder = Path(sys.argv[1])
    setting = json.loads((folder / "setting.json").read_text())
    network = AttentionUNet(setting["filters"])
    np.savez(folder / "weights.npz", **keras_weights(network))
    inputs = np.load(folder / "inputs.npz")
    images, masks = (
        torch.from_numpy(inputs[name]).permute(0, 3, 1, 2).contiguous()
        for name in ("images", "masks")
    )
    optimizer = torch.optim.Adam(network.parameters(), setting["rate"], betas=(0.9, 0.99), eps=1e-7)

    def forward() -> float:
        network.eval()
        with torch.no_grad():
            return torch.sigmoid(network(images)).square().mean().item()

    def step() -> float:
        network.train()
        optimizer.zero_grad(set_to_none=True)
        logits = network(images)
        p, smooth = torch.sigmoid(logits), setting["smooth"]
        dice = (2 * (p * masks).sum() + smooth) / (p.sum() + masks.sum() + smooth)
        loss = binary_cross_entropy_with_logits(logits, masks) - dice
        loss.backward()
        optimizer.step()
        return loss.item()

    answer(f"PyTorch {torch.__version__}", {"forward": forward, "step": step})


if __name__ == "__main__":
    main()
