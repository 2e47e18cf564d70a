"""Where prediction finds trained networks, and with which config."""

import json
import os
import shutil
from pathlib import Path

import pytest

from common.errors import InputError
from common.pipeline.trained import Trained, find, seeds_of
from papers import studies
from tests.suite.toy_project import NETWORKS, run, work_folder


@pytest.fixture
def trained(project: Path, capsys) -> Path:
    """Return the folder of apple_one's runs, with a demo of seeds 2 and 10."""
    assert run(capsys, "replicate", "apple", "--seeds", "2,10", "--set", "train.rate=0.25")[0] == 0
    return project / "home" / "runs" / "apple_one"


def found(checkpoint: Path, study: str = "apple_one") -> Trained:
    return find(checkpoint, study, studies.load(study).published)


def seeds(networks: Trained) -> set[str]:
    return {folder.resolve().name for folder in networks.folders.values()}


def test_a_seed_a_run_and_all_runs_lead_to_the_networks_of_a_seed(
    trained: Path, project: Path
) -> None:
    work = work_folder(project)
    for checkpoint in (work / "seed_2", work, trained, project / "home"):
        networks = found(checkpoint)
        assert tuple(networks.folders) == NETWORKS
        assert seeds(networks) == {"seed_2"}  # the lowest, as a number
        assert (networks.folder("decoder") / "weights.json").exists()
    assert seeds(found(work / "seed_10")) == {"seed_10"}


def test_the_config_is_that_of_the_run_with_what_the_evaluation_tuned(
    trained: Path, project: Path
) -> None:
    config = found(work_folder(project)).config
    assert config.train.rate == 0.25
    assert config.train.steps == 5
    assert config.evaluate.threshold == 0.25  # of 0.5, halved by the evaluation
    (folder,) = trained.glob("networks/decoder-*")
    assert found(folder).config.evaluate.threshold == 0.5


def test_a_networks_own_folder_leads_to_that_network_alone(trained: Path) -> None:
    (folder,) = trained.glob("networks/decoder-*")
    for checkpoint in (folder, folder / "seed_2"):
        networks = found(checkpoint)
        assert dict(networks.folders) == {"decoder": folder / "seed_2"}
    with pytest.raises(InputError, match=r"no network 'critic' there, only decoder; give the"):
        networks.folder("critic")


def test_it_is_known_what_they_learned_from_and_which_trainings_they_are(
    trained: Path, project: Path
) -> None:
    work = work_folder(project)
    networks = found(work / "seed_10")
    data = json.loads((work / "data.json").read_text())["data"]
    assert networks.content_hash == data["content_hash"]
    assert networks.parts == {"train": {"patients": 3}}
    for name, folder in networks.folders.items():
        assert trained / "networks" / networks.training(name) == folder
    (alone,) = trained.glob("networks/critic-*/seed_10")
    assert found(alone).parts == networks.parts
    assert found(alone).training("critic") == networks.training("critic")


def test_all_trained_seeds_are_known_the_newest_first(
    trained: Path, project: Path, monkeypatch, capsys
) -> None:
    work = work_folder(project)
    (trained / "demo-0").mkdir()
    assert set(seeds_of("apple_one")) == {work / "seed_2", work / "seed_10"}
    for age, name in enumerate(("seed_10", "seed_2")):
        os.utime(work / name / "networks.json", (1000 - age, 1000 - age))
    assert seeds_of("apple_one") == [work / "seed_10", work / "seed_2"]
    with pytest.raises(InputError, match=r"nothing of apricot is trained in .*just replicate ap"):
        seeds_of("apricot")


def test_networks_may_be_moved_together(trained: Path, project: Path, tmp_path: Path) -> None:
    shutil.move(trained, tmp_path / "elsewhere")
    networks = found(tmp_path / "elsewhere")
    assert (networks.folder("critic") / "weights.json").exists()


def test_what_leads_to_no_or_to_several_networks_is_one_line(
    trained: Path, project: Path, tmp_path: Path, capsys
) -> None:
    def refused(checkpoint: Path, study: str = "apple_one") -> str:
        with pytest.raises(InputError) as error:
            found(checkpoint, study)
        assert "\n" not in str(error.value)
        assert f"--checkpoint {checkpoint}" in str(error.value)
        return str(error.value)

    networks = sorted(folder.name for folder in (trained / "networks").iterdir())
    assert refused(trained / "networks").endswith(f"choose one of {', '.join(networks)}")
    first = work_folder(project)
    assert run(capsys, "replicate", "apple", "--seeds", "2")[0] == 0
    (second,) = set(trained.glob("demo-*")) - {first}
    runs = ", ".join(sorted([first.name, second.name]))
    assert refused(trained).endswith(f"holds several, choose one of {runs}")
    assert "holds networks of apple_one, not of apricot" in refused(first, "apricot")
    assert "holds networks of apple_one" in refused(next(trained.glob("networks/*")), "apricot")
    assert "no such folder" in refused(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "networks.json" in refused(tmp_path / "empty")


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_index_is_named(content: str, trained: Path, project: Path) -> None:
    index = work_folder(project) / "seed_2" / "networks.json"
    index.write_text(content)
    with pytest.raises(InputError, match=r"seed_2/networks\.json: "):
        found(index.parent)
