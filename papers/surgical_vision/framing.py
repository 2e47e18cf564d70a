"""The face of a user's photo, cut out as the images are that a model was trained on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float, UInt8

from common.data.raw import BadFile
from papers.surgical_vision.config import DataConfig
from papers.surgical_vision.faces.camera import CHIN_LEVEL, EYE_LEVEL
from papers.surgical_vision.image import Photo
from papers.surgical_vision.pairs_layout import SMALLEST, check_size, square
from papers.surgical_vision.photos import find
from papers.surgical_vision.photos.face import DETAIL, LEFT_EYE, OVAL, RIGHT_EYE, coarse
from papers.surgical_vision.photos.square import Square, shown

# Of a rendered head's image, what the mesh's oval is wide: measured on 36 heads at 256 pixels,
# standard deviation 0.015. Their eyes it finds within 0.01 of where the camera has them.
OVAL_SHARE = 0.59
CHIN = 152  # the mesh's point

Face = UInt8[np.ndarray, "size size 3"]


def framer(config: DataConfig) -> Callable[[Photo], Face]:
    """Return what cuts a photo as the data set does, at its size; it raises `BadFile`.

    That is the middle square of `pairs`, and of the others the face found in the photo, upright.
    """
    if config.dataset == "pairs":
        return partial(middle, size=config.size)
    networks = find.finder()
    if config.dataset == "photos":
        return lambda photo: find.face(networks, photo, config.size).image
    return lambda photo: as_rendered(find.points_of(networks, photo)[0], photo, config.size)


def middle(photo: Photo, size: int) -> Face:
    """Return the middle square of a photo."""
    check_size(photo, size)
    return square(photo, size)


def as_rendered(points: Float[np.ndarray, "points 2"], photo: Photo, size: int) -> Face:
    """Return the face with these points as the camera of the rendered heads shows one.

    The eyes are where that camera has them, the chin is at its lowest or above, and the head takes
    three quarters of the width. Beyond the photo its edge goes on.
    """
    turned = Square(0.0, 0.0, 1.0, find.angle(points))
    upright = turned.inward(points, 1)
    eyes = (upright[list(RIGHT_EYE)].mean(0) + upright[list(LEFT_EYE)].mean(0)) / 2
    width = float(np.ptp(upright[list(OVAL), 0]))
    height = float(upright[CHIN, 1] - eyes[1])
    side = max(width / OVAL_SHARE, height / (CHIN_LEVEL - EYE_LEVEL))
    if side < SMALLEST * size:
        raise BadFile(f"shows a face {width:.0f} pixels wide, expected at least "
                      f"{SMALLEST * size * OVAL_SHARE:.0f}")  # fmt: skip
    center = eyes + np.array([0.0, (0.5 - EYE_LEVEL) * side])
    x, y = turned.outward(center[None], 1)[0]
    place = Square(float(x), float(y), side, turned.angle)
    return coarse(shown(photo, place, DETAIL * size, extend=True))
