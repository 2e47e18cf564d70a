"""Training of one network of one seed, or the making of one set of synthetic films."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from common.data.loader import ArraySource, Picked, Source
from common.study.protocol import Prepared, Unit
from common.training.loop import Length, Training
from common.training.programs import compiled
from common.training.rng import Streams
from papers.rare_disease_controlnet.classifier import learning as classifier
from papers.rare_disease_controlnet.classifier.arms import (
    Labels,
    Trial,
    batch_rows,
    real_films,
    trials,
)
from papers.rare_disease_controlnet.classifier.trained import is_single
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.data import Part, load
from papers.rare_disease_controlnet.engine import autoencoder, controlnet, denoiser, lora
from papers.rare_disease_controlnet.engine.assembly import (
    given,
    trained_autoencoder,
    trained_denoiser,
)
from papers.rare_disease_controlnet.engine.drawing import edges_of
from papers.rare_disease_controlnet.engine.learning import Learning
from papers.rare_disease_controlnet.networks import (
    AUTOENCODER,
    CONTROLNET,
    DENOISER,
    REVIEWER,
    adaptation,
    synthesis,
)
from papers.rare_disease_controlnet.prompts import prompt_of, tokenizer
from papers.rare_disease_controlnet.synthesis import Synthetic, make, set_of_films


def train(unit: Unit[Config], prepared: Prepared) -> None:
    """Train one network of one seed to its end, or make one set of synthetic films; resumes.

    Writes checkpoints and `train.jsonl`, or a corpus, into the unit's folder. Raises `Diverged`
    where a loss stops being finite.
    """
    config, name = unit.config, unit.network
    for count in config.arms.rare:
        if name == synthesis(count):
            return make(unit, prepared, count)
        if name == adaptation(count):
            return _adapt(unit, load(prepared, "train"), count)
    if name == REVIEWER:
        return _train_reviewer(unit, load(prepared, "review"))
    if name in (AUTOENCODER, DENOISER, CONTROLNET):
        return _train_engine(unit, load(prepared, "train"))
    trial = next(one for one in trials(config.arms) if one.name == name)
    return _train_trial(unit, trial, load(prepared, "train"))


def _train_engine(unit: Unit[Config], train_part: Part) -> None:
    """Train a part of the small model on films without the rare finding."""
    config, options, findings = unit.config, unit.config.engine, train_part.findings
    rare = findings.index(config.data.rare)
    part = train_part.rows(np.flatnonzero(train_part.labels[:, rare] == 0))
    if unit.network == AUTOENCODER:
        source = ArraySource({"image": part.images})
        sizes = (options.autoencoder_steps, options.autoencoder_batch_size)
        return _fit(unit, autoencoder.learning(config, findings), source, *sizes, None)
    vae = trained_autoencoder(config, findings, _folder(unit))
    if unit.network == DENOISER:
        made = denoiser.learning(config, findings, options.learning_rate)
        sizes = (options.steps, options.batch_size)
        return _fit(unit, made, _prompted(config, part), *sizes, denoiser.Known(vae))
    params = trained_denoiser(config, findings, _folder(unit), None, vae).params
    networks = denoiser.networks_of(config, findings, params)
    source = _prompted(config, part, edges=edges_of(structures_of(part), config.synthesis))
    sizes = (options.control_steps, options.control_batch_size)
    known = controlnet.Known(vae, networks["unet"], networks["text"])
    return _fit(unit, controlnet.learning(config, findings), source, *sizes, known)


def _adapt(unit: Unit[Config], train_part: Part, count: int) -> None:
    """Adapt the engine to `count` films of the rare finding, among films of all other kinds."""
    config, options, findings = unit.config, unit.config.adapt, train_part.findings
    rare = findings.index(config.data.rare)
    part = train_part.rows(real_films(train_part.labels, rare, count, unit.seed))
    few = part.labels[:, rare] > 0
    random = np.random.default_rng([unit.seed, 4, count])
    rows = np.where(
        random.random(options.steps * options.batch_size) < options.rare_share,
        random.choice(np.flatnonzero(few), options.steps * options.batch_size),
        random.choice(np.flatnonzero(~few), options.steps * options.batch_size),
    )
    sizes = (options.steps, options.batch_size)
    if config.engine.weights:
        whole = lora.prepared(given(config, controlled=False), config, findings)
        made = lora.learning(config, findings, whole.config.schedule.prediction)
        source = Picked(_prompted(config, part, ids=whole.tokenizer), rows)
        return _fit(unit, made, source, *sizes, lora.known(whole))
    vae = trained_autoencoder(config, findings, _folder(unit))
    params = trained_denoiser(config, findings, _folder(unit), None, vae).params
    made = denoiser.learning(config, findings, options.learning_rate)
    source = Picked(_prompted(config, part), rows)
    return _fit(unit, made, source, *sizes, denoiser.Known(vae, params))


def _train_reviewer(unit: Unit[Config], part: Part) -> None:
    """Train the reviewer's classifier on its own films, every class as often."""
    trial = Trial("augmented", len(part))
    steps = unit.config.review.steps
    _fit_classifier(unit, trial, part.images, part.labels, np.zeros(len(part), bool), steps)


