"""Sets of images by one network's features: FID, KID, and the Inception Score."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, UInt8

from common.metrics.frechet import features_distance
from common.metrics.inception_score import inception_score
from common.metrics.kid import kernel_distance
from common.nn.predictor import Predictor
from common.pretrained.inception import inception_features, inception_logits, load_inception
from common.pretrained.weights import inception_path

Images = UInt8[np.ndarray, "n height width 3"]
_SPLITS = 10  # of the Inception Score


class Described(NamedTuple):
    """A set of images as FID and KID see it; `logits` where the weights have classes."""

    features: Float[np.ndarray, "n features"]
    logits: Float[np.ndarray, "n classes"] | None


class Inception:
    """Inception's features, 768 or 2048, or 64 means of blocks of pixels for tests offline.

    `fid` is the name that a Fréchet distance of these features goes by in the metrics.
    """

    def __init__(self, kind: str, batch: int = 16):
        self.kind, self._parameters = kind, None
        self.fid = "fid_pixels" if kind == "pixels" else kind.replace("inception", "fid")
        self._predict = Predictor((), _pixels, batch)
        if kind != "pixels":
            self._parameters = load_inception(inception_path())
            apply = _inception768 if kind == "inception768" else _inception2048
            self._predict = Predictor(self._parameters, apply, batch)

    def __call__(self, images: Images) -> Described:
        """Return a set's features."""
        features = self._predict(images)
        classes = self._parameters
        if classes is None or "fc" not in classes or self.kind != "inception2048":
            return Described(features, None)
        return Described(features, np.asarray(inception_logits(classes, features)))

    def compared(self, made: Described, real: Described) -> dict[str, float]:
        """Return FID and KID to the real set, and the Inception Score where it can be had."""
        distance = kernel_distance(made.features, real.features)
        found = {
            # of so few images: as small a decomposition as the set
            self.fid: features_distance(made.features, real.features),
            "kid": distance.mean,
            "kid_std": distance.std,
            "n_features": len(made.features),
        }
        if made.logits is not None and len(made.logits) >= _SPLITS:
            found["inception_score"] = inception_score(made.logits, splits=_SPLITS).mean
        return found


def _pixels(_: Any, images: UInt8[Array, "n height width 3"]) -> Float[Array, "n 64"]:
    gray = images.astype(np.float32).mean(-1) / 255
    return jax.image.resize(gray, (gray.shape[0], 8, 8), "linear").reshape(gray.shape[0], -1)


def _inception768(
    parameters: Any, images: UInt8[Array, "n height width 3"]
) -> Float[Array, "n 768"]:
    return inception_features(parameters, images.astype(np.float32) / 255, 768)


def _inception2048(
    parameters: Any, images: UInt8[Array, "n height width 3"]
) -> Float[Array, "n 2048"]:
    return inception_features(parameters, images.astype(np.float32) / 255, 2048)
