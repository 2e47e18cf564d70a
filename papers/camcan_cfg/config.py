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
    Layers,
    Length,
    LogEvery,
    Most,
    OnlyFor,
    Pixels,
    Positive,
    Rate,
    Seed,
    Share,
    Steps,
    Whole,
    Widths,
)

Scale = Annotated[float, Bounds(0), Most(1000)]
Gray = Annotated[float, Bounds(-1000, 1000)]
Levels = Annotated[Literal["head", "middle"], OnlyFor(("bids",))]
Percentile = Annotated[float, Bounds(0, 100), OnlyFor(("camcan", "bids"))]


@dataclass(frozen=True)
class DataConfig:
    """Which slices, at which size, and how they are split."""

    dataset: Literal["bids", "camcan", "lgg_flair", "simulated"] = "camcan"
    height: Pixels = 96
    width: Pixels = 128
    split: Literal["subject", "slice"] = "slice"  # the source splits slices: subjects leak
    split_seed: Seed = 0
    train_fraction: Share = 0.6
    validation_fraction: Share = 0.2  # what is left of both is the test part
    slices: Count = 40  # axial slices a subject, from 20 below the middle of the volume
    subjects: Count = 120  # of the simulated cohort only
    levels: Levels = "head"  # of own volumes: from the head's crown, or the volume's middle
    percentile: Percentile = 0.0  # of a subject's slices: what is white; 0 = 255, as the source

    def check(self) -> None:
        """Raise ValueError where no part is left for testing, or nearly all would be white."""
        if 0 < self.percentile < 50:
            raise ValueError(
                f"data.percentile: {self.percentile:g} would make most of the head white; give 50 "
                "to 100, or 0 to divide by 255"
            )
        fractions = (self.train_fraction, self.validation_fraction)
        if min(fractions) <= 0 or sum(fractions) >= 1:
            raise ValueError(
                "data.train_fraction and data.validation_fraction: expected both above 0 and their "
                "sum below 1, so that a test part is left"
            )


@dataclass(frozen=True)
class ModelConfig:
    """MONAI's DiffusionModelUNet as the source calls it."""

    channels: Widths = (256, 256, 512)
    attention: tuple[bool, ...] = (False, False, True)
    head_channels: tuple[Annotated[int, Bounds(0, 16_384)], ...] = (0, 0, 512)
    residual_blocks: Layers = 2
    groups: Channels = 32  # of GroupNorm
    condition_features: Count = 3  # age, sex, slice number as one token
    dtype: Literal["float32", "bfloat16"] = "float32"  # of the computation; parameters: float32

    def check(self) -> None:
        """Raise ValueError unless the numbers describe a network."""
        levels = len(self.channels)
        for name in ("attention", "head_channels"):
            if len(getattr(self, name)) != levels:
                raise ValueError(
                    f"model.{name}: {len(getattr(self, name))} values for {levels} "
                    "model.channels; give one per level"
                )
        for level, (channels, head) in enumerate(
            zip(self.channels, self.head_channels, strict=True)
        ):
            if channels % self.groups:
                raise ValueError(
                    f"model.channels: {channels} is no multiple of model.groups = {self.groups}; "
                    "change either"
                )
            # the middle block has attention whatever the last level has
            attends = self.attention[level] or level == levels - 1
            if attends and (head < 1 or channels % head):
                raise ValueError(
                    f"model.head_channels: {head} at level {level}; give a divisor of its "
                    f"{channels} channels"
                )


@dataclass(frozen=True)
class TrainConfig:
    """Optimization of the denoising network."""

    epochs: Count = 275
    batch_size: Batch = 8
    learning_rate: Rate = 2.5e-5
    warmup_steps: Whole = 0
    cosine_decay: bool = False  # to zero over the whole training
    stratified_times: bool = False  # one time from each of batch_size equal parts of the schedule
    condition_dropout: Share = 0.2  # share of draws trained with the condition (-1, -1, -1)
    condition_scale: tuple[Positive, Positive, Positive] = (
        1.0,
        1.0,
        1.0,
    )  # of age, sex, slice
    prediction: Literal["epsilon", "velocity"] = "epsilon"  # of the network
    image_range: tuple[Gray, Gray] = (0.0, 1.0)  # what black and white are for the network
    ema: BelowOne = 0.0  # decay of the parameters' average; 0 = off
    log_every: LogEvery = 50  # steps
    validate_every: Count = 1  # epochs
    validation_images: Whole = 0  # slices of the validation loss; 0 = all
    checkpoint_minutes: CheckpointMinutes = 5.0  # changes no result

    def check(self) -> None:
        """Raise ValueError for a range of images without a width."""
        if self.image_range[0] >= self.image_range[1]:
            raise ValueError("train.image_range: expected black below white")


