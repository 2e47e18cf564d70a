"""What images are compared by in FID and KID."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from common.nn.predictor import Predictor
from common.pretrained.inception import inception_features, load_inception
from common.pretrained.weights import inception_path


class Extractor:
    """Features of slices: Inception's 768, or 64 means of blocks of pixels for tests offline.

    `fid` is the name that a Fréchet distance of these features goes by in the metrics.
    """

    def __init__(self, kind: str, batch: int = 16):
        self.kind, self.fid = kind, "fid_pixels"
        self._predict = Predictor((), pixels, batch)
        if kind == "inception768":
            self.fid = "fid768"
            self._predict = Predictor(load_inception(inception_path()), inception768, batch)

    def __call__(
        self, images: Float[np.ndarray, "n height width 1"]
    ) -> Float[np.ndarray, "n features"]:
        """Return the features of slices in [0, 1]."""
        return self._predict(images)


def inception768(
    parameters: Any, images: Float[Array, "n height width 1"]
) -> Float[Array, "n 768"]:
    """Return Inception's features before its auxiliary classifier."""
    return inception_features(parameters, images, 768)


def pixels(_: Any, images: Float[Array, "n height width 1"]) -> Float[Array, "n 64"]:
    """Return the means of 64 blocks of an image, about."""
    shape = (len(images), 8, 8, 1)
    return jax.image.resize(images, shape, "linear").reshape(len(images), -1)
