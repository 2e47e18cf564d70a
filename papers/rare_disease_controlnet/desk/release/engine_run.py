"""The run of the study that an engine came of, planned again with what people accepted."""

from __future__ import annotations

from common.errors import InputError
from common.pipeline.plan import plan, resolved
from common.pipeline.trained import INDEX, Trained
from common.study import config as configs
from common.study import experiment as experiments
from common.study.protocol import Run, Unit
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.networks import adaptation
from papers.rare_disease_controlnet.study import STUDY

_SEED = "seed_"  # how the folders of a run's seeds begin


def run_of(trained: Trained, content: str) -> Run[Config]:
    """Return the run that learns from a snapshot, by its content, in place of the reviewer's films.

    Its seeds, its data and all that does not depend on the snapshot are those of the engine's run:
    what that has trained is not trained again.

    Raises:
        InputError: the engine's run is not one of this machine, or of another version.
    """
    whole = trained.source.parent
    name = whole.name.rpartition("-")[0]
    if name not in experiments.names(STUDY.experiments):
        raise InputError(f"engine {trained.source}: no run of an experiment, so nothing to repeat")
    base = resolved(STUDY, experiments.load(STUDY.experiments, name))
    changes = [
        f"{one.field}={configs.toml(one.ours)}"
        for one in configs.differences(trained.config, base)
        if one.field != "synthesis.corpora"
    ]
    seeds = sorted(
        int(folder.name.removeprefix(_SEED))
        for folder in whole.glob(f"{_SEED}*")
        if (folder / INDEX).is_file()
    )
    settings = [*changes, f'synthesis.corpora=["{content}"]']
    run = plan(STUDY, name, settings=settings, seeds=tuple(seeds), processes=1)
    _check_same(run, trained)
    return run


def seed_of(trained: Trained) -> int:
    """Return the seed whose engine it is."""
    return int(trained.source.name.removeprefix(_SEED))


def _check_same(run: Run[Config], trained: Trained) -> None:
    """Raise `InputError` where the engine itself would have to be trained again: for hours."""
    name = adaptation(run.config.arms.main)
    unit = Unit(run, seed_of(trained), name, trained.content_hash)
    if not unit.folder.is_dir() or not unit.folder.samefile(trained.folder(name)):
        raise InputError(
            f"engine {trained.source}: was trained elsewhere, or by another version; train "
            f"`just replicate {STUDY.name} {run.experiment.name}` here, then try again"
        )
