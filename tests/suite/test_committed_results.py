"""The committed tables and figures are what the committed metrics give."""

from pathlib import Path

import pytest

import papers
from common.pipeline.verify import verify
from common.results import folder as results
from papers import studies

COMMITTED = [
    (study, folder.name)
    for study in studies.names()
    for folder in results.committed(Path(papers.__path__[0]) / study)
]


@pytest.mark.parametrize(("name", "experiment"), COMMITTED)
def test_data_is_called_a_stand_in_where_the_study_says_so(name: str, experiment: str) -> None:
    study = studies.load(name)
    dataset = results.manifest(study.results(experiment))["dataset"]
    assert dataset["stand_in"] == study.datasets[dataset["name"]].stand_in


@pytest.mark.parametrize(("name", "experiment"), COMMITTED)
def test_tables_and_figures_are_drawn_again_alike(name: str, experiment: str) -> None:
    assert verify(studies.load(name), experiment, "render").differences == ()