@dataclass(frozen=True)
class SampleConfig:
    """How images are drawn."""

    sampler: Literal["ddpm", "ddim"] = "ddpm"
    steps: Steps = 1000
    eta: Share = 0.0  # of DDIM: 0 deterministic, 1 as much fresh noise as ancestral sampling
    train_steps: Annotated[int, Bounds(2), Most(65_536)] = 1000  # length of the noise schedule
    batch_size: Batch = 32
    guidance_scales: Annotated[tuple[Scale, ...], Length(1, 64)] = (0.0, 0.5, 1.0, 3.0, 5.0, 7.0)

    def check(self) -> None:
        """Raise ValueError where sampler, steps and scales do not go together."""
        if self.sampler == "ddpm" and self.steps != self.train_steps:
            raise ValueError(
                f"sample.steps: {self.steps}, but ddpm takes all {self.train_steps} of "
                "sample.train_steps; choose sample.sampler=ddim for fewer"
            )
        if self.steps > self.train_steps:
            raise ValueError(
                f"sample.steps: {self.steps} of a schedule of {self.train_steps} "
                "(sample.train_steps); take fewer"
            )
        if len(set(self.guidance_scales)) != len(self.guidance_scales):
            raise ValueError("sample.guidance_scales: a scale is duplicated")
        if 1.0 not in self.guidance_scales:
            raise ValueError(
                "sample.guidance_scales: expected 1.0 among them; the memorization audit looks at "
                "images without guidance"
            )


@dataclass(frozen=True)
class BrainAgeConfig:
    """The regressor in the role of the source's DeepBrainNet."""

    features: Annotated[tuple[Annotated[int, Bounds(8), Most(16_384)], ...], Length(1, 12)] = (
        32,
        64,
        128,
        256,
    )
    epochs: Count = 100
    batch_size: Batch = 8
    learning_rate: Rate = 1e-4
    plateau_factor: Share = 0.1
    plateau_patience: Whole = 5
    stop_patience: Count = 15

    def check(self) -> None:
        """Raise ValueError for channels that do not share out over the groups of GroupNorm."""
        if any(features % 8 for features in self.features):
            raise ValueError("brain_age.features: expected multiples of 8, the groups of GroupNorm")


@dataclass(frozen=True)
class EvaluateConfig:
    """How much is drawn and measured."""

    images: Count = 5160  # generated per guidance scale, conditions from the validation set
    real_images: Whole = 0  # validation slices that FID and KID compare with; 0 = all
    memorization_images: Count = 500
    features: Literal["inception768", "pixels"] = "inception768"  # pixels: for tests, offline
    keep_real_images: bool = True  # False where the data's license keeps them out of results


@dataclass(frozen=True)
class Config:
    """The whole study."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    sample: SampleConfig = field(default_factory=SampleConfig)
    brain_age: BrainAgeConfig = field(default_factory=BrainAgeConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    def check(self) -> None:
        """Raise ValueError for images that a network cannot halve once a level."""
        halvings = len(self.brain_age.features)
        if min(self.data.height, self.data.width) < 2**halvings:
            raise ValueError(
                f"data.height = {self.data.height}, data.width = {self.data.width}: expected at "
                f"least {2**halvings} for the {halvings} levels of brain_age.features"
            )
        divisor = 2 ** (len(self.model.channels) - 1)
        if self.data.height % divisor or self.data.width % divisor:
            raise ValueError(
                f"data.height = {self.data.height}, data.width = {self.data.width}: expected "
                f"multiples of {divisor} for the {len(self.model.channels)} levels of "
                "model.channels"
            )
