"""A face drawn by rule: landmarks that the study uses at plausible places, the others inside."""

import numpy as np

from papers.surgical_vision.photos import face as parts
from papers.surgical_vision.photos import warp


def ellipse(center, radii, start, stop, count):
    """Return points from one angle to another, degrees, clockwise from the right as seen."""
    angles = np.radians(np.linspace(start, stop, count))
    return np.array(center) + np.stack([np.cos(angles), np.sin(angles)], 1) * radii


def landmarks(size):
    """Return the 468 points of a face seen from the front, float32, in pixels of an image."""
    points = np.random.default_rng(0).uniform(0.4, 0.6, (parts.POINTS, 2))
    points[list(parts.OVAL)] = ellipse((0.5, 0.52), (0.325, 0.42), 270, 620, 36)
    for (upper, lower, corners), x, flip in zip(warp.LIDS, (0.36, 0.64), (1, -1), strict=True):
        outer, inner = x - flip * 0.07, x + flip * 0.07
        points[list(corners)] = [(outer, 0.42), (inner, 0.42)]
        across = np.linspace(outer, inner, 9)[1:-1]
        height = 0.022 * np.sqrt(1 - ((across - x) / 0.07) ** 2)
        points[list(upper)] = np.stack([across, 0.42 - height], 1)
        points[list(lower)] = np.stack([across, 0.42 + height], 1)
        brow = parts.RIGHT_BROW if flip > 0 else parts.LEFT_BROW
        row = np.linspace(outer, inner, 5)
        points[list(brow[:5])] = np.stack([row, np.full(5, 0.35)], 1)
        points[list(brow[5:])] = np.stack([row[::-1], np.full(5, 0.365)], 1)
    for i, index in enumerate(warp.WINGS):
        points[index] = 0.5 + (-1) ** (i + 1) * 0.07, 0.57 + 0.01 * (i // 2)
    for i, index in enumerate(warp.BRIDGE):
        points[index] = 0.5 + (-1) ** (i + 1) * 0.03, 0.45 + 0.025 * (i // 2)
    points[list(warp.TIP)] = [(0.5, y) for y in (0.58, 0.57, 0.61, 0.6, 0.62)]
    points[list(parts.OUTER_LIPS)] = ellipse((0.5, 0.73), (0.11, 0.045), 180, -162, 20)
    points[list(parts.MOUTH)] = ellipse((0.5, 0.73), (0.08, 0.008), 180, -162, 20)
    return (points * size).astype(np.float32)


def portrait(size):
    """Return a finer image that has a color and a texture everywhere, uint8."""
    random = np.random.default_rng(1)
    place = np.arange(parts.DETAIL * size) / size
    waves = np.sin(7 * place[:, None] + random.uniform(0, 6, 3)[:, None, None])
    texture = 12 * np.sin(40 * place)[None, :, None] + 20 * np.moveaxis(waves, 0, -1)
    fine = np.broadcast_to(np.array([150.0, 110.0, 90.0]) + texture, (len(place), len(place), 3))
    return np.rint(fine).clip(0, 255).astype(np.uint8)


def drawn_face(size=64):
    return parts.Face("drawn", portrait(size), landmarks(size), 1.0)
