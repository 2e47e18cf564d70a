"""The command line's export, and prediction by what it wrote."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from common.pipeline.shipped import seeds_to_use
from papers import studies
from tests.suite.toy_project import edit, run, work_folder

NETWORKS = """
import jax.numpy as jnp

from common.data.finder import Account
from common.data.user_files import Rows
from common.pipeline.trained import find
from common.study.protocol import Shipped
from common.training.loop import checkpoints_of, trained_state
from common.training.state import State


def save(unit):
    if unit.network != "decoder":
        return
    state = State({"w": jnp.float32([1 / 3, unit.seed, 2.0])}, {"m": jnp.ones(3)})
    checkpoints = checkpoints_of(unit.folder)
    checkpoints.save(1, state, {}, {})
    checkpoints.end()


def state(trained, network):
    return trained_state(trained.folder(network), State({"w": jnp.ones(3)}, {"m": jnp.ones(3)}))


def outputs(trained, prepared, seed):
    return {"weight": [state(trained, "decoder").params["w"]]}


def shipped():
    return Shipped(lambda config: {"decoder": ("params",)}, state, outputs, "For tests, not for X.")


def predict(checkpoint, source, out, skip_bad):
    trained = find(checkpoint, "apple_one", Config())
    weights = state(trained, "decoder").params["w"].tolist()
    row = {"file": source.name, "w": weights[0], "seed": weights[1], "written": [],
           "threshold": trained.config.evaluate.threshold, "training": trained.training("decoder"),
           "score": trained.metrics()["score"]["7.0"]}
    return Rows([row], Account(1, (), ()))


