"""Every hyperparameter of the study; the defaults are the published ones."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from common.study.schema import (
    Batch,
    BelowOne,
    Bounds,
    CheckpointMinutes,
    Count,
    Fraction,
    LogEvery,
    Most,
    OnlyFor,
    Rate,
    Widths,
)


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how patients are split."""

    dataset: Literal["published", "simulated"] = "published"
    size: Annotated[int, Bounds(4), Most(1024)] = 16  # pixels of a side, as the network sees it
    images: Annotated[int, Bounds(20), Most(100_000), OnlyFor(("simulated",))] = 1000
    train_fraction: Fraction = 0.6  # of the patients
    validation_fraction: Fraction = 0.2

    def check(self) -> None:
        """Raise ValueError for shares of patients that leave none for the test."""
        if self.train_fraction + self.validation_fraction >= 1:
            raise ValueError(
                "data.train_fraction and data.validation_fraction: expected less than 1 together, "
                "so that the test part has patients"
            )


@dataclass(frozen=True)
class ModelConfig:
    """Convolutions, and a linear layer over all that they give."""

    filters: Widths = (8, 16)
    dropout: BelowOne = 0.2  # share of the values before the linear layer
    norm_momentum: BelowOne = 0.9  # of BatchNorm's moving averages, for each step


@dataclass(frozen=True)
class TrainConfig:
    """Optimization."""

    epochs: Count = 20
    batch_size: Batch = 32
    learning_rate: Rate = 1e-3
    log_every: LogEvery = 10  # steps
    checkpoint_minutes: CheckpointMinutes = 5.0  # changes no result


@dataclass(frozen=True)
class EvaluateConfig:
    """What is measured on the test images."""

    batch_size: Batch = 64
    cases: Count = 8  # shown as images
    keep_real_images: bool = False  # True where the data's license lets results show them


@dataclass(frozen=True)
class Config:
    """The whole study."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
