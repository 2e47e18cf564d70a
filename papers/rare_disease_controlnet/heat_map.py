"""Where a classifier sees a class: class activation maps (Zhou et al. 2016, arXiv:1512.04150).

Exact for this classifier, whose logits are a linear function of its last maps' means: a heat map's
mean and the class's bias are the logit.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from PIL import Image

from papers.rare_disease_controlnet.classifier.model import Classifier, Maps


def heat_maps(network: Classifier, maps: Maps) -> Float[Array, "batch rows columns classes"]:
    """Return what every place of the last maps adds to each class's logit (their equation 2)."""
    return maps.astype(jnp.float32) @ network.head.kernel[...].astype(jnp.float32)


def enlarged(
    heat: Float[np.ndarray, "rows columns"], size: int
) -> Float[np.ndarray, "{size} {size}"]:
    """Return a heat map at a film's size, bilinear."""
    image = Image.fromarray(np.asarray(heat, np.float32))
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
