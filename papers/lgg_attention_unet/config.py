"""Every hyperparameter of the study; the defaults are the published ones."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from common.study.schema import (
    Batch,
    BelowOne,
    Bounds,
    Channels,
    CheckpointMinutes,
    Count,
    Length,
    LogEvery,
    Most,
    NonNegative,
    Pixels,
    Positive,
    Rate,
    Share,
    Whole,
)

# of the tumor in a slice, as a share of the slice's area: above, up to
SIZES = {"small": (0.0, 0.01), "medium": (0.01, 0.03), "large": (0.03, 1.0)}


@dataclass(frozen=True)
class DataConfig:
    """Which slices, at which size, and how patients are split."""

    dataset: Literal["kaggle", "simulated"] = "kaggle"
    height: Pixels = 256  # of the network's input
    width: Pixels = 256
    window: Literal["image", "head"] = "image"  # what of an image the network sees
    split: Literal["listing", "folds"] = "listing"  # folds: seed s tests on fold s modulo `folds`
    test_fraction: Share = 0.1  # of the patients, the last of the listing
    validation_fraction: Share = 0.2  # of the patients that are left
    folds: Annotated[int, Bounds(3), Most(100_000)] = 5
    patients: Annotated[int, Bounds(3), Most(100_000)] = 60  # of the simulated data only

    def check(self) -> None:
        """Raise ValueError for shares of patients that leave a part without any."""
        if not (0 < self.test_fraction < 1 and 0 < self.validation_fraction < 1):
            raise ValueError(
                "data.test_fraction and data.validation_fraction: expected both between 0 and 1, "
                "so that each part has patients"
            )
        if self.dataset == "simulated" and self.split == "folds" and self.folds > self.patients:
            raise ValueError(f"data.folds: {self.folds} of {self.patients} data.patients")


@dataclass(frozen=True)
class ModelConfig:
    """The source's Keras network."""

    filters: Annotated[tuple[Channels, ...], Length(2, 12)] = (
        64,
        128,
        256,
        512,
        1024,
    )  # by level
    norm_momentum: BelowOne = 0.99  # of BatchNorm's moving averages, for each step
    gates: bool = True  # False: skips go straight through, a plain U-Net
    dtype: Literal["float32", "bfloat16"] = "float32"  # of the computation; parameters: float32


@dataclass(frozen=True)
class TrainConfig:
    """Optimization and augmentation."""

    epochs: Count = 25
    batch_size: Batch = 32
    learning_rate: Rate = 1e-4
    beta1: BelowOne = 0.9
    beta2: BelowOne = 0.99
    loss: Literal["dice", "bce_dice", "focal_tversky"] = "dice"
    smooth: Positive = 0.1  # of the Dice loss and of the soft IoU
    schedule: Literal["plateau", "cosine"] = "plateau"
    warmup_steps: Whole = 0  # of the cosine schedule
    plateau_factor: Share = 0.1
    plateau_patience: Whole = 5  # epochs
    min_learning_rate: NonNegative = 1e-6
    stop_patience: Count = 15  # epochs
    keep: Literal["best", "last"] = "best"  # weights: of the best validation loss, or the last
    # every range is symmetric: here -0.2 to 0.2
    rotation_degrees: Annotated[float, Bounds(0, 180)] = 0.2
    shift: Share = 0.05  # of height and width
    shear_degrees: Annotated[float, Bounds(0, 80)] = 0.05
    zoom: BelowOne = 0.05
    flip: Share = 0.0  # probability of left-right flipping
    intensity: BelowOne = 0.0  # range of a random gain and of a random exponent (gamma)
    normalize: Literal["none", "volume"] = "none"  # volume: a head's median is 0.4
    tumor_repeats: Count = 1  # how often an epoch shows every slice with tumor
    ablation: bool = False  # train the same network without gates as well
    log_every: LogEvery = 10  # steps
    checkpoint_minutes: CheckpointMinutes = 5.0  # changes no result

    def check(self) -> None:
        """Raise ValueError for a rate that would begin below its least."""
        if self.min_learning_rate > self.learning_rate:
            raise ValueError(
                f"train.min_learning_rate: {self.min_learning_rate:g}, expected at most "
                f"train.learning_rate = {self.learning_rate:g}"
            )


@dataclass(frozen=True)
class EvaluateConfig:
    """What is measured on the test patients."""

    threshold: Share = 0.5  # of the probability
    tuned_threshold: bool = False  # of 0.1 to 0.9, what has the best Dice of validation patients
    largest: bool = False  # of a volume, keep the largest connected part alone (Buda et al. 2019)
    flips: bool = False  # mean of the prediction and that of the mirrored slice
    batch_size: Batch = 32
    cases: Count = 6  # shown as images: as many typical and as many of the worst
    keep_real_images: bool = True  # False where the data's license keeps them out of results


@dataclass(frozen=True)
class Config:
    """The whole study."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    def check(self) -> None:
        """Raise ValueError for images that the network cannot halve once a level."""
        divisor = 2 ** (len(self.model.filters) - 1)
        if self.data.height % divisor or self.data.width % divisor:
            raise ValueError(
                f"data.height = {self.data.height}, data.width = {self.data.width}: expected "
                f"multiples of {divisor} for the {len(self.model.filters)} levels of model.filters"
            )
