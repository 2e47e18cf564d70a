"""Denoiser and segmenter as one network, so that the first learns what the second needs."""

from flax import nnx
from jaxtyping import Array, Float, Key

from papers.ultrasound_diconvae.config import Config
from papers.ultrasound_diconvae.models.denoiser import DiConvAE
from papers.ultrasound_diconvae.models.segnet import SegNet


class Joint(nnx.Module):
    """Logits of `classes` classes in every pixel of an image that the denoiser has been at."""

    def __init__(self, config: Config, classes: int, *, rngs: nnx.Rngs):
        self.denoiser = DiConvAE(config.denoiser, rngs=rngs)
        self.segmenter = SegNet(config.segmenter, classes, rngs=rngs)

    def __call__(
        self,
        images: Float[Array, "batch height width 1"],
        train: bool = False,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, "batch height width classes"]:
        """Return the logits, float32; arguments as `DiConvAE`."""
        return self.segmenter(self.denoiser(images, train, key), train)
