"""The regressor in the role of the source's DeepBrainNet: a plain CNN from slice to age."""

from itertools import pairwise

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from common.nn.conv import Conv, max_pool
from papers.camcan_cfg.config import BrainAgeConfig

TARGETS = ("age", "sex", "slice")  # what the outputs stand for


class BrainAge(nnx.Module):
    """Convolution, GroupNorm, ReLU and 2x2 maximum a level; mean over the image; one dense layer.

    DeepBrainNet (Bashyam et al. 2020) is a pretrained InceptionResNetV2 whose weights are not to
    be had openly, so this network is trained from nothing on the same real slices. Beside the age
    it predicts sex and slice number, by which generated images are compared with what was asked.
    """

    def __init__(self, config: BrainAgeConfig, *, rngs: nnx.Rngs):
        widths = (1, *config.features)
        self.convolutions = nnx.List([Conv(a, b, 3, rngs=rngs) for a, b in pairwise(widths)])
        self.norms = nnx.List(
            [nnx.GroupNorm(width, num_groups=8, rngs=rngs) for width in config.features]
        )
        self.head = nnx.Linear(config.features[-1], len(TARGETS), rngs=rngs)

    def __call__(self, images: Float[Array, "batch height width 1"]) -> Float[Array, "batch 3"]:
        """Return age, sex and slice number in standard units from slices in [0, 1]."""
        x = images * 2 - 1
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = max_pool(nnx.relu(norm(convolution(x))), 2)
        return self.head(jnp.mean(x, axis=(1, 2)))
