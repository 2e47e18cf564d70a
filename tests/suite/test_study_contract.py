"""What all studies have in common: who knows one knows all."""

import ast
import dataclasses
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.pipeline.plan import resolved
from common.study import config as configs
from common.study import experiment as experiments
from common.study.protocol import Network, Study
from papers import studies

ROOT = Path(__file__).parents[2]
MODULES = {
    "claims",
    "config",
    "data",
    "datasets",
    "evaluate",
    "figures",
    "render",
    "study",
    "train",
}
FILES = {"README.md", "reported.toml", "__init__.py"}
EXPERIMENTS = {"smoke", "demo", "paper"}
UNTRAINED = {"evaluate"}  # the section that no training depends on


@pytest.fixture(params=studies.names())
def study(request: pytest.FixtureRequest) -> Study:
    return studies.load(request.param)


def every_config(study: Study) -> Iterator[Any]:
    """Yield the published config and that of every experiment."""
    yield study.published
    for name in experiments.names(study.experiments):
        yield resolved(study, experiments.load(study.experiments, name))


def test_every_folder_of_papers_is_a_study() -> None:
    folders = {file.parent.name for file in (ROOT / "papers").glob("*/__init__.py")}
    assert folders == set(studies.names())
    assert folders >= {"camcan_cfg", "lgg_attention_unet", "ultrasound_diconvae"}


def test_the_same_files_say_the_same_in_every_study(study: Study) -> None:
    assert study.folder == ROOT / "papers" / study.name
    assert {file.stem for file in study.folder.glob("*.py")} | {
        folder.name for folder in study.folder.iterdir() if (folder / "__init__.py").exists()
    } >= MODULES
    assert {file.name for file in study.folder.iterdir()} >= FILES
    assert set(experiments.names(study.experiments)) >= EXPERIMENTS
    (assigned,) = [
        node
        for node in ast.parse((study.folder / "study.py").read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "STUDY"
    ]
    assert ast.unparse(assigned.value).startswith("Study(")


def test_a_config_is_frozen_dataclasses_and_constants(study: Study) -> None:
    """And what checks them: functions without a public name."""
    module = importlib.import_module(f"papers.{study.name}.config")
    for node in ast.parse(Path(str(module.__file__)).read_text()).body[1:]:  # after its docstring
        if isinstance(node, ast.ClassDef):
            kind = getattr(module, node.name)
            assert dataclasses.is_dataclass(kind), node.name
            assert kind.__dataclass_params__.frozen, node.name
        elif isinstance(node, ast.FunctionDef):
            assert node.name.startswith("_"), node.name
        else:
            assert isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign)
    assert isinstance(study.published, module.Config)
    assert study.published == module.Config()  # its defaults are the published values


def test_networks_name_fields_and_other_networks_that_there_are(study: Study) -> None:
    for config in every_config(study):
        networks = study.networks(config)
        assert networks
        for index, (name, network) in enumerate(networks.items()):
            assert isinstance(network, Network)
            assert configs.part(config, network.depends_on, network.ignores)
            assert set(network.after) <= set(list(networks)[:index]), name
            sections = {field.partition(".")[0] for field in network.depends_on}
            assert not sections & UNTRAINED


def test_every_section_that_is_trained_with_is_one_that_a_network_depends_on(study: Study) -> None:
    """Else a change of it would be a variant that trains nothing anew."""
    used = {
        field.partition(".")[0]
        for network in study.networks(study.published).values()
        for field in network.depends_on
    }
    assert {field.name for field in dataclasses.fields(study.published)} == (
        used | UNTRAINED | {"data"}
    )


def test_data_sets_are_those_that_the_config_can_name(study: Study) -> None:
    kinds = configs.get_type_hints(type(study.published.data))
    assert set(study.datasets) == set(kinds["dataset"].__args__)
    assert not study.datasets[study.published.data.dataset].stand_in
    for name, dataset in study.datasets.items():
        assert dataset.title
        assert bool(dataset.raw) == bool(dataset.access) == bool(dataset.files), name
    assert (
        study.datasets[resolved(study, experiments.load(study.experiments)).data.dataset].raw
        is None
    )


def test_what_is_shipped_is_trained_and_says_its_license_and_use(study: Study) -> None:
    if study.shipped is None:
        pytest.skip(f"{study.name} ships no networks")
    config = resolved(study, experiments.load(study.experiments))
    shipped, trained = study.shipped(), study.networks(config)
    assert set(shipped.networks(config)) <= set(trained)
    assert all(shipped.networks(config).values())
    assert study.datasets[config.data.dataset].license
    assert "Not for" in shipped.use
    assert shipped.use.endswith(".")


def test_steps_import_what_they_need_when_they_are_called(study: Study) -> None:
    """Listing the studies stays quick: study.py itself imports no network and no figure."""
    tree = ast.parse((study.folder / "study.py").read_text())
    names = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == f"papers.{study.name}"
        for alias in node.names
    }
    assert names <= {"claims"}
