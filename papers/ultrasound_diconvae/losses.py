"""Losses of the denoiser, in the source's three combinations, and of the segmenter.

    l1_msssim        m (1 - MS-SSIM(x, y)) + (1 - m) mean |x - y|                             (1)
    l1_perceptual    mean |x - y|  + p mean (f(x) - f(y))²                                    (2)
    l2_perceptual    mean (x - y)² + p mean (f(x) - f(y))²                                    (3)

with m `mix`, p `perceptual`, and f the features of VGG16 at one of its layers (Johnson et al. 2016,
equation 2). (1) is Zhao et al. 2017's, without the Gaussian weights of its L1 term. Five scales
of MS-SSIM need 161 pixels a side; of smaller images as many scales are taken as fit, with the
weights of those scaled up to 1 in sum: another scale of values, but the same use as a loss.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Integer

from common.errors import InputError
from common.metrics.overlap import soft_dice
from common.metrics.ssim import MS_WEIGHTS, WINDOW, ms_ssim
from common.pretrained.perceptual import PerceptualNetwork, perceptual_features
from papers.ultrasound_diconvae.config import TrainConfig

Images = Float[Array, "batch height width 1"]
TAPS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")  # of VGG16
SMOOTH = 1.0  # pixels, of the Dice loss: a class that a batch has not costs nothing if not marked


def denoising_loss(
    output: Images, clean: Images, config: TrainConfig, network: PerceptualNetwork | None = None
) -> Float[Array, ""]:
    """Return the config's loss of images [0, 1] against clean ones, mean over the batch.

    `network` is the VGG16 of LPIPS, from `common.pretrained.perceptual`, of which the trunk is
    used. Raises InputError where a perceptual loss gets none, and for images smaller than
    MS-SSIM's window.
    """
    difference = output - clean
    plain = jnp.square(difference) if config.loss == "l2_perceptual" else jnp.abs(difference)
    if config.loss == "l1_msssim":
        weights = ms_weights(output.shape[1], output.shape[2])
        unlike = 1 - ms_ssim(output, clean, weights).mean()
        return config.mix * unlike + (1 - config.mix) * plain.mean()
    if network is None:
        raise InputError(f"train.loss {config.loss}: needs VGG16's weights, lpips-vgg")
    return plain.mean() + config.perceptual * perceptual_distance(
        network, output, clean, config.perceptual_layer
    )


def perceptual_distance(
    network: PerceptualNetwork, x: Images, y: Images, layer: str
) -> Float[Array, ""]:
    """Return the mean squared difference of VGG16's features of images [0, 1] at one layer."""
    tap = TAPS.index(layer)
    f, g = (perceptual_features(network, images)[tap] for images in (x, y))
    return jnp.square(f - g).mean()


def ms_weights(height: int, width: int) -> tuple[float, ...]:
    """Return MS-SSIM's weights of the scales that images of this size have, 1 in sum.

    Raises InputError where not even one has.
    """
    fits = [
        scale
        for scale in range(len(MS_WEIGHTS))
        if min(height, width) >= (WINDOW - 1) * 2**scale + 1
    ]
    if not fits:
        raise InputError(f"MS-SSIM of {height}x{width}: expected at least {WINDOW}x{WINDOW}")
    weights = MS_WEIGHTS[: len(fits)]
    return tuple(weight / sum(weights) for weight in weights) if len(fits) < 5 else weights


def segmentation_loss(
    logits: Float[Array, "batch height width classes"],
    labels: Integer[Array, "batch height width"],
    config: TrainConfig,
) -> Float[Array, ""]:
    """Return the pixels' mean cross-entropy in nats, and with it 1 - Dice where the config says so.

    That Dice is the mean over all classes, the background too, of the whole batch's soft Dice.
    """
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    if config.segmenter_loss == "cross_entropy":
        return entropy
    truth = jax.nn.one_hot(labels, logits.shape[-1])
    dice = soft_dice(jax.nn.softmax(logits), truth, smooth=SMOOTH, axis=(0, 1, 2))
    return entropy + 1 - dice.mean()
