"""What images are compared by in FID and KID."""

from collections.abc import Callable
from functools import partial

import jax
import numpy as np
from jaxtyping import Float

from common.data.loader import in_batches
from common.pretrained.inception import inception_features, load_inception
from common.pretrained.weights import inception_path


class Extractor:
    """Features of slices: Inception's 768, or 64 means of blocks of pixels for tests offline.

    `fid` is the name that a Fréchet distance of these features goes by in the metrics.
    """

    def __init__(self, kind: str, batch: int = 16):
        self.fid = "fid768" if kind == "inception768" else "fid_pixels"
        self.kind, self._batch = kind, batch
        self._compiled: Callable = _pixels
        if kind == "inception768":
            self._compiled = partial(_inception768, load_inception(inception_path()))

    def __call__(
        self, images: Float[np.ndarray, "n height width 1"]
    ) -> Float[np.ndarray, "n features"]:
        """Return the features of slices in [0, 1]."""
        return in_batches(self._compiled, images, self._batch)


@jax.jit
def _inception768(parameters, images):
    return inception_features(parameters, images, 768)


@jax.jit
def _pixels(images):
    shape = (len(images), 8, 8, 1)
    return jax.image.resize(images, shape, "linear").reshape(len(images), -1)
