"""Every hyperparameter of the study; the defaults are the published ones."""

from dataclasses import dataclass, field
from typing import Literal

# of the tumour in a slice, as a share of the slice's area: above, up to
SIZES = {"small": (0.0, 0.01), "medium": (0.01, 0.03), "large": (0.03, 1.0)}


@dataclass(frozen=True)
class DataConfig:
    """Which slices, at which size, and how patients are split."""

    dataset: Literal["kaggle", "simulated"] = "kaggle"
    height: int = 256  # of the network's input
    width: int = 256
    window: Literal["picture", "head"] = "picture"  # what of a picture the network sees
    split: Literal["listing", "folds"] = "listing"  # folds: seed s tests on fold s modulo `folds`
    test_fraction: float = 0.1  # of the patients, the last of the listing
    validation_fraction: float = 0.2  # of the patients that are left
    folds: int = 5
    patients: int = 60  # of the simulated data only


@dataclass(frozen=True)
class ModelConfig:
    """The source's Keras network."""

    filters: tuple[int, ...] = (64, 128, 256, 512, 1024)  # of every level, the deepest last
    norm_momentum: float = 0.99  # of BatchNorm's moving averages, for each step
    gates: bool = True  # False: skips go straight through, a plain U-Net
    dtype: Literal["float32", "bfloat16"] = "float32"  # of the computation; parameters: float32


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation and augmentation."""

    epochs: int = 25
    batch_size: int = 32
    learning_rate: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99
    loss: Literal["dice", "bce_dice", "focal_tversky"] = "dice"
    smooth: float = 0.1  # of the Dice loss and of the soft IoU
    schedule: Literal["plateau", "cosine"] = "plateau"
    warmup_steps: int = 0  # of the cosine schedule
    plateau_factor: float = 0.1
    plateau_patience: int = 5  # epochs
    min_learning_rate: float = 1e-6
    stop_patience: int = 15  # epochs
    keep: Literal["best", "last"] = "best"  # weights: of the best validation loss, or the last
    rotation_degrees: float = 0.2  # every range is symmetric: here -0.2 to 0.2
    shift: float = 0.05  # of height and width
    shear_degrees: float = 0.05
    zoom: float = 0.05
    flip: float = 0.0  # probability of left-right flipping
    intensity: float = 0.0  # range of a random gain and of a random exponent (gamma)
    normalize: Literal["none", "volume"] = "none"  # volume: a head's median is 0.4
    tumour_repeats: int = 1  # how often an epoch shows every slice with tumour
    ablation: bool = False  # train the same network without gates as well
    log_every: int = 10  # steps
    checkpoint_minutes: float = 5.0  # changes no result


@dataclass(frozen=True)
class EvaluateConfig:
    """What is measured on the test patients."""

    threshold: float = 0.5  # of the probability
    tuned_threshold: bool = False  # of 0.1 to 0.9, what has the best Dice of validation patients
    largest: bool = False  # of a volume, keep the largest connected part alone (Buda et al. 2019)
    flips: bool = False  # mean of the prediction and that of the mirrored slice
    batch_size: int = 32
    cases: int = 6  # shown as pictures: as many typical and as many of the worst
    keep_real_pictures: bool = True  # False where the data's licence keeps them out of results


@dataclass(frozen=True)
class Config:
    """The whole study."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
