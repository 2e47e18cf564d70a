"""Evaluation of one trained seed: classifiers on films of other patients, and the engine itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from common.latent_diffusion.pipeline import Pipeline
from common.metrics.described import Inception
from common.study.protocol import Evaluation, Prepared, Run
from common.training.loop import LOG
from common.training.writer import read_curves
from papers.rare_disease_controlnet import audit, scores
from papers.rare_disease_controlnet.classifier.arms import Trial, real_films, trials
from papers.rare_disease_controlnet.classifier.trained import (
    Classify,
    is_single,
    trained_classifier,
)
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.data import Part, load
from papers.rare_disease_controlnet.engine.assembly import engine_of
from papers.rare_disease_controlnet.engine.drawing import Request, draw, edges_of
from papers.rare_disease_controlnet.networks import REVIEWER, synthesis
from papers.rare_disease_controlnet.synthesis import Synthetic, set_of_films

GUIDANCE, CONTROL = (1.0, 3.0, 7.5, 15.0), (0.0, 0.5, 1.0, 2.0)  # of the figure's grid
EXTENTS = (0.15, 0.5, 0.85)  # of the figure on severity


def evaluate(run: Run[Config], prepared: Prepared, seed: int) -> Evaluation:
    """Return metrics and images of one seed, measured on the test part."""
    config = run.config

    def folder(name: str) -> Path:
        return run.unit(prepared, seed, name).folder

    train, validation, test = (load(prepared, name) for name in ("train", "validation", "test"))
    findings, main = test.findings, config.arms.main
    rare = findings.index(config.data.rare)
    known = train.rows(real_films(train.labels, rare, main, seed))

    def classify(name: str) -> Classify:
        return Classify(config, trained_classifier(config, len(findings), folder(name)))

    metrics: dict[str, Any] = {
        "main": main,
        "classifiers": {
            trial.name.removeprefix("classifier_"): _scores(
                config, classify(trial.name), validation, test, rare
            )
            for trial in trials(config.arms)
        },
    }
    metrics["gains"] = scores.gains(metrics["classifiers"], main)
    engine = engine_of(config, findings, folder, main)
    sets = {n: set_of_films(folder(synthesis(n)), findings, config, n) for n in config.arms.rare}
    made = sets[main]
    unselected = made.rows(_first(made, rare, config))
    drawn = audit.draw_pairs(engine, config, test, known, seed)
    judge, reviewer = classify(Trial("upper", main).name), classify(REVIEWER)
    inception = Inception(config.evaluate.features)
    metrics["engine"] = {
        "edges": audit.anatomy(config, drawn),
        "change": audit.only_the_finding(drawn, known, rare),
        "as_asked": audit.as_asked(drawn, unselected, judge, findings, is_single(config)),
        "quality": audit.quality(unselected, test, inception, reviewer),
        "memorization": audit.memorization(made, known, test),
    }
    metrics["reviewer"] = {
        "acceptance": {str(n): audit.acceptance(one, rare) for n, one in sets.items()},
        "auroc": _scores(config, reviewer, validation, test, rare)["rare_auroc"],
    }
    metrics["training"] = {
        name: read_curves(folder(name) / LOG)
        for name in run.networks
        if (folder(name) / LOG).is_file()
    }
    shown = config.evaluate.keep_real_images or prepared.dataset == "films"
    arrays = {}
    if shown:
        arrays = _cases(config, engine, drawn, made, known, test, rare, seed)
    return Evaluation(metrics, arrays)


def _scores(
    config: Config, classify: Classify, validation: Part, test: Part, rare: int
) -> dict[str, Any]:
    """Return a classifier's scores on the test part; thresholds are chosen on validation's."""
    probability = classify(test.images)
    if is_single(config):
        return scores.single(probability, test.labels, test.findings, rare)
    thresholds = scores.best_thresholds(classify(validation.images), validation.labels)
    found = scores.several(probability, test.labels, test.findings, rare, thresholds)
    chosen = zip(test.findings, map(float, thresholds), strict=True)
    return found | {"thresholds": dict(chosen)}  # for prediction


def _first(made: Synthetic, rare: int, config: Config) -> np.ndarray:
    """Return the films that were drawn first, as many of the rare finding as are asked for."""
    having = np.flatnonzero(made.labels[:, rare])[: config.synthesis.accepted]
    return np.concatenate([having, np.flatnonzero(made.labels[:, rare] == 0)])


def _cases(
    config: Config,
    engine: Pipeline,
    drawn: audit.Drawn,
    made: Synthetic,
    known: Part,
    test: Part,
    rare: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """Return the films of the figures."""
    count = config.evaluate.cases
    requests = drawn.requests[:count]
    arrays = {
        "structures": drawn.structures[:count],
        "edges": edges_of(drawn.structures[:count], config.synthesis),
        **{f"drawn_{name}": films[:count] for name, films in drawn.films.items()},
        **audit.nearest_pairs(made, known, count),
        "denoising": _denoising(config, engine, requests[0]),
        "grid": _grid(config, engine, requests[0]),
        "grid_guidance": np.array(GUIDANCE),
        "grid_control": np.array(CONTROL),
        "drawn_sides": np.array([one.side for one in requests]),
    }
    if np.isfinite(known.extents[known.labels[:, rare] > 0]).all():
        arrays |= _severity(config, engine, requests[0], known, rare)
    for index, name in enumerate(("normal", *test.findings)):
        for what, labels, images in (
            ("real", test.labels, test.images),
            ("synthetic", made.labels, made.images),
        ):
            has = labels.max(1) == 0 if index == 0 else labels[:, index - 1] > 0
            arrays[f"{what}_{name}"] = images[np.flatnonzero(has)[:count], ..., 0]
    return arrays


def _severity(
    config: Config, engine: Pipeline, request: Request, known: Part, rare: int
) -> dict[str, np.ndarray]:
    """Return one structure and seed with the finding on each side, small to large."""
    sides = sorted({known.sides[i] for i in np.flatnonzero(known.labels[:, rare])})
    asked = [
        replace(request, side=side, extent=extent)  # type: ignore[arg-type]
        for side in sides
        for extent in EXTENTS
    ]
    films = draw(engine, config, asked)
    return {
        "severity": films.reshape(len(sides), len(EXTENTS), *films.shape[1:]),
        "severity_sides": np.array(sides),
        "severity_extents": np.array(EXTENTS),
    }


def _denoising(config: Config, engine: Pipeline, request: Request) -> np.ndarray:
    """Return what a film's noise stands for after every few steps, and the film."""
    seen: list[np.ndarray] = []

    def keep(before: int, step: int, images: np.ndarray) -> None:
        seen.append(np.rint(255 * images[0].mean(-1)).astype(np.uint8))

    chunk = max(1, config.synthesis.steps // 5)
    draw(engine, config, [request], on_preview=keep, chunk=chunk)
    return np.stack(seen)


def _grid(config: Config, engine: Pipeline, request: Request) -> np.ndarray:
    """Return one film by guidance (rows) and control strength (columns)."""
    rows = []
    for guidance in GUIDANCE:
        options = [
            replace(config.synthesis, guidance=guidance, control=control) for control in CONTROL
        ]
        rows.append([draw(engine, replace(config, synthesis=one), [request])[0] for one in options])
    return np.array(rows)
