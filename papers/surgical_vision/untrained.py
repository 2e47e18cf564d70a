"""VGG16 with a sixteenth of its channels and drawn weights: for tests without a download."""

from __future__ import annotations

import numpy as np

from common.pretrained.perceptual import PerceptualNetwork, perceptual_network

_CHANNELS = (4, 4, 8, 8, 16, 16, 16, 32, 32, 32, 32, 32, 32)
_TAPPED = (1, 3, 6, 9, 12)


def untrained_vgg() -> PerceptualNetwork:
    """Return the network, always the same; its heads are ones."""
    rng, before, arrays = np.random.default_rng(0), 3, {}
    for i, channels in enumerate(_CHANNELS):
        spread = np.sqrt(2 / (9 * before))
        kernel = spread * rng.standard_normal((3, 3, before, channels))
        arrays[f"VGG16_0.Conv_{i}.kernel"] = kernel.astype(np.float32)
        arrays[f"VGG16_0.Conv_{i}.bias"] = np.zeros(channels, np.float32)
        before = channels
    for tap, i in enumerate(_TAPPED):
        head = np.ones((1, 1, _CHANNELS[i], 1), np.float32)
        arrays[f"NetLinLayer_{tap}.Conv_0.kernel"] = head
    return perceptual_network("vgg", arrays)