STUDY = Study(
    predict=predict,
    shipped=shipped,"""
PREDICT = ("predict", "apple", "--input", "scan.png", "--out", "o", "--json")


@pytest.fixture
def shipping(project: Path) -> Path:
    """Return the project, whose study apple_one has networks to ship."""
    study = project / "papers" / "apple_one" / "study.py"
    edit(study, "STUDY = Study(", NETWORKS)
    edit(study, '    note(unit.run, f"train {unit.network} {unit.seed}")', "    save(unit)")
    edit(study, "True, made_up)", 'True, made_up, license="CC0")')
    return project


def networks(project: Path, experiment: str = "demo") -> Path:
    return project / "papers" / "apple_one" / "networks" / experiment


def test_exported_networks_predict_without_the_training(shipping: Path, capsys) -> None:
    assert run(capsys, "replicate", "apple")[0] == 0
    where = ("--checkpoint", work_folder(shipping))
    before = json.loads(run(capsys, *PREDICT, *where)[1])["files"]
    status, out, err = run(capsys, "export", "apple", "--json")
    assert status == 0, err
    (exported,) = json.loads(out)
    file = networks(shipping) / "seed_0.safetensors"
    assert exported["file"] == str(file)
    assert exported["bytes"] == file.stat().st_size
    assert exported["networks"] == ["decoder"]
    assert exported["differences"]["weight"] == pytest.approx(8e-5, rel=0.1)  # of 1/3
    seeds = [work_folder(shipping) / f"seed_{seed}" for seed in range(3)]
    study = studies.load("apple")
    assert sorted(seeds_to_use(study)[:3]) == seeds
    (shipping / "home").rename(shipping / "elsewhere")
    assert seeds_to_use(study) == [file]
    status, out, err = run(capsys, *PREDICT)
    assert status == 0
    rounded = {"w": pytest.approx(1 / 3, 1e-3), "training": f"{before[0]['training']} in float16"}
    assert json.loads(out)["files"] == [before[0] | rounded]
    assert err.count("\n") == 1
    assert f"shipped networks: {file}, apple_one demo (demo), learned from made up" in err
    assert err.endswith("a stand-in; license of the data: CC0\n")
    for checkpoint in (file, networks(shipping), networks(shipping).parent):
        status, out, told = run(capsys, *PREDICT, "--checkpoint", checkpoint)
        assert (status, told) == (0, err)
    assert "networks: shipped, 0.0 MB" in run(capsys, "list")[1]


def test_the_card_says_what_they_are_worth_and_lies_in_the_file(shipping: Path, capsys) -> None:
    assert run(capsys, "replicate", "apple")[0] == 0
    assert run(capsys, "export", "apple", "--seeds", "3")[0] == 0
    names = {file.name for file in networks(shipping).iterdir()}
    assert names == {f"seed_{n}.{end}" for n in range(3) for end in ("md", "safetensors")}
    card = (networks(shipping) / "seed_1.md").read_text()
    for part in (
        "# apple_one, demo, seed 1", "a stand-in for the data of the source", "train: patients 3",
        "License of the data: CC0.", "For tests, not for X. Research code, no medical device",
        "| score.7.0 | 0.5010 ± 0.0010 |", "| weight | 0.0000813",
    ):  # fmt: skip
        assert part in card
    with safe_open(networks(shipping) / "seed_1.safetensors", "numpy") as file:
        assert json.loads(file.metadata()["card"]) == card
        assert json.loads(file.metadata()["metrics"])["score"]["7.0"] == 0.501
    first = (networks(shipping) / "seed_0.safetensors").read_bytes()
    assert run(capsys, "export", "apple")[0] == 0
    assert {file.stem for file in networks(shipping).iterdir()} == {"seed_0"}
    assert (networks(shipping) / "seed_0.safetensors").read_bytes() == first


def test_what_cannot_be_shipped_is_one_line_and_nothing_is_written(shipping: Path, capsys) -> None:
    def refused(*words: str | Path) -> str:
        status, out, err = run(capsys, "export", *words)
        assert (status, out) == (2, "")
        assert not networks(shipping).exists()
        return err.splitlines()[-1]

    assert "export apricot: this study ships no networks" in refused("apricot")
    assert "demo: seed 0 is not trained; run `just replicate apple_one demo`" in refused("apple")
    assert run(capsys, "replicate", "apple")[0] == 0
    assert "--seeds 5: demo has the seeds 0, 1, 2" in refused("apple", "--seeds", "[5]")
    assert "would take 0.0 MB, 0.001 are allowed" in refused("apple", "--most", "0.001")
    assert "networks of a smoke run are of no use" in refused("apple", "smoke")
    metrics = shipping / "papers" / "apple_one" / "results" / "demo" / "metrics.json"
    edit(metrics, '"7.0": 0.5\n', '"7.0": 0.6\n')
    assert "metrics.json is of other networks of seed 0 than those trained" in refused("apple")
    study = shipping / "papers" / "apple_one" / "study.py"
    edit(study, ', license="CC0"', "")
    assert "say in datasets.py under which license 'made_up' is" in refused("apple")


def test_networks_go_elsewhere_where_asked_and_overwrite_nothing(
    shipping: Path, tmp_path, capsys
) -> None:
    assert run(capsys, "replicate", "apple", "smoke")[0] == 0
    out = tmp_path / "given"
    assert run(capsys, "export", "apple", "smoke", "--out", out)[0] == 0
    assert {file.name for file in out.iterdir()} == {"seed_0.md", "seed_0.safetensors"}
    status, _, err = run(capsys, "export", "apple", "smoke", "--out", out)
    assert (status, err.count("\n")) == (2, 1)
    assert "seed_0.safetensors is there already; give another folder" in err
    status, _, err = run(capsys, *PREDICT, "--checkpoint", out / "seed_0.safetensors")
    assert status == 0
    assert "comes of a smoke run" in err


def test_the_networks_nearest_to_the_published_scale_count(shipping: Path, capsys) -> None:
    real = shipping / "experiments" / "apple_one" / "a_real_one.toml"
    real.write_text((real.parent / "demo.toml").read_text().replace('"demo"', '"real"'))
    for name in ("demo", "a_real_one"):
        assert run(capsys, "replicate", "apple", name)[0] == 0
        assert run(capsys, "export", "apple", name)[0] == 0
    assert "apple_one a_real_one (real)" in run(capsys, *PREDICT)[2]


def test_without_shipped_networks_the_run_trained_last_counts(shipping: Path, capsys) -> None:
    status, _, err = run(capsys, *PREDICT)
    assert (status, err.count("\n")) == (2, 1)
    assert "--checkpoint: no networks are shipped with apple_one, and none is trained here" in err
    assert run(capsys, "replicate", "apple")[0] == 0
    assert json.loads(run(capsys, *PREDICT)[1])["files"][0]["seed"] == 0
