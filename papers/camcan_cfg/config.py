"""Every hyperparameter of the study; the defaults are the published ones."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class DataConfig:
    """Which slices, at which size, and how they are split."""

    dataset: Literal["camcan", "lgg_flair", "simulated"] = "camcan"
    height: int = 96
    width: int = 128
    split: Literal["subject", "slice"] = "slice"  # the source splits slices: subjects leak
    split_seed: int = 0
    train_fraction: float = 0.6
    validation_fraction: float = 0.2  # what is left of both is the test part
    slices: int = 40  # axial slices a subject, from 20 below the middle of the volume
    subjects: int = 120  # of the simulated cohort only


@dataclass(frozen=True)
class ModelConfig:
    """MONAI's DiffusionModelUNet as the source calls it."""

    channels: tuple[int, ...] = (256, 256, 512)
    attention: tuple[bool, ...] = (False, False, True)
    head_channels: tuple[int, ...] = (0, 0, 512)
    residual_blocks: int = 2
    groups: int = 32  # of GroupNorm
    condition_features: int = 3  # age, sex, slice number as one token
    dtype: Literal["float32", "bfloat16"] = "float32"  # of the computation; parameters: float32


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation of the denoising network."""

    epochs: int = 275
    batch_size: int = 8
    learning_rate: float = 2.5e-5
    warmup_steps: int = 0
    cosine_decay: bool = False  # to zero over the whole training
    stratified_times: bool = False  # one time from each of batch_size equal parts of the schedule
    condition_dropout: float = 0.2  # share of draws trained with the condition (-1, -1, -1)
    condition_scale: tuple[float, float, float] = (1.0, 1.0, 1.0)  # divides age, sex, slice
    prediction: Literal["epsilon", "velocity"] = "epsilon"  # of the network
    image_range: tuple[float, float] = (0.0, 1.0)  # what black and white are for the network
    ema: float = 0.0  # decay of the parameters' moving average; 0 = off, as published
    log_every: int = 50  # steps
    validate_every: int = 1  # epochs
    validation_images: int = 0  # slices of the validation loss; 0 = all
    checkpoint_minutes: float = 5.0  # changes no result


@dataclass(frozen=True)
class SampleConfig:
    """How pictures are drawn."""

    sampler: Literal["ddpm", "ddim"] = "ddpm"
    steps: int = 1000
    eta: float = 0.0  # of DDIM: 0 deterministic, 1 as much fresh noise as ancestral sampling
    train_steps: int = 1000  # length of the noise schedule
    batch_size: int = 32
    guidance_scales: tuple[float, ...] = (0.0, 0.5, 1.0, 3.0, 5.0, 7.0)


@dataclass(frozen=True)
class BrainAgeConfig:
    """The regressor in the role of the source's DeepBrainNet."""

    features: tuple[int, ...] = (32, 64, 128, 256)
    epochs: int = 100
    batch_size: int = 8
    learning_rate: float = 1e-4
    plateau_factor: float = 0.1
    plateau_patience: int = 5
    stop_patience: int = 15


@dataclass(frozen=True)
class EvaluateConfig:
    """How much is drawn and measured."""

    images: int = 5160  # generated per guidance scale, conditions from the validation set
    real_images: int = 0  # validation slices that FID and KID compare with; 0 = all
    memorisation_images: int = 500
    features: Literal["inception768", "pixels"] = "inception768"  # pixels: for tests, offline
    keep_real_pictures: bool = True  # False where the data's licence keeps them out of results


@dataclass(frozen=True)
class Config:
    """The whole study."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    sample: SampleConfig = field(default_factory=SampleConfig)
    brain_age: BrainAgeConfig = field(default_factory=BrainAgeConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