def _train_trial(unit: Unit[Config], trial: Trial, part: Part) -> None:
    """Train a classifier on the films of its arm."""
    config = unit.config
    rare = part.findings.index(config.data.rare)
    count = trial.rare * (config.arms.upper if trial.arm == "upper" else 1)
    films = part.rows(real_films(part.labels, rare, count, unit.seed))
    images, labels = films.images, films.labels
    made = np.zeros(len(films), bool)
    if trial.synthetic:
        folder = unit.of(synthesis(trial.rare)).folder
        whole = set_of_films(folder, part.findings, config, trial.rare)
        more = _chosen(trial, whole, rare, config)
        images = np.concatenate([images, more.images])
        labels = np.concatenate([labels, more.labels])
        made = np.concatenate([made, np.ones(len(more.labels), bool)])
    steps = config.classifier.steps
    if trial.arm == "pretrained":
        steps = steps // 2 if trial.half else steps - steps // 2
    _fit_classifier(unit, trial, images, labels, made, steps)


def _chosen(trial: Trial, made: Synthetic, rare: int, config: Config) -> Synthetic:
    """Return the synthetic films of an arm: so many of the rare finding, or all classes'."""
    having = made.labels[:, rare] > 0
    if trial.arm != "unselected":
        having &= made.accepted
    few = np.flatnonzero(having)[: trial.dose or config.synthesis.accepted]
    if trial.real:
        return made.rows(few)
    return made.rows(np.concatenate([few, np.flatnonzero(made.labels[:, rare] == 0)]))


def _fit_classifier(
    unit: Unit[Config],
    trial: Trial,
    images: np.ndarray,
    labels: Labels,
    made: np.ndarray,
    steps: int,
) -> None:
    config, half = unit.config, unit.config.classifier.batch_size // 2
    rows = batch_rows(trial, labels, made, steps * half, unit.seed)
    learning = classifier.learning(config.classifier, labels.shape[1], is_single(config))
    begin = None
    if trial.arm == "pretrained" and not trial.half:
        pretraining = unit.of(replace(trial, half=True).name).folder
        begin = classifier.trained_state_of(pretraining, learning)
    known = classifier.Known(np.float32(trial.augmented), np.float32(steps), begin)
    films = ArraySource({"images": images, "labels": labels})
    # an example is a row of the first half and one of the second
    source = Picked(films, np.stack(rows, 1))
    _fit(unit, learning, source, steps, half, known, "classifier")


def _fit(
    unit: Unit[Config],
    learning: Learning,
    source: Source,
    steps: int,
    batch_size: int,
    known: Any,
    stream: str = "",
) -> None:
    """Take `steps` steps; `stream` names the draws that several networks of a seed have alike."""
    options, streams = unit.config.train, Streams(unit.seed)
    log = (options.log_every, options.checkpoint_minutes)
    length = Length.of_steps(steps, batch_size, len(source), *log)
    name = stream or unit.network
    init, step = compiled(learning.init, learning.step)
    state = init(streams.key(f"parameters {name}"), known)
    with Training(unit.folder, state, source, length, seed=unit.seed, label=unit.label) as training:
        for report in training.reports(step, streams.key(name), known):
            training.record(report)


def _prompted(config: Config, part: Part, ids: Any = None, **fields: np.ndarray) -> ArraySource:
    """Return films with the ids of their prompts, and what else an example has."""
    encode = ids or tokenizer(part.findings, config.engine.label)
    named = [
        tuple(name for name, has in zip(part.findings, row, strict=True) if has)
        for row in part.labels
    ]
    prompts = [
        prompt_of(findings, side, float(extent), config.engine.label)  # type: ignore[arg-type]
        for findings, side, extent in zip(named, part.sides, part.extents, strict=True)
    ]
    return ArraySource({"image": part.images, "ids": encode(prompts), **fields})


def structures_of(part: Part) -> np.ndarray:
    """Return the films without their findings where that is known, else as they are."""
    return (part.images if part.structures is None else part.structures)[..., 0]


def _folder(unit: Unit[Config]) -> Callable[[str], Path]:
    return lambda name: unit.of(name).folder
