"""Every hyperparameter of the study; the defaults are the published ones.

Where the source gives none, the reference paper's (Karaoğlu, Bilge, Uluer 2022) stands, or a
common one, and the comment says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from common.study.schema import (
    Batch,
    BelowOne,
    Bounds,
    CheckpointMinutes,
    Count,
    Depths,
    Fraction,
    Length,
    LogEvery,
    Most,
    NonNegative,
    Positive,
    Rate,
    Seed,
    Share,
    Whole,
    Widths,
)

# Pixels. The window of SSIM is 11 wide, and VGG16 halves images four times.
Side = Annotated[int, Bounds(16), Most(4096)]
Percents = Annotated[float, Bounds(0.01, 0.99)]
Plane = Literal["thalamic", "ventricular", "cerebellum", "diverse"]
Filter = Literal[
    "lee",
    "kuan",
    "frost",
    "mean",
    "median",
    "bilateral",
    "total_variation",
    "non_local_means",
    "bm3d",
]


@dataclass(frozen=True)
class DataConfig:
    """Which images, at which size, and how they are split."""

    dataset: Literal["fetal_planes", "hc18", "simulated"] = "fetal_planes"  # Zenodo 8265464
    # Of fetal_planes only. The last one's images are HC18's: that is how the source merged both.
    planes: Annotated[tuple[Plane, ...], Length(1)] = (
        "thalamic",
        "ventricular",
        "cerebellum",
        "diverse",
    )
    height: Side = 256
    width: Side = 256
    split_seed: Seed = 0
    train_fraction: Fraction = 0.7  # of the subjects; the source does not say
    validation_fraction: Fraction = 0.15  # what is left of both is the test part
    images: Annotated[int, Bounds(3), Most(100_000)] = 120  # of the simulated data only
    limit: Whole = 0  # images used, 0 = all: first one of each subject by name, then a second …

    def check(self) -> None:
        """Raise ValueError where no part is left for testing, and for a plane given twice."""
        if self.train_fraction + self.validation_fraction >= 1:
            raise ValueError(
                "data.train_fraction and data.validation_fraction: expected a sum below 1, so "
                "that a test part is left"
            )
        _check_unique("data.planes", self.planes)


@dataclass(frozen=True)
class SpeckleConfig:
    """Speckle put on images: Rayleigh noise of the reference paper."""

    # for training and for the tests
    sigmas: Annotated[tuple[Positive, ...], Length(1)] = (0.10, 0.25, 0.50, 0.75)
    centered: bool = False  # True: noise minus its mean, which leaves the brightness as it is

    def check(self) -> None:
        """Raise ValueError for sigmas that are written alike in the results."""
        _check_unique("speckle.sigmas", [f"{sigma:g}" for sigma in self.sigmas])


@dataclass(frozen=True)
class DenoiserConfig:
    """Di-Conv-AE-Net: four dilated convolutions down, four up.

    The source says four convolutions either way, ReLU, BatchNorm, Dropout, sigmoid. What it leaves
    open follows the reference paper's network as a public rewrite of it in PyTorch gives it
    (github.com/Anosen/speckle-denoising), the paper's own text not being at hand.
    """

    filters: Widths = (256, 128, 64, 64)  # of each convolution down; in reverse up
    dilations: Depths = (2, 2, 2, 2)  # of the same
    pooled: Annotated[int, Bounds(0), Most(12)] = (
        1  # convolutions down, from the first on, behind which 2x2 max pooling halves
    )
    dropout: BelowOne = 0.2
    norm_momentum: BelowOne = 0.9  # PyTorch's default; neither says
    dtype: Literal["float32", "bfloat16"] = "float32"  # of the computation; parameters: float32

    def check(self) -> None:
        """Raise ValueError unless the numbers describe a network."""
        _check_levels("denoiser", "dilations", self.dilations, self.filters)
        if self.pooled > len(self.filters):
            raise ValueError(
                f"denoiser.pooled: {self.pooled} of {len(self.filters)} denoiser.filters; pool "
                "behind as many at most"
            )


@dataclass(frozen=True)
class SegmenterConfig:
    """SegNet: VGG16's convolutions down, max-unpooling up."""

    filters: Widths = (64, 128, 256, 512, 512)  # of every level
    convolutions: Depths = (2, 2, 3, 3, 3)  # of every level, down and up
    norm_momentum: BelowOne = 0.9  # PyTorch's default; the source does not say
    dtype: Literal["float32", "bfloat16"] = "float32"

    def check(self) -> None:
        """Raise ValueError unless the numbers describe a network."""
        _check_levels("segmenter", "convolutions", self.convolutions, self.filters)


