"""A face as the study sees it: upright in a square, with its landmarks and regions.

Places are (x, y) in pixels: the pixel of column c and row r covers c to c + 1 and r to r + 1, so
that its center is c + 0.5, r + 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageDraw

DETAIL = 2  # pixels of the finer image for one of the face's: warped there, nothing is blurred
SKIN, LIPS, HAIR, OTHER = 1, 2, 3, 4  # labels of regions; hair is not told from the background here

# Points of MediaPipe's face mesh, around what they enclose. Right and left are the person's.
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
OUTER_LIPS = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375),
    *(291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
)
MOUTH = (
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324),
    *(308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
)
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
OUTER_CORNERS = (33, 263)  # of the eyes
POINTS = 468


@dataclass(frozen=True)
class Face:
    """A face in a square of `size` pixels, its eyes level.

    `fine` is the image at DETAIL times the size, 0 to 255; `landmarks` are in pixels of the
    smaller one; `score` is how sure the mesh's network is that there is a face, 0 to 1.
    """

    name: str
    fine: UInt8[np.ndarray, "fine fine 3"]
    landmarks: Float32[np.ndarray, "points 2"]
    score: float

    @property
    def size(self) -> int:
        """Return the image's height and width."""
        return len(self.fine) // DETAIL

    @property
    def image(self) -> UInt8[np.ndarray, "size size 3"]:
        """Return the image at its size."""
        return coarse(self.fine)


def coarse(fine: np.ndarray) -> UInt8[np.ndarray, "size size 3"]:
    """Return a finer image, 0 to 255, at the face's size: each pixel a mean, rounded."""
    size = len(fine) // DETAIL
    means = fine.reshape(size, DETAIL, size, DETAIL, 3).mean((1, 3), dtype=np.float32)
    return np.rint(means).clip(0, 255).astype(np.uint8)


def regions(
    landmarks: Float32[np.ndarray, "points 2"], size: int
) -> UInt8[np.ndarray, "{size} {size}"]:
    """Return what each pixel shows: 0 unknown, SKIN, LIPS, or OTHER: eyes, brows, open mouth.

    Hair over the forehead counts as skin: the mesh does not see it.
    """
    drawn = Image.new("L", (size, size))
    draw = ImageDraw.Draw(drawn)
    parts = [(OVAL, SKIN), (OUTER_LIPS, LIPS), (MOUTH, OTHER)]
    parts += [(part, OTHER) for part in (RIGHT_EYE, LEFT_EYE, RIGHT_BROW, LEFT_BROW)]
    for points, label in parts:
        # ImageDraw's coordinates count from pixels' centers
        draw.polygon([tuple(point) for point in landmarks[list(points)] - 0.5], fill=label)
    return np.asarray(drawn).copy()
