"""Every hyperparameter of the study; the defaults are the published ones.

The source publishes neither code nor numbers: the defaults of a model are those of its own paper's
code, named at its section. Where neither says, the comment says that it is our reading.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from common.study import latent_sizes
from common.study.schema import (
    Batch,
    BelowOne,
    Bounds,
    Channels,
    CheckpointMinutes,
    Count,
    Fraction,
    Layers,
    LogEvery,
    Most,
    NonNegative,
    Positive,
    Rate,
    Seed,
    Share,
    Steps,
    Whole,
    Widths,
)

Side = Annotated[int, Bounds(32), Most(4096)]  # pixels; LPIPS's AlexNet takes no smaller image
Degrees = Annotated[float, Bounds(0, 45)]


@dataclass(frozen=True)
class DataConfig:
    """Which pairs, at which size, and how they are split."""

    dataset: Literal["pairs", "heads", "photos"] = "pairs"  # the user's own, as the source's
    size: Side = 512  # pixels, height and width
    split_seed: Seed = 0
    train_fraction: Fraction = 0.8  # of the patients; the source does not say
    validation_fraction: Fraction = 0.1  # what is left of both is the test part
    patients: Annotated[int, Bounds(3), Most(100_000)] = 240  # of `heads` only
    visits: bool = True  # of `heads` and `photos`: other light, tone, make-up at the second visit
    limit: Whole = 0  # patients of `pairs` and `photos`, the first by name; 0 = all

    def check(self) -> None:
        """Raise ValueError where no part is left for testing."""
        if self.train_fraction + self.validation_fraction >= 1:
            raise ValueError(
                "data.train_fraction and data.validation_fraction: expected a sum below 1, so "
                "that a test part is left"
            )


@dataclass(frozen=True)
class AugmentConfig:
    """Augmentation of training images, the same for both of a pair; the source gives no numbers."""

    flip: bool = True  # of half of them, left to right
    rotation: Degrees = 10.0  # either way at most
    brightness: Annotated[float, Bounds(0, 0.9)] = 0.1  # factors from 1 - this to 1 + this


@dataclass(frozen=True)
class AutoencoderConfig:
    """Autoencoder, VAE, and VAE with perceptual loss: Keras's example `vae.py`.

    The autoencoder, of which there is no canonical code, is the same without sampling, by MSE.
    """

    filters: Widths = (32, 64)  # of each convolution that halves
    dense: Channels = 16
    latent: Channels = 2  # that of 28x28 digits; too few for faces: experiments raise it
    reconstruction: Literal["binary_cross_entropy", "squared"] = "binary_cross_entropy"
    kl: NonNegative = 1.0  # weight of KL, summed over latents as reconstruction is over pixels
    # Our reading of "perceptual loss (based on z_mean)": the squared difference of the z_mean of
    # output and target, summed over latents, by the VAE's own encoder. The source gives no weight.
    perceptual: NonNegative = 1.0
    epochs: Count = 30
    batch_size: Batch = 128
    learning_rate: Rate = 1e-3
    beta1: BelowOne = 0.9


@dataclass(frozen=True)
class GANConfig:
    """GAN: PyTorch's example `dcgan`, an encoder of the face before in place of the noise."""

    filters: Channels = 64  # of the finest map; doubled with every halving
    levels: Annotated[int, Bounds(2, 7)] = 4  # halvings; the example's, from 64 to 4 pixels
    latent: Channels = 100
    epochs: Count = 25
    batch_size: Batch = 64
    learning_rate: Rate = 2e-4
    beta1: BelowOne = 0.5


@dataclass(frozen=True)
class Pix2PixConfig:
    """Pix2Pix: the authors' PyTorch code, `unet_256` against a 70x70 PatchGAN."""

    filters: Channels = 64
    downs: Annotated[int, Bounds(2, 9)] = 8
    dropout: BelowOne = 0.5  # of the inner blocks, in inference too
    dropped_blocks: Annotated[int, Bounds(0, 9)] = 3  # how many those are, next to the innermost
    discriminator_filters: Channels = 64
    discriminator_layers: Layers = 3  # convolutions that halve
    l1: NonNegative = 100.0
    epochs: Count = 100
    decay_epochs: Whole = 100  # further ones, over which the rate falls linearly to 0
    batch_size: Batch = 1
    learning_rate: Rate = 2e-4
    beta1: BelowOne = 0.5


