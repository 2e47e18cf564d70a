"""Every hyperparameter of the study; the defaults are the published ones.

The source names Stable Diffusion 1.5 with a ControlNet, 512 pixels, Canny at 100 and 200, UniPC,
and the ranges of what its users choose. It trains no classifier and publishes no number: what it
leaves open is what the literature on synthetic chest films does, and the comment says so.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from common.study import latent_sizes
from common.study.schema import (
    Batch,
    Bounds,
    Channels,
    CheckpointMinutes,
    Count,
    Counts,
    Depths,
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

Side = Annotated[int, Bounds(32), Most(4096)]  # pixels
Level = Annotated[int, Bounds(0, 4000)]  # of Canny: a sum of absolute differences of gray values
Guidance = Annotated[float, Bounds(1, 30)]  # the source's range
SamplerSteps = Annotated[int, Bounds(10, 100)]  # the source's range
Control = Annotated[float, Bounds(0, 2)]  # the source's range
Arm = Literal[
    "real",  # real films alone
    "augmented",  # rare ones repeated until classes are even, and usual augmentation
    "unselected",  # as augmented, repeats replaced by synthetic films as they were drawn
    "selected",  # as augmented, repeats replaced by synthetic films that the reviewer accepted
    "synthetic_only",  # synthetic films of all classes alone, the rare ones selected
    "pretrained",  # half of the steps as synthetic_only, the rest as augmented
    "upper",  # as augmented, with several times the real films of the rare finding
]


@dataclass(frozen=True)
class DataConfig:
    """Which films, of which findings, at which size, and how they are split."""

    dataset: Literal["nih", "kermany", "folder", "films"] = "nih"
    size: Side = 512  # pixels, height and width
    findings: tuple[str, ...] = ()  # that are told apart; none = all of the data set
    rare: str = "Pneumothorax"  # the finding that is made rare, one of these
    # by patient; "published" is the publisher's own split, whose leak the study can so show
    split: Literal["patient", "published"] = "patient"
    split_seed: Seed = 0
    train_fraction: Fraction = 0.6  # of the patients; ours, as are the next two
    validation_fraction: Fraction = 0.1
    review_fraction: Fraction = 0.1  # the reviewer's own; what is left of all is the test part
    # of `films` only: how many without a finding, and with each of `findings`
    films: Counts = (600, 300, 300, 300)
    limit: Whole = 0  # films used, 0 = all: the first one of each patient by name, then a second …

    def check(self) -> None:
        """Raise ValueError where no part is left for testing, and for counts that fit nothing."""
        if self.train_fraction + self.validation_fraction + self.review_fraction >= 1:
            raise ValueError(
                "data.train_fraction, data.validation_fraction and data.review_fraction: expected "
                "a sum below 1, so that a test part is left"
            )
        if self.findings and self.rare not in self.findings:
            raise ValueError(
                f"data.rare: {self.rare!r} is none of data.findings ({', '.join(self.findings)})"
            )
        if self.dataset == "films" and len(self.films) != len(self.findings) + 1:
            raise ValueError(
                f"data.films: {len(self.films)} counts for {len(self.findings)} data.findings; "
                "give one for films without a finding, then one for each"
            )


@dataclass(frozen=True)
class EngineConfig:
    """What draws films: Stable Diffusion 1.5 with a ControlNet, or a small model trained here.

    `weights` and `controlnet` are folders, files or names given to ``just weights --add``. Without
    weights the sizes below count, and all of it is trained, in this order: the autoencoder, U-Net
    and words, the ControlNet; on films without the rare finding, once for all seeds.
    """

    weights: str = "sd15"
    controlnet: str = "canny"
    autoencoder_channels: Widths = (128, 256, 512, 512)
    latent_channels: Channels = 4
    channels: Widths = (320, 640, 1280, 1280)
    head_channels: Channels = 40
    context: Channels = 768
    text_layers: Layers = 12
    groups: Channels = 32
    hint_channels: Widths = (16, 32, 96, 256)
    kl: NonNegative = 1e-6  # weight of the autoencoder's penalty, as of Stable Diffusion's
    autoencoder_steps: Steps = 1000
    autoencoder_batch_size: Batch = 16
    autoencoder_learning_rate: Rate = 1e-3
    steps: Steps = 1000  # of U-Net and words
    batch_size: Batch = 16
    learning_rate: Rate = 1e-4
    control_steps: Steps = 1000
    control_batch_size: Batch = 16
    control_learning_rate: Rate = 1e-4
    prediction: Literal["epsilon", "v_prediction"] = "epsilon"  # of a small model
    prompt_dropout: Share = 0.1  # rows that are trained without their prompt, for guidance
    label: bool = True  # the finding as a learned word beside its name, as the source says
    dtype: Literal["float32", "bfloat16"] = "float32"  # of the computation

    def check(self) -> None:
        """Raise ValueError for a ControlNet that halves a film other than the autoencoder does."""
        if not self.weights and len(self.hint_channels) != len(self.autoencoder_channels):
            raise ValueError(
                f"engine.hint_channels: {len(self.hint_channels)} values for "
                f"{len(self.autoencoder_channels)} engine.autoencoder_channels; give one for each"
            )


@dataclass(frozen=True)
class AdaptConfig:
    """How the engine learns the rare finding from the few films that there are of it.

    The source adapts nothing. `lora` is what is usual for Stable Diffusion; `full`, which trains
    all of U-Net and words, is for a small model, whose attention alone draws no new shape.
    """

    method: Literal["lora", "full"] = "lora"
    rank: Channels = 4
    alpha: Positive = 4.0
    rare_share: Share = 0.5  # of the rows of a batch, the rest being films of all other kinds
    steps: Steps = 1000
    batch_size: Batch = 8
    learning_rate: Rate = 1e-4


@dataclass(frozen=True)
class SynthesisConfig:
    """How films are drawn; the source's worker, or the defaults of its page."""

    steps: SamplerSteps = 30
    guidance: Guidance = 7.5
    sampler: Literal["unipc", "ddim", "pndm"] = "unipc"
    control: Control = 1.0  # what the ControlNet's residuals are multiplied by
    canny_low: Level = 100
    canny_high: Level = 200
    # Ours, shorter than the source's; a small model never learned these words: best none for it.
    negative: str = "blurry, low quality, distorted anatomy"
    batch_size: Batch = 8
    # Ours, of the rest of this section:
    accepted: Count = 96  # films of the rare finding that a set must have
    others: Count = 96  # films of each other class, for training on synthetic films alone
    tries: Count = 3  # times so many are drawn at most, until enough are accepted
    # snapshots of a review desk, by content: their films instead of those the reviewer accepted
    corpora: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise ValueError for thresholds of edges that are the wrong way round."""
        if self.canny_low > self.canny_high:
            raise ValueError(
                f"synthesis.canny_low: {self.canny_low}, expected at most synthesis.canny_high = "
                f"{self.canny_high}"
            )


@dataclass(frozen=True)
class ReviewConfig:
    """The automatic reviewer: a classifier trained on films of patients that nobody else sees.

    A film is accepted if the reviewer gives its finding a probability of at least `visible`, if at
    least `edges` of its structure's edges are found again, and if its nearest training film is
    farther than the `copy` quantile of the distances among real films of different patients.
    """

    visible: Share = 0.5
    edges: Share = 0.3
    copy: Share = 0.01
    steps: Steps = 400


@dataclass(frozen=True)
class ClassifierConfig:
    """The classifier: ResNet-18 (He et al. 2016) on one channel; the source names none."""

    channels: Widths = (64, 128, 256, 512)
    blocks: Depths = (2, 2, 2, 2)
    # halvings of height and width before the first block: imagenet two, half one, small none
    stem: Literal["imagenet", "half", "small"] = "imagenet"
    steps: Steps = 2000
    # half of it the same real films in all arms
    batch_size: Annotated[int, Bounds(2), Most(65_536)] = 32
    learning_rate: Rate = 1e-3
    weight_decay: NonNegative = 1e-4
    rotation: Annotated[float, Bounds(0, 45)] = 10.0  # degrees, either way: usual augmentation
    shift: Annotated[float, Bounds(0, 0.5)] = 0.05  # of the side
    zoom: Annotated[float, Bounds(0, 0.5)] = 0.1
    brightness: Annotated[float, Bounds(0, 0.9)] = 0.1
    dtype: Literal["float32", "bfloat16"] = "float32"

    def check(self) -> None:
        """Raise ValueError unless each level has a number of blocks."""
        if len(self.blocks) != len(self.channels):
            raise ValueError(
                f"classifier.blocks: {len(self.blocks)} values for {len(self.channels)} "
                "classifier.channels; give one for each"
            )


@dataclass(frozen=True)
class ArmsConfig:
    """What is compared: real films of the rare finding, and how many synthetic ones."""

    rare: Counts = (12, 24, 48)
    main: Count = 24  # of these: with all arms
    elsewhere: tuple[Arm, ...] = get_args(Arm)  # with the other numbers
    doses: Counts = (24, 48, 96)  # synthetic films beside the main number of real ones
    upper: Count = 4  # the upper bound has so many times the real films

    def check(self) -> None:
        """Raise ValueError where the main number is none of those that are compared."""
        if self.main not in self.rare:
            raise ValueError(f"arms.main: {self.main} is none of arms.rare {list(self.rare)}")
        for name, values in (("rare", self.rare), ("doses", self.doses)):
            if len(set(values)) < len(values):
                raise ValueError(f"arms.{name}: {list(values)} has a value twice")


@dataclass(frozen=True)
class TrainConfig:
    """What all trainings have in common."""

    log_every: LogEvery = 50  # steps
    checkpoint_minutes: CheckpointMinutes = 5.0  # changes no result


@dataclass(frozen=True)
class EvaluateConfig:
    """What is measured of a trained seed."""

    batch_size: Batch = 16
    # "pixels" are 64 means of blocks, for tests that may fetch nothing
    features: Literal["inception768", "inception2048", "pixels"] = "inception2048"
    anatomy_films: Count = 32  # drawn with, without, and with an unheeded ControlNet
    cases: Count = 4  # shown as images
    keep_real_images: bool = False  # True: results may show films of the data set


@dataclass(frozen=True)
class Config:
    """The whole study."""

    data: DataConfig = field(default_factory=DataConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    adapt: AdaptConfig = field(default_factory=AdaptConfig)
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)
    review: ReviewConfig = field(default_factory=ReviewConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    arms: ArmsConfig = field(default_factory=ArmsConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    def check(self) -> None:
        """Raise ValueError for sections that do not go together."""
        if not self.engine.weights:
            latent_sizes.check("engine", self.engine)
            divisor = 2 ** latent_sizes.halvings(self.engine)
            if self.data.size % divisor:
                raise ValueError(
                    f"data.size = {self.data.size}: expected a multiple of {divisor} for "
                    "engine.autoencoder_channels and engine.channels"
                )
        if max(self.arms.doses) > self.synthesis.accepted:
            raise ValueError(
                f"arms.doses: {max(self.arms.doses)} synthetic films of synthesis.accepted = "
                f"{self.synthesis.accepted}; have as many accepted"
            )
        if self.engine.weights and self.adapt.method == "full":
            raise ValueError(
                f"adapt.method: 'full' trains a small model; engine.weights is "
                f"{self.engine.weights!r}, whose adaptation is 'lora'"
            )
