"""The committed tables and figures are what the committed metrics give."""

import pytest

from common.pipeline.verify import verify
from common.results import folder as results
from papers import studies

COMMITTED = [(study, folder.name) for study in studies.names() for folder in results.found(study)]


@pytest.mark.parametrize(("study", "experiment"), COMMITTED)
def test_data_is_called_a_stand_in_where_the_study_says_so(study: str, experiment: str) -> None:
    dataset = results.manifest(results.folder(study, experiment))["dataset"]
    assert dataset["stand_in"] == studies.load(study).datasets[dataset["name"]].stand_in


@pytest.mark.parametrize(("study", "experiment"), COMMITTED)
def test_tables_and_figures_are_drawn_again_alike(study: str, experiment: str) -> None:
    assert verify(study, experiment, "render").differences == ()
