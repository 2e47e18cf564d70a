"""Writes ultrasound_nets.npz: outputs of both networks in PyTorch, with seeded weights.

pip install torch==2.13.0 numpy
PYTHONPATH=. python tests/golden/make_ultrasound_nets.py
"""

import json
from pathlib import Path

import numpy as np
import torch
from seeded_weights import seeded_weights

from experiments.benchmarks.ultrasound_nets_torch import DiConvAE, SegNet

DENOISER = {"filters": (6, 5, 4, 8), "dilations": (1, 2, 3, 2), "pooled": 2}
SEGMENTER = {"filters": (4, 6, 8), "convolutions": (2, 1, 3), "classes": 4}
PUBLISHED = {"filters": (64, 128, 256, 512, 512), "convolutions": (2, 2, 3, 3, 3), "classes": 11}


def array(value: torch.Tensor) -> np.ndarray:
    return value.detach().permute(0, 2, 3, 1).contiguous().numpy()


def record(name: str, network: torch.nn.Module, images: torch.Tensor) -> dict[str, np.ndarray]:
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items() if value.ndim}
    weights = {key: torch.from_numpy(value) for key, value in seeded_weights(shapes).items()}
    for key in weights:
        if key.endswith("running_var"):
            weights[key] = 0.2 + weights[key].abs()
    network.load_state_dict(weights, strict=False)
    golden = {
        f"{name}/shapes": np.array(json.dumps(shapes)),
        f"{name}/output": array(network.eval()(images)),
        f"{name}/train_output": array(network.train()(images)),
    }
    statistics = {k: v.numpy() for k, v in network.state_dict().items() if "running" in k}
    return golden | {f"{name}/moved/{key}": value for key, value in statistics.items()}


def main() -> None:
    images = np.random.RandomState(1).random_sample((2, 24, 32, 1)).astype(np.float32)
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
    with torch.device("meta"):
        segnet = SegNet(**PUBLISHED, channels=3)
        denoiser = DiConvAE((256, 128, 64, 64), (2, 2, 2, 2), 1)
    golden = {
        "images": images,
        "segnet_parameters": np.array(sum(p.numel() for p in segnet.parameters())),
        "denoiser_parameters": np.array(sum(p.numel() for p in denoiser.parameters())),
        **record("denoiser", DiConvAE(**DENOISER), tensor),
        **record("segmenter", SegNet(**SEGMENTER), tensor),
    }
    np.savez_compressed(Path(__file__).with_name("ultrasound_nets.npz"), **golden)
    print(golden["segnet_parameters"], golden["denoiser_parameters"])


if __name__ == "__main__":
    main()
