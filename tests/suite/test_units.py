"""The unit of training: what its key depends on, and which units a command trains."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.suite.toy_project import done, edit, run


def again(project: Path, capsys, *arguments: str | Path) -> list[str]:
    """Run a command and return what was done that had not been done before."""
    before = done(project)
    status, _, err = run(capsys, *arguments)
    assert status == 0, err
    assert done(project)[: len(before)] == before
    return done(project)[len(before) :]


EVALUATIONS = [f"evaluate {seed}" for seed in range(3)]


@pytest.mark.parametrize(
    "setting", ["evaluate.threshold=0.25", "train.log_every=3", "critic.label=b"]
)
def test_what_no_training_depends_on_trains_nothing(setting: str, project: Path, capsys) -> None:
    run(capsys, "replicate", "apple")
    assert again(project, capsys, "replicate", "apple", "--set", setting) == EVALUATIONS
    assert again(project, capsys, "replicate", "apple", "--set", setting) == []
    assert again(project, capsys, "replicate", "apple") == []


def test_another_drawing_trains_and_evaluates_nothing(project: Path, capsys) -> None:
    run(capsys, "replicate", "apple")
    edit(project / "papers" / "apple_one" / "study.py", "str(sorted(seeds))", "str(len(seeds))")
    assert again(project, capsys, "replicate", "apple") == []
    table = project / "papers" / "apple_one" / "results" / "demo" / "tables" / "scores.md"
    assert table.read_text() == "3"


@pytest.mark.parametrize(
    ("setting", "trained"),
    [
        ("train.widths=[4]", ["decoder"]),
        ("train.rate=0.25", ["encoder", "decoder"]),  # the decoder learns from the encoder
        ("critic.depth=3", ["critic"]),
        ("data.size=9", ["encoder", "decoder", "critic"]),
    ],
)
def test_a_change_trains_the_networks_that_depend_on_it_and_no_other(
    setting: str, trained: list[str], project: Path, capsys
) -> None:
    run(capsys, "replicate", "apple", "--seeds", "1")
    did = again(project, capsys, "replicate", "apple", "--seeds", "1", "--set", setting)
    assert did == [f"train {name} 0" for name in trained] + ["evaluate 0"]


def test_a_network_may_be_trained_once_for_all_seeds(project: Path, capsys) -> None:
    study = project / "papers" / "apple_one" / "study.py"
    edit(study, '"train.log_every")),', '"train.log_every"), once=True),')
    assert again(project, capsys, "replicate", "apple", "--seeds", "1,2", "--stage", "train") == [
        *("train encoder 0", "train decoder 1", "train critic 1"),
        *("train decoder 2", "train critic 2"),
    ]
    assert again(project, capsys, "replicate", "apple", "--only", "encoder") == []


def test_experiments_with_the_same_training_share_networks(project: Path, capsys) -> None:
    run(capsys, "replicate", "apple")  # of 5 steps
    alike = again(project, capsys, "replicate", "apple", "smoke")  # of 100: but for the critic
    assert alike == ["train encoder 0", "train decoder 0", "evaluate 0"]
    same = again(project, capsys, "replicate", "apple", "smoke", "--set", "train.steps=5")
    assert same == ["evaluate 0"]


def test_what_is_trained_anew_is_evaluated_anew(project: Path, capsys) -> None:
    run(capsys, "replicate", "apple", "--seeds", "2")
    edit(project / "papers" / "apple_one" / "study.py", "a library speaks", "a library sings")
    folder = project / "home" / "runs" / "apple_one" / "networks"
    (decoder,) = folder.glob("decoder-*/seed_1")
    shutil.rmtree(decoder)  # as the warning of other code advises
    did = again(project, capsys, "replicate", "apple", "--seeds", "2")
    assert did == ["train decoder 1", "evaluate 1"]
    shutil.rmtree(decoder)
    for stage, needed in (("evaluate", "train"), ("render", "evaluate")):
        status, _, err = run(capsys, "replicate", "apple", "--seeds", "2", "--stage", stage)
        assert status == 2
        assert f"has not been through --stage {needed}" in err


def test_networks_that_are_measured_one_by_one(project: Path, capsys) -> None:
    study = project / "papers" / "apple_one" / "study.py"
    edit(study, '"train.log_every")),', '"train.log_every"), measured=True),')
    edit(study, 'ignores=("critic.label",)),', 'ignores=("critic.label",), measured=True),')
    edit(study, "    evaluate=evaluate,\n", "    evaluate=evaluate,\n    measure=measure,\n")
    results = project / "out"
    command = ("replicate", "apple", "--seeds", "2", "--out", results)

    def measured() -> list[str]:
        return done(project, "measure")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOY_CRASH", "0")
        with pytest.raises(RuntimeError, match="crash"):
            run(capsys, *command)
    first = [f"measure {name} {seed}" for seed in (0, 1) for name in ("encoder", "critic")]
    assert sorted(measured()) == sorted(first) or measured() == first[:2]
    assert run(capsys, *command)[0] == 0
    assert sorted(measured()) == sorted(first)  # none twice
    metrics = json.loads((results / "metrics.json").read_text())["seeds"]["1"]
    assert (metrics["encoder"], metrics["critic"]) == ({"length": 7}, {"length": 6})
    assert "decoder" not in metrics
    with np.load(results / "samples.npz") as samples:
        assert set(samples) == {"images", "encoder", "critic"}
    records = json.loads((results / "manifest.json").read_text())["stages"]["seeds"]["1"]
    assert set(records["measure"]) == {"encoder", "critic"}
    assert records["measure"]["critic"]["seconds"] >= 0

    edit(study, "a library speaks", "a library sings")
    (critic,) = (project / "home" / "runs" / "apple_one" / "networks").glob("critic-*/seed_1")
    shutil.rmtree(critic)
    did = again(project, capsys, *command)
    assert did == ["train critic 1", "evaluate 1"]
    assert measured()[4:] == ["measure critic 1"]

    edit(study, "len(unit.network)", "2 * len(unit.network)")
    _, _, err = run(capsys, *command)
    assert "measure encoder, seed 0: done by other code" in err
    (folder,) = (project / "home" / "runs" / "apple_one").glob("demo-*/seed_0/networks/encoder")
    assert f"delete {folder} to redo it" in err
    shutil.rmtree(folder)  # as it says
    assert again(project, capsys, *command) == ["evaluate 0"]
    metrics = json.loads((results / "metrics.json").read_text())["seeds"]["0"]
    assert metrics["encoder"] == {"length": 14}


def test_other_data_is_another_unit_and_the_same_data_elsewhere_is_not(
    project: Path, capsys
) -> None:
    first, second = project / "raw", project / "copy"
    for raw in (first, second):
        raw.mkdir()
        (raw / "a.txt").write_text("good")
    command = ["replicate", "apple", "paper", "--seeds", "1", "--raw"]
    run(capsys, *command, first)
    (second / "notes").touch()  # which nothing reads, but another folder all the same
    assert again(project, capsys, *command, second) == ["evaluate 0"]
    (second / "a.txt").write_text("better")
    assert len(again(project, capsys, *command, second)) == 3 + 1


def test_data_that_changed_under_a_run_is_refused_and_then_trained_on(
    project: Path, capsys
) -> None:
    assert run(capsys, "replicate", "apple", "--stage", "train")[0] == 0
    edit(project / "papers" / "apple_one" / "study.py", "made up {i} of", "made up {i} from")
    status, _, err = run(capsys, "replicate", "apple", "--stage", "evaluate")
    assert status == 2
    assert "encoder of seed 0" in err.splitlines()[-1]
    assert "not on this data" in err.splitlines()[-1]
    assert len(again(project, capsys, "replicate", "apple")) == 9 + 3
    edit(project / "papers" / "apple_one" / "study.py", "made up {i} from", "made up {i} for")
    assert run(capsys, "replicate", "apple", "--stage", "render")[0] == 2


def test_only_one_network_is_trained_with_what_it_learns_from(project: Path, capsys) -> None:
    def both(seed: int) -> list[str]:
        return [f"train encoder {seed}", f"train decoder {seed}"]

    status, out, _ = run(capsys, "replicate", "apple", "--only", "decoder")
    assert (status, out) == (0, "decoder is done\n")
    assert done(project) == [*both(0), *both(1), *both(2)]
    assert not (project / "papers" / "apple_one" / "results").exists()
    critics = [f"train critic {seed}" for seed in range(3)]
    command = ("replicate", "apple", "--only", "critic", "--stage", "train")
    assert again(project, capsys, *command) == critics
    assert again(project, capsys, "replicate", "apple") == EVALUATIONS


@pytest.mark.parametrize("more", [["decodr"], ["critic", "--stage", "evaluate"]])
def test_a_network_that_cannot_be_trained_is_refused_before_data_is_prepared(
    more: list[str], project: Path, capsys
) -> None:
    assert run(capsys, "replicate", "apple", "--only", *more)[0] == 2
    assert not (project / "home" / "data").exists()
