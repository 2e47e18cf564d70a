"""From a command's words to a :class:`~common.study.protocol.Run`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from common.errors import InputError, nearest
from common.results import folder as results
from common.study import config as configs
from common.study import experiment as experiments
from common.study import raw as raw_data
from common.study.experiment import Experiment
from common.study.protocol import Run, Study

C = TypeVar("C")


class RawNeededError(InputError):
    """An experiment on data that the user must give."""


def plan(
    study: Study[C],
    experiment: str = experiments.DEFAULT,
    *,
    settings: Sequence[str] = (),
    seeds: tuple[int, ...] | None = None,
    raw: Path | None = None,
    out: Path | None = None,
    skip_bad: bool = False,
    home: Path | None = None,
    processes: int | None = None,
) -> Run[C]:
    """Return the run that is meant.

    Args:
        study: the study.
        experiment: name of one of its experiments.
        settings: ``section.field=value`` each, over the experiment's config.
        seeds: instead of the experiment's.
        raw: the user's data folder; by default the one given last time for this data set.
        out: the results folder; by default the study's own for the experiment as it stands, and
            one in the work folder for a variant, a smoke run, or one on private data.
        skip_bad: skip bad raw files.
        home: instead of the folder for data and runs.
        processes: that share the work, instead of the experiment's.

    Raises:
        InputError: something named does not exist, is needed, or does not fit.
    """
    chosen = experiments.load(study.experiments, experiment)
    base = resolved(study, chosen)
    config = configs.override(base, dict(map(configs.assignment, settings)))
    folder, key = _raw(study, chosen, config.data.dataset, raw)  # type: ignore[attr-defined]
    committed = study.results(experiment)
    run = Run(
        study=study,
        experiment=chosen,
        config=config,
        seeds=seeds or chosen.seeds,
        out=out.absolute() if out else committed,
        raw=folder,
        skip_bad=skip_bad,
        raw_key=key,
        home=home,
        processes=processes,
    )
    variant = config != base or run.seeds != chosen.seeds or skip_bad
    if out is None and (variant or chosen.scale == "smoke" or run.dataset.private):
        return dataclasses.replace(run, out=run.work / "results")
    if variant and run.out.resolve() == committed.resolve():
        raise InputError(
            f"--out {out}: holds the results of {experiment} itself, this is a variant"
        )
    results.check_out(run.out, study.name, experiment)
    return run


def resolved(study: Study[C], experiment: Experiment) -> C:
    """Return the config of an experiment: the published one, changed by its base and by itself."""
    folder, config = f"experiments/{study.name}", study.published
    if experiment.base:
        config = configs.override(config, experiment.inherited, f"{folder}/{experiment.base}.toml")
    return configs.override(config, experiment.config, f"{folder}/{experiment.name}.toml")


def for_data(study: Study[C], name: str | None) -> list[str]:
    """Return the experiments meant by the name of an experiment, of a data set, or by None.

    Without a name these are the experiments on the data of the source.

    Raises:
        InputError: the study has no experiment or data set of that name.
    """
    known = experiments.names(study.experiments)
    if name in known:
        return [str(name)]
    wanted = name or study.published.data.dataset  # type: ignore[attr-defined]
    if wanted not in study.datasets:
        options = nearest(wanted, [*known, *study.datasets])
        raise InputError(f"unknown experiment or data set '{wanted}' of {study.name}, {options}")
    using = [other for other in known if _dataset(study, other) == wanted]
    if not using:
        raise InputError(f"no experiment of {study.name} uses the data set '{wanted}'")
    return using


def _dataset(study: Study[C], experiment: str) -> str:
    """Return the name of the data set that an experiment uses."""
    config = resolved(study, experiments.load(study.experiments, experiment))
    return config.data.dataset  # type: ignore[attr-defined]


def _raw(
    study: Study[C], experiment: Experiment, name: str, raw: Path | None
) -> tuple[Path | None, str]:
    """Return the raw folder and its key: given, remembered, or none because none is needed."""
    needed = study.datasets[name].raw
    if needed is None:
        if raw:
            others = sorted(other for other in study.datasets if study.datasets[other].raw)
            raise InputError(
                f"--raw {raw}: {experiment.name} uses '{name}', which comes with the project; "
                f"--raw is for experiments on {', '.join(others)}"
            )
        return None, ""
    if raw:
        return raw.absolute(), raw_data.key(raw.absolute())
    if remembered := raw_data.recall(study.name, name):
        return remembered
    raise RawNeededError(f"{experiment.name} needs --raw DIR: {experiment.raw or needed}")
