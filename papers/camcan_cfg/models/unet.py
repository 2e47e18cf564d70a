"""The denoising network: MONAI's DiffusionModelUNet as the source configures it."""

from flax import nnx
from jaxtyping import Array, Float, Int

from common.diffusion.unet import unet
from papers.camcan_cfg.config import ModelConfig


class UNet(unet.UNet):
    """Predicts the noise in an image at a time, given (age, sex, slice number).

    Equal to `generative.networks.nets.DiffusionModelUNet` of MONAI GenerativeModels 0.2.3 with two
    dimensions, one channel in and out, and one transformer layer per attention block. Raises
    ValueError where the config's numbers do not go together.
    """

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        sizes = unet.UNetConfig(
            in_channels=1,
            out_channels=1,
            channels=config.channels,
            attention=config.attention,
            head_channels=config.head_channels,
            context_features=config.condition_features,
            residual_blocks=config.residual_blocks,
            groups=config.groups,
            dtype=config.dtype,
        )
        super().__init__(sizes, rngs=rngs)

    def __call__(  # type: ignore[override]
        self,
        x: Float[Array, "batch height width 1"],
        t: Int[Array, " batch"],
        condition: Float[Array, "batch condition_features"],
    ) -> Float[Array, "batch height width 1"]:
        """Return the noise in `x` at time index `t`, float32; the condition is one token.

        ValueError where height or width cannot be halved once per level below the first.
        """
        return super().__call__(x, t, condition[:, None])
