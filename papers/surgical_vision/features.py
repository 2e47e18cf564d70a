"""What images are compared by: LPIPS of both networks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from common.metrics.nearest import lpips_vectors
from common.pretrained.perceptual import PerceptualNetwork, load_perceptual
from common.pretrained.weights import lpips_path
from papers.surgical_vision.config import EvaluateConfig

Images = UInt8[np.ndarray, "n height width 3"]
NETS = ("alex", "vgg")  # of LPIPS


def perceptual_networks(options: EvaluateConfig) -> dict[str, PerceptualNetwork]:
    """Return LPIPS's networks by name; none where the config leaves them out."""
    if not options.perceptual:
        return {}
    return {net: load_perceptual(net, lpips_path(net)) for net in NETS}


class Vectors:
    """LPIPS's vectors of a set of images, for each network, computed once."""

    def __init__(self, networks: dict[str, PerceptualNetwork], images: Images):
        self.of = {
            net: lpips_vectors(network, images / np.float32(255))
            for net, network in networks.items()
        }

    def distances(self, other: Vectors) -> dict[str, Float[np.ndarray, " n"]]:
        """Return for each network the LPIPS of image i here to image i there."""
        return {
            net: np.array(
                [
                    np.square(x - y).sum(dtype=np.float64)
                    for x, y in zip(vectors, other.of[net], strict=True)
                ]
            )
            for net, vectors in self.of.items()
        }
