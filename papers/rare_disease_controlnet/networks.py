"""What is trained: the engine, its adaptations to the rare finding, the reviewer, the classifiers.

Sets of synthetic films are made in turn with them, since classifiers learn from these.
"""

from __future__ import annotations

from common.study.protocol import Network
from papers.rare_disease_controlnet.classifier.arms import trials
from papers.rare_disease_controlnet.config import Config

AUTOENCODER, DENOISER, CONTROLNET, REVIEWER = "autoencoder", "denoiser", "controlnet", "reviewer"
ENGINE = (AUTOENCODER, DENOISER, CONTROLNET)  # of a small model, once for all seeds
_DENOISER = (
    *("engine.channels", "engine.head_channels", "engine.context", "engine.text_layers"),
    *("engine.steps", "engine.batch_size", "engine.learning_rate", "engine.prediction"),
    *("engine.prompt_dropout", "engine.label"),
)
_CONTROLNET = (
    *("engine.hint_channels", "engine.control_steps", "engine.control_batch_size"),
    "engine.control_learning_rate",
)
_CANNY = ("synthesis.canny_low", "synthesis.canny_high")


def adaptation(count: int) -> str:
    """Return the name of the adaptation to so many rare films."""
    return f"adaptation_{count}"


def synthesis(count: int) -> str:
    """Return the name of the set of synthetic films that came of so many rare ones."""
    return f"synthesis_{count}"


def by_people(config: Config, count: int) -> bool:
    """Return whether films that people accepted take the place of the automatic reviewer's.

    At the main number of rare films alone: it is that of the engine that drew them.
    """
    return bool(config.synthesis.corpora) and count == config.arms.main


def networks(config: Config) -> dict[str, Network]:
    """Return what a seed trains and draws, in this order."""
    named: dict[str, Network] = {}
    engine: tuple[str, ...] = ()
    if not config.engine.weights:
        engine = ENGINE
        rest = (*_DENOISER, *_CONTROLNET)
        named[AUTOENCODER] = Network(("engine", "train"), ignores=rest, once=True)
        named[DENOISER] = Network(("engine", "train"), (AUTOENCODER,), _CONTROLNET, once=True)
        named[CONTROLNET] = Network(
            ("engine", "train", *_CANNY), (AUTOENCODER, DENOISER), once=True
        )
    named[REVIEWER] = Network(
        ("classifier", "train", "review.steps"), ignores=("classifier.steps",)
    )
    for count in config.arms.rare:
        begun = tuple(name for name in engine if name != CONTROLNET)
        named[adaptation(count)] = Network(("engine", "adapt", "train"), begun, _CONTROLNET)
        after = (*engine, REVIEWER, adaptation(count))
        named[synthesis(count)] = Network(
            ("engine", "synthesis", "review"), after, ignores=("synthesis.corpora",)
        )
    for trial in trials(config.arms):
        after = (synthesis(trial.rare),) if trial.synthetic else ()
        if trial.arm == "pretrained" and not trial.half:
            after = (f"classifier_pretraining_{trial.rare}",)
        more = ("arms.upper",) if trial.arm == "upper" else ()
        if trial.synthetic and by_people(config, trial.rare) and trial.arm != "unselected":
            more = ("synthesis.corpora",)
        named[trial.name] = Network(("classifier", "train", *more), after)
    return named