@dataclass(frozen=True)
class CycleGANConfig:
    """CycleGAN: the authors' PyTorch code, `resnet_9blocks`."""

    filters: Channels = 64
    blocks: Layers = 9
    discriminator_filters: Channels = 64
    discriminator_layers: Layers = 3
    cycle: NonNegative = 10.0  # both ways
    identity: NonNegative = 0.5  # times `cycle`
    pool: Whole = 50  # generated images kept to show the discriminators older ones
    epochs: Count = 100
    decay_epochs: Whole = 100
    batch_size: Batch = 1
    learning_rate: Rate = 2e-4
    beta1: BelowOne = 0.5


@dataclass(frozen=True)
class StarGANConfig:
    """StarGAN: the authors' code, its labels ours: eyes, nose, chin; 0 0 0 is before surgery."""

    filters: Channels = 64
    blocks: Layers = 6
    discriminator_filters: Channels = 64
    discriminator_layers: Annotated[int, Bounds(2), Most(12)] = 6  # convolutions that halve
    classification: NonNegative = 1.0
    reconstruction: NonNegative = 10.0
    # The source raised it "greatly" and gives no number: 50 is our reading; 10, 50, 100 is a sweep.
    raised_reconstruction: NonNegative = 50.0
    penalty: NonNegative = 10.0  # of the gradient (WGAN-GP)
    critic_steps: Steps = 5  # of the discriminator for one of the generator
    steps: Steps = 200_000  # of the discriminator
    decay_steps: Whole = 100_000  # the last ones, over which the rate falls linearly to 0
    batch_size: Batch = 16
    learning_rate: Rate = 1e-4
    beta1: BelowOne = 0.5


@dataclass(frozen=True)
class StarGANv2Config:
    """StarGANv2: the authors' settings for AFHQ, which need no heat maps of a face's parts."""

    channels: Whole = 0  # of the finest map; 0 is 2^14 / size
    widest: Channels = 512
    style: Channels = 64
    latent: Channels = 16
    hidden: Channels = 512  # of the mapping network
    r1: NonNegative = 1.0  # half of it times the squared norm
    style_weight: NonNegative = 1.0
    cycle: NonNegative = 1.0
    diversity: NonNegative = 2.0  # falls linearly to 0 over the training
    ema: BelowOne = 0.999
    steps: Steps = 100_000
    batch_size: Batch = 8
    learning_rate: Rate = 1e-4
    mapping_learning_rate: Rate = 1e-6
    beta1: BelowOne = 0.0
    weight_decay: NonNegative = 1e-4


@dataclass(frozen=True)
class AttentionConfig:
    """Self-attention in the form of Zhang et al. 2019 that most code has.

    Where it stands is our reading, the source does not say: in the generator behind the residual
    blocks, in the discriminator behind its second convolution.
    """

    reduced: Count = 8  # channels of queries and keys are the map's over this
    heads: Annotated[int, Bounds(2), Most(64)] = 4  # modules of the multi-head variants; ours
    pooled: bool = False  # keys and values of 2x2 maxima: for large maps


@dataclass(frozen=True)
class StyleConfig:
    """Style transfer: Johnson et al. 2016 as PyTorch's example `fast_neural_style` has it.

    The style is that of faces after surgery: the mean Gram matrices of the training part's. Our
    reading, the source names no style image.
    """

    network: Literal["vgg16", "untrained"] = "vgg16"  # untrained: for tests without a download
    filters: Channels = 32
    blocks: Layers = 5
    content: NonNegative = 1e5  # of relu2_2
    style: NonNegative = 1e10  # of relu1_2, 2_2, 3_3, 4_3
    epochs: Count = 2
    batch_size: Batch = 4
    learning_rate: Rate = 1e-3
    beta1: BelowOne = 0.9


