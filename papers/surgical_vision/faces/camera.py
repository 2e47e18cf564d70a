"""Where points of a head lie in the image: pose, crop and perspective."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from papers.surgical_vision.faces.mesh import Head, Vertices

DISTANCE = 14.0  # dm from the eye to the face: a portrait's
EYE_LEVEL = 0.415  # of the image's height, from the top
CHIN_LEVEL = 0.9  # the chin stays above

Rotation = Float32[np.ndarray, "3 3"]


@dataclass(frozen=True)
class Camera:
    """A pose of the head and a crop: both visits have the same."""

    rotation: Rotation
    origin: Float32[np.ndarray, "xyz=3"]  # of the head, turned about: the middle between the eyes
    across: float  # dm of the head that the width of the image shows

    def turned(self, vectors: Vertices) -> Vertices:
        """Return directions of the head as the eye sees them: right, up, and towards it."""
        return np.einsum("nc,rc->nr", vectors, self.rotation)

    def project(self, points: Vertices, size: int) -> Vertices:
        """Return x and y in pixels of an image of `size`, and the depth in dm."""
        turned = self.turned(points - self.origin)
        depth = np.float32(DISTANCE) - turned[:, 2]
        scale = np.float32(size * DISTANCE / self.across) / depth
        across = np.float32(size / 2) + scale * turned[:, 0]
        down = np.float32(size * EYE_LEVEL) - scale * turned[:, 1]
        return np.stack([across, down, depth], 1)


def rotation(yaw: float | int, pitch: float | int, roll: float | int) -> Rotation:
    """Return the turn of a head by angles in degrees: to its left, downwards, and sidewards."""
    a, b, c = np.radians([yaw, pitch, roll])
    left = [[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]]
    down = [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    side = [[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]]
    return np.einsum("ij,jk,kl->il", np.array(side), np.array(down), np.array(left)).astype(
        np.float32
    )


def camera(base: Head, points: Vertices, turn: Rotation, share: float | int) -> Camera:
    """Return a camera for a face whose head (with its ears) takes `share` of the image's width.

    A long face is shown smaller, so that the chin lies in the image.
    """
    eyes = points[np.unique(base.eyes.triangles)]
    origin = eyes.mean(0)
    above_neck = points[np.unique(base.skin.triangles)]
    chin = points[base.landmarks["chin"], 1]
    above_neck = above_neck[above_neck[:, 1] > chin]
    width = float(np.ptp(above_neck[:, 0]))
    height = float(origin[1] - chin)
    across = max(width / share, height / (CHIN_LEVEL - EYE_LEVEL))
    return Camera(turn, origin, across)
