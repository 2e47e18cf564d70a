"""Images of a texture with a bump pushed to the side, by exactly known displacements."""

from functools import partial

import numpy as np

SIDE = 64
SHARES = (-0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
PUSH = np.array([1.5, 0.5])  # pixels (x, y) at the bump's center, at a share of 1


def displacement(points, share):
    """Return how far points [... 2] are moved."""
    squared = ((points - SIDE / 2) ** 2).sum(-1, keepdims=True)
    return share * PUSH * np.exp(-squared / (2 * 9**2))


def texture(points, seed):
    """Return the color in [0, 1] at points (x, y): waves of 7 to 30 pixels' length."""
    random = np.random.default_rng(seed)
    angle, length = random.uniform(0, 2 * np.pi, 24), random.uniform(7, 30, 24)
    waves = np.stack([np.cos(angle), np.sin(angle)]) * 2 * np.pi / length
    gray = np.cos(points @ waves + random.uniform(0, 2 * np.pi, 24)).sum(-1, keepdims=True)
    return 0.5 + 0.04 * gray * np.array([1, 0.9, 0.7])


def moved(seed, move):
    """Return the texture whose points p lie at p + move(p), [side side 3]."""
    pixels = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), -1).astype(float)
    points = pixels
    for _ in range(20):
        points = pixels - move(points)
    return texture(points, seed).clip(0, 1).astype(np.float32)


def operated(seed, share):
    """Return the texture with this share of the bump's push."""
    return moved(seed, partial(displacement, share=share))


def true_flow():
    """Return the displacement at a share of 1 of what each pixel of the image before shows."""
    pixels = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), -1).astype(float)
    return displacement(pixels, 1.0).astype(np.float32)
