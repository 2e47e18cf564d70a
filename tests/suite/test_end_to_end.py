"""The real studies from the command line: whole, killed, alone, on other numbers of devices."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest

from common.pipeline.plan import plan
from papers import studies
from tests.suite.exporting import exported
from tests.suite.toy_project import run

ROOT = Path(__file__).parents[2]
STUDIES = {
    "camcan_cfg": {
        "sampling_process",
        "ages",
        "guidance_grid",
        "guidance_curves",
        "learning_curves",
        "nearest_neighbors",
    },
    "lgg_attention_unet": {"patients", "learning_curves", "typical_cases", "worst_cases"},
    "ultrasound_diconvae": {
        "cases",
        "causes",
        "segmentation",
        "simulated_speckle",
        "learning_curves",
        "off_palette_colors",
    },
}  # and the figures of each
OTHER_EVALUATIONS = {
    "camcan_cfg": "sample.guidance_scales=[1.0, 3.0]",
    "lgg_attention_unet": "evaluate.cases=1",
    "ultrasound_diconvae": "evaluate.cases=1",
}  # what the study cards advise to change after a training
OFTEN = ["--set", "train.checkpoint_minutes=0.0"]  # a checkpoint at every report


def environment(home: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "REPLICATIONS_HOME": str(home), "JAX_PLATFORMS": "cpu", **more}


def smoke(study: str) -> list[str]:
    return [sys.executable, "-m", "papers", "replicate", study, "smoke"]


def replicate(study: str, home: Path, *arguments: str, cwd: Path = ROOT, **more: str) -> str:
    done = subprocess.run(
        [*smoke(study), *arguments],
        cwd=cwd,
        env=environment(home, **more),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def resolved(study: str) -> Any:
    """Return the config of the smoke run."""
    return plan(studies.load(study), "smoke").config


def training(home: Path) -> list[dict]:
    logs = sorted((home / "runs").rglob("train.jsonl"))
    return [json.loads(line) for log in logs for line in log.read_text().splitlines()]


@pytest.fixture(scope="module", params=STUDIES)
def study(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def whole(study: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the home and the results of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    replicate(study, folder / "home", "--out", str(folder / "results"))
    return folder


def test_results_are_whole_and_get_no_verdict(study: str, whole: Path) -> None:
    results = whole / "results"
    manifest = json.loads((results / "manifest.json").read_text())
    assert manifest["dataset"]["stand_in"]
    deviations = {difference["field"] for difference in manifest["differences"]}
    assert {"data.dataset", "train.epochs"} <= deviations
    networks = set(studies.load(study).networks(resolved(study)))
    assert set(manifest["stages"]["seeds"]["0"]["train"]) == networks
    assert "0" in json.loads((results / "metrics.json").read_text())["seeds"]
    assert {figure.stem for figure in (results / "figures").glob("*.png")} == STUDIES[study]
    assert "no verdict" in (results / "tables" / "claims.md").read_text()


def test_what_was_trained_predicts(study: str, whole: Path, tmp_path: Path) -> None:
    if not studies.load(study).predict:
        pytest.skip(f"{study} offers no prediction")
    imageio.imwrite(tmp_path / "1.png", np.full((40, 50), 90, np.uint8))
    command = [sys.executable, "-m", "papers", "predict", study, "--json"]
    where = ["--checkpoint", whole / "home", "--input", tmp_path / "1.png", "--out", tmp_path / "o"]
    done = subprocess.run(
        [*command, *map(str, where)], cwd=ROOT, env=environment(tmp_path),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (row,) = json.loads(done.stdout)["files"]
    assert row["file"] == "1.png"
    for file in map(Path, row["written"]):
        assert imageio.imread(file).shape[:2] == (40, 50)


def test_what_is_exported_works_without_the_training(
    study: str, whole: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    home, networks = shutil.copytree(whole / "home", tmp_path / "home"), tmp_path / "networks"
    assert exported(study, home, networks, monkeypatch, capsys)["bytes"] < 1e6
    imageio.imwrite(tmp_path / "1.png", np.full((40, 50), 90, np.uint8))
    asked = ["predict", study, "--input", tmp_path / "1.png"]
    if not studies.load(study).predict:
        asked = ["sample", study, "--sex", "F", "--count", "2"]
    status, told, err = run(
        capsys, *asked, "--checkpoint", networks, "--out", tmp_path / "o", "--json"
    )
    assert status == 0, err
    assert "shipped networks: " in err
    for row in json.loads(told)["files"]:
        assert all(Path(file).is_file() for file in row["written"])


def test_another_evaluation_trains_nothing(study: str, whole: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(whole / "home", home)  # prediction wants one run in the other
    files = {file: file.stat().st_mtime_ns for file in home.rglob("networks/*/seed_0/*.json*")}
    told = replicate(study, home, "--set", OTHER_EVALUATIONS[study])
    assert "evaluate seed 0" in told
    assert "train " not in told
    found = {file: file.stat().st_mtime_ns for file in home.rglob("networks/*/seed_0/*.json*")}
    assert len(files) >= 3 * len(studies.load(study).networks(resolved(study)))
    assert found == files


def tree_of(study: str, tree: Path) -> Path:
    """Make a tree that holds this study alone: no other, no other experiments, no results."""
    for part in ("common", f"papers/{study}", f"experiments/{study}"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(tree / "papers" / study / "results")
    for file in (*ROOT.glob("papers/*.py"), ROOT / "pyproject.toml", ROOT / "uv.lock"):
        shutil.copy(file, tree / file.relative_to(ROOT))
    return tree


def kill(command: list[str], tree: Path, home: Path, reports: int, networks: str = "*") -> None:
    """Run a command in a tree and kill it once so many reports of these networks are logged."""
    process = subprocess.Popen(
        command,
        cwd=tree,
        env=environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        # not with **, which walks into checkpoints' folders, and those come and go
        logs = home.glob(f"runs/*/networks/{networks}/seed_*/train.jsonl")
        if sum(len(log.read_text().splitlines()) for log in logs) >= reports:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.01)
    assert process.returncode == -signal.SIGKILL


def test_killed_run_in_a_tree_of_its_own_ends_with_the_same_bits(
    study: str, whole: Path, tmp_path: Path
) -> None:
    tree, home, out = tree_of(study, tmp_path / "tree"), tmp_path / "home", tmp_path / "results"
    command = [*smoke(study), *OFTEN, "--out", str(out)]
    for reports in (1, 3):  # killed twice, the second time in what the first kill left
        kill(command, tree, home, reports)
    replicate(study, home, *OFTEN, "--out", str(out), cwd=tree)
    for name in ("metrics.json", "samples.npz"):
        assert (out / name).read_bytes() == (whole / "results" / name).read_bytes(), name


def test_eight_devices_train_as_one(study: str, whole: Path, tmp_path: Path) -> None:
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    replicate(study, tmp_path, "--stage", "train", XLA_FLAGS=flags)
    same_training(training(tmp_path), training(whole / "home"))


def test_two_processes_train_as_one(study: str, whole: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    shared = {
        "JAX_COORDINATOR_ADDRESS": address,
        "JAX_NUM_PROCESSES": "2",
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
    }
    both = [
        subprocess.Popen(
            [*smoke(study), "--stage", "train"],
            cwd=ROOT,
            env=environment(tmp_path, JAX_PROCESS_ID=str(index), **shared),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    for process in both:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors[-3000:]
    same_training(training(tmp_path), training(whole / "home"))


def same_training(ours: list[dict], theirs: list[dict]) -> None:
    """Losses agree to float32's rounding, which other orders of summation let grow slowly."""
    assert [line["step"] for line in ours] == [line["step"] for line in theirs]
    for name in ("loss", "validation_loss"):
        np.testing.assert_allclose(
            [line[name] for line in ours if name in line],
            [line[name] for line in theirs if name in line],
            rtol=2e-3,
        )
