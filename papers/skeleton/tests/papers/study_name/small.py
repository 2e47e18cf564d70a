"""What the tests of the study share: its smoke run, and prepared data of it."""

from dataclasses import replace
from pathlib import Path

from common.data.prepare import prepare
from common.pipeline.plan import resolved
from common.study import experiment as experiments
from common.study.protocol import Prepared, Run
from papers.study_name.study import STUDY

SMOKE = experiments.load(STUDY.experiments, "smoke")
CONFIG = resolved(STUDY, SMOKE)


def prepared_in(folder: Path) -> Prepared:
    """Return the simulated images of the smoke run."""
    dataset = STUDY.datasets[CONFIG.data.dataset]
    return prepare(dataset, CONFIG.data, STUDY.examples, folder / "data", None)


def run_in(folder: Path, epochs: int = CONFIG.train.epochs) -> Run:
    """Return the smoke run, or a longer one."""
    config = replace(CONFIG, train=replace(CONFIG.train, epochs=epochs))
    return Run(STUDY, SMOKE, config, (0,), folder / "out", home=folder)