@dataclass(frozen=True)
class DiffusionConfig:
    """Stable Diffusion, image to image, and its adaptation.

    With `weights`, the name of a model added by `just weights --add`, it is that model and its row
    trains nothing. Without, a small latent diffusion model is trained on the data: an autoencoder,
    a U-Net, and a vector for each word of the prompts in place of CLIP.
    """

    weights: str = "stable-diffusion-v1-5"  # empty: train one
    autoencoder_channels: Widths = (128, 256, 512, 512)  # of each resolution, the finest first
    latent_channels: Channels = 4
    kl: NonNegative = 1e-6  # weight in the autoencoder's training
    autoencoder_steps: Steps = 10_000  # ours: where one is trained, see `weights`
    channels: Widths = (320, 640, 1280, 1280)
    head_channels: Channels = 40
    context: Channels = 768  # features of a word
    groups: Channels = 32
    train_steps: Steps = 100_000  # ours, as above
    batch_size: Batch = 16
    learning_rate: Rate = 1e-4
    prompt_dropout: Share = 0.1  # for guidance
    sampling_steps: Steps = 50  # DDIM, of which `strength` are made
    strength: Annotated[float, Bounds(0.01, 1)] = 0.75
    guidance: NonNegative = 5.0
    lora_rank: Channels = 4
    lora_alpha: Positive = 32.0
    lora_prompt: str = "A professional portrait of a person after surgery"
    lora_epochs: Count = 100
    lora_batch_size: Batch = 16
    lora_learning_rate: Rate = 1e-4
    lora_weight_decay: NonNegative = 1e-2
    lora_clip: Positive = 1.0  # norm of the gradient at most


@dataclass(frozen=True)
class WarmStartConfig:
    """What the generators of CycleGAN, StarGAN and StarGANv2 begin with: ours, to save time."""

    steps: Whole = 0  # of learning to change nothing; 0 as published: drawn weights
    batch_size: Batch = 8
    learning_rate: Rate = 1e-3


@dataclass(frozen=True)
class TrainConfig:
    """What all trainings share."""

    dtype: Literal["float32", "bfloat16"] = "float32"  # of the computation; parameters: float32
    validations: Count = 20  # times that the validation part is measured on the way
    log_every: LogEvery = 100  # steps
    checkpoint_minutes: CheckpointMinutes = 5.0  # changes no result


@dataclass(frozen=True)
class EvaluateConfig:
    """What is measured on the test part."""

    batch_size: Batch = 16
    features: Literal["inception768", "inception2048", "pixels"] = "inception2048"  # of FID and KID
    feature_images: Whole = 0  # of every set for FID and KID; 0 = all of the test part
    perceptual: bool = True  # LPIPS, of downloaded weights
    samples: Annotated[int, Bounds(2, 1000)] = 4  # of one face, for what makes several
    cases: Count = 4  # faces shown in the figures
    keep_real_images: bool = True  # False: results show images of faces of nobody only


@dataclass(frozen=True)
class Config:
    """The whole study."""

    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    gan: GANConfig = field(default_factory=GANConfig)
    pix2pix: Pix2PixConfig = field(default_factory=Pix2PixConfig)
    cyclegan: CycleGANConfig = field(default_factory=CycleGANConfig)
    stargan: StarGANConfig = field(default_factory=StarGANConfig)
    starganv2: StarGANv2Config = field(default_factory=StarGANv2Config)
    attention: AttentionConfig = field(default_factory=AttentionConfig)
    style: StyleConfig = field(default_factory=StyleConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    warm_start: WarmStartConfig = field(default_factory=WarmStartConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    def check(self) -> None:
        """Raise ValueError for images that a network cannot halve as often as it does."""
        halvings = {
            "the values of autoencoder.filters": len(self.autoencoder.filters),
            "gan.levels": self.gan.levels,
            "pix2pix.downs": self.pix2pix.downs,
            "the ways down of the translators": 2,
            "stargan.discriminator_layers": self.stargan.discriminator_layers,
        }
        if not self.diffusion.weights:
            latent_sizes.check("diffusion", self.diffusion)
            levels = latent_sizes.halvings(self.diffusion)
            halvings["diffusion.autoencoder_channels and diffusion.channels"] = levels
        for name, count in halvings.items():
            if self.data.size % 2**count:
                raise ValueError(
                    f"data.size = {self.data.size}: expected a multiple of {2**count} for {name}"
                )
        for name in ("pix2pix", "cyclegan"):
            layers = getattr(self, name).discriminator_layers
            if self.data.size < 3 * 2**layers:
                raise ValueError(
                    f"{name}.discriminator_layers: {layers}, which see no patch of images of "
                    f"data.size = {self.data.size}; give fewer"
                )
