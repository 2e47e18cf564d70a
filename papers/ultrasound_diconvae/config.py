"""Every hyperparameter of the study; the defaults are the published ones.

Where the source gives none, the reference paper's (Karaoğlu, Bilge, Uluer 2022) stands, or a
common one, and the comment says so.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class DataConfig:
    """Which pictures, at which size, and how they are split."""

    dataset: Literal["fetal_planes", "hc18", "simulated"] = "fetal_planes"  # Zenodo 8265464
    # Of fetal_planes only. The last one's pictures are HC18's: that is how the source merged both.
    planes: tuple[str, ...] = ("thalamic", "ventricular", "cerebellum", "diverse")
    height: int = 256
    width: int = 256
    split_seed: int = 0
    train_fraction: float = 0.7  # of the subjects; the source does not say
    validation_fraction: float = 0.15  # what is left of both is the test part
    pictures: int = 120  # of the simulated data only
    limit: int = 0  # pictures used, 0 = all: first one of each subject by name, then a second …


@dataclass(frozen=True)
class SpeckleConfig:
    """Speckle put on pictures: Rayleigh noise of the reference paper."""

    sigmas: tuple[float, ...] = (0.10, 0.25, 0.50, 0.75)  # for training and for the tests
    centred: bool = False  # True: noise less its mean, which leaves the brightness as it is


@dataclass(frozen=True)
class DenoiserConfig:
    """Di-Conv-AE-Net: four dilated convolutions down, four up.

    The source says four convolutions either way, ReLU, BatchNorm, Dropout, sigmoid. What it leaves
    open follows the reference paper's network as a public rewrite of it in PyTorch gives it
    (github.com/Anosen/speckle-denoising), the paper's own text not being at hand.
    """

    filters: tuple[int, ...] = (256, 128, 64, 64)  # of each convolution down; in reverse up
    dilations: tuple[int, ...] = (2, 2, 2, 2)  # of the same
    pooled: int = 1  # convolutions down, from the first on, behind which 2x2 max pooling halves
    dropout: float = 0.2
    norm_momentum: float = 0.9  # PyTorch's default; neither says
    dtype: Literal["float32", "bfloat16"] = "float32"  # of the computation; parameters: float32


@dataclass(frozen=True)
class SegmenterConfig:
    """SegNet: VGG16's convolutions down, max-unpooling up."""

    filters: tuple[int, ...] = (64, 128, 256, 512, 512)  # of every level
    convolutions: tuple[int, ...] = (2, 2, 3, 3, 3)  # of every level, down and up
    norm_momentum: float = 0.9  # PyTorch's default; the source does not say
    dtype: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation of the denoiser, and of the segmenter on top of what it gives."""

    loss: Literal["l1_msssim", "l1_perceptual", "l2_perceptual"] = "l1_msssim"
    mix: float = 0.84  # weight of MS-SSIM beside L1 (Zhao et al. 2017); the source does not say
    perceptual: float = 0.01  # weight of the VGG distance beside L1 or L2; the source does not say
    perceptual_layer: Literal["relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"] = "relu3_3"
    epochs: int = 50
    batch_size: int = 16  # the source does not say
    learning_rate: float = 1e-3
    segmenter_loss: Literal["cross_entropy", "cross_entropy_dice"] = "cross_entropy"
    segmenter_epochs: int = 50
    segmenter_batch_size: int = 8
    segmenter_learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"  # of the rates; cosine falls to zero
    strengths: tuple[float, ...] = ()  # parts of denoising, for more segmenters: a remedy
    filters: tuple[str, ...] = ()  # classical ones, for more segmenters
    joint: bool = False  # train denoiser and segmenter together too, by the latter's loss: a remedy
    log_every: int = 10  # steps
    checkpoint_minutes: float = 5.0  # changes no result


@dataclass(frozen=True)
class EvaluateConfig:
    """What is measured on the test pictures."""

    batch_size: int = 16
    cases: int = 6  # shown as pictures
    keep_real_pictures: bool = True  # False: results show pictures of simulated data only


@dataclass(frozen=True)
class Config:
    """The whole study."""

    data: DataConfig = field(default_factory=DataConfig)
    speckle: SpeckleConfig = field(default_factory=SpeckleConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    segmenter: SegmenterConfig = field(default_factory=SegmenterConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
