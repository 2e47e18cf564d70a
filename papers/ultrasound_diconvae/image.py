"""One ultrasound image with its labels, whatever data set it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from typing import get_args

import numpy as np
from jaxtyping import Shaped, UInt8

from common.data.image_files import read_image
from common.data.images import resize_area
from common.data.raw import BadFile
from papers.ultrasound_diconvae.config import Plane

CLASSES = ("background", "brain", "CSP", "LV")  # by label: 0 to 3
PLANES = get_args(Plane)


@dataclass(frozen=True)
class LabeledImage:
    """A gray image (0 to 255) and the label of each of its pixels, a position in CLASSES.

    What the source calls 256 x 256 x 3 is three equal channels; here is one of them. `mm` is the
    height and the width of a pixel, `head_mm` the circumference of the head, both NaN where nobody
    says. `clean` and `truth` are those of simulated images: the same without speckle, and what
    was drawn.
    """

    name: str
    subject: str  # images of one subject never fall in different parts
    plane: str  # one of PLANES
    image: UInt8[np.ndarray, "height width 1"]
    labels: UInt8[np.ndarray, "height width"]
    mm: tuple[float, float] = (nan, nan)
    head_mm: float = nan
    clean: UInt8[np.ndarray, "height width 1"] | None = None
    truth: dict[str, float] = field(default_factory=dict)


def read_gray(path: Path) -> UInt8[np.ndarray, "height width"]:
    """Return a PNG of 8 bits as one channel, the mean of three; a fourth, alpha, does not count.

    Raises `BadFile` for any other file.
    """
    image = read_image(path)
    if image.dtype != np.uint8 or image.shape[2:] not in ((), (3,), (4,)) or image.ndim < 2:
        raise BadFile(f"{path.name} is {image.dtype} {image.shape}, not gray or RGB of 8 bits")
    return gray(image)


def gray(image: Shaped[np.ndarray, "height width *channels"]) -> Shaped[np.ndarray, "height width"]:
    """Return an image as one channel, the mean of three; another one, alpha, does not count.

    The mean is rounded where the image has 8 bits. Raises `BadFile` for more than four channels.
    """
    if image.ndim == 2:
        return image
    if image.ndim != 3 or image.shape[-1] not in (1, 2, 3, 4):
        raise BadFile(f"has the shape {image.shape}, not height x width, gray or in colors")
    if image.shape[-1] < 3:
        return image[..., 0]
    mean = image[..., :3].mean(-1, dtype=np.float32)
    return np.rint(mean).astype(np.uint8) if image.dtype == np.uint8 else mean


def resize_image(
    image: UInt8[np.ndarray, "rows columns"], height: int, width: int
) -> UInt8[np.ndarray, "{height} {width} 1"]:
    """Return a gray image on another grid, by means over areas, with a last axis of one."""
    return np.rint(resize_area(image[None], height, width))[0, ..., None].astype(np.uint8)


def resize_labels(
    labels: Shaped[np.ndarray, "rows columns *channels"], height: int, width: int
) -> Shaped[np.ndarray, "{height} {width} *channels"]:
    """Return labels on another grid: each pixel has that of the old pixel under its center.

    So labels stay what they are, and colors of a mask too: nothing in between arises.
    """
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip((height, width), labels.shape, strict=False)
    )
    return labels[rows[:, None], columns]
