"""Pairs of images that the references' side and ours draw alike, so that golden files need none."""

import numpy as np
from skimage import data


def image_pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return pairs of float32 image batches [n height width channels] in [0, 1], by name.

    Photographs (gray, and color of odd size) each beside a noisy and a blurred copy, and noise
    beside other noise. RandomState's stream is the same in every numpy.
    """
    random = np.random.RandomState(0)
    camera, astronaut = data.camera() / 255, data.astronaut() / 255
    gray = np.stack([camera[60:236, 180:372], camera[300:476, 200:392]])[..., None]
    color = np.stack([astronaut[0:177, 140:331], astronaut[320:497, 100:291]])
    noise = random.random_sample((2, 2, 64, 72, 3))
    pairs = {"noise": (noise[0], noise[1])}
    for name, x in (("gray", gray), ("color", color)):
        noisy = x[0] + 0.1 * random.standard_normal(x[0].shape)
        blurred = sum(np.roll(x[1], (i, j), (0, 1)) for i in range(-2, 3) for j in range(-2, 3))
        pairs[name] = x, np.stack([noisy.clip(0, 1), 0.8 * blurred / 25 + 0.1])
    return {name: (x.astype(np.float32), y.astype(np.float32)) for name, (x, y) in pairs.items()}


def photographs() -> np.ndarray:
    """Return two uint8 photographs [2 299 299 3], of the size that Inception resizes to."""
    gray = np.repeat(data.camera()[100:399, 150:449, None], 3, 2)
    return np.stack([data.astronaut()[0:299, 80:379], gray])