@dataclass(frozen=True)
class TrainConfig:
    """Optimization of the denoiser, and of the segmenter on top of what it gives."""

    loss: Literal["l1_msssim", "l1_perceptual", "l2_perceptual"] = "l1_msssim"
    mix: Share = 0.84  # weight of MS-SSIM beside L1 (Zhao et al. 2017); the source does not say
    # weight of the VGG distance beside L1 or L2; the source does not say
    perceptual: NonNegative = 0.01
    perceptual_layer: Literal["relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"] = "relu3_3"
    epochs: Count = 50
    batch_size: Batch = 16  # the source does not say
    learning_rate: Rate = 1e-3
    segmenter_loss: Literal["cross_entropy", "cross_entropy_dice"] = "cross_entropy"
    segmenter_epochs: Count = 50
    segmenter_batch_size: Batch = 8
    segmenter_learning_rate: Rate = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"  # of the rates; cosine falls to zero
    strengths: tuple[Percents, ...] = ()  # parts of denoising, for more segmenters: a mitigation
    filters: tuple[Filter, ...] = ()  # classical ones, for more segmenters
    # train denoiser and segmenter together too, by the latter's loss: a mitigation
    joint: bool = False
    log_every: LogEvery = 10  # steps
    checkpoint_minutes: CheckpointMinutes = 5.0  # changes no result

    def check(self) -> None:
        """Raise ValueError for strengths and filters that would name a segmenter twice."""
        for strength in self.strengths:
            if abs(100 * strength - round(100 * strength)) > 1e-6:
                raise ValueError(f"train.strengths: {strength:g}; expected whole percents")
        _check_unique("train.strengths", [f"{strength:g}" for strength in self.strengths])
        _check_unique("train.filters", self.filters)


@dataclass(frozen=True)
class EvaluateConfig:
    """What is measured on the test images."""

    batch_size: Batch = 16
    cases: Count = 6  # shown as images
    keep_real_images: bool = True  # False: results show images of simulated data only


@dataclass(frozen=True)
class Config:
    """The whole study."""

    data: DataConfig = field(default_factory=DataConfig)
    speckle: SpeckleConfig = field(default_factory=SpeckleConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    segmenter: SegmenterConfig = field(default_factory=SegmenterConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    def check(self) -> None:
        """Raise ValueError for images that a network cannot halve once per pooling."""
        halvings = {
            "denoiser.pooled": self.denoiser.pooled,
            "the levels of segmenter.filters": len(self.segmenter.filters),
        }
        for name, count in halvings.items():
            if self.data.height % 2**count or self.data.width % 2**count:
                raise ValueError(
                    f"data.height = {self.data.height}, data.width = {self.data.width}: expected "
                    f"multiples of {2**count} for {name}"
                )

    @property
    def input_variants(self) -> tuple[str, ...]:
        """What segmenters are trained on: raw, denoised, partly denoised and filtered images.

        `denoised50` is half of the image and half of the denoised one.
        """
        parts = [f"denoised{round(100 * strength)}" for strength in self.train.strengths]
        return ("raw", "denoised", *parts, *self.train.filters)


def _check_unique(name: str, values: Sequence[str | float]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{name}: {value} is duplicated")


def _check_levels(
    section: str, name: str, values: tuple[int, ...], filters: tuple[int, ...]
) -> None:
    if len(values) != len(filters):
        raise ValueError(
            f"{section}.{name}: {len(values)} values for {len(filters)} {section}.filters; give "
            "one for each"
        )
