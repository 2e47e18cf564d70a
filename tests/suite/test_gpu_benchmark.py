"""The benchmark of one GPU, tried on a CPU with tiny networks and without PyTorch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from flax import nnx

from experiments.benchmarks import gpu_rows
from experiments.benchmarks.gpu import NETWORKS
from experiments.benchmarks.gpu_checks import CHECKS
from experiments.benchmarks.gpu_sides import FailedError, Side
from experiments.benchmarks.gpu_steps import training_of
from experiments.benchmarks.gpu_table import table

ROOT = Path(__file__).parents[2]
BENCHMARK = (sys.executable, "-m", "experiments.benchmarks.gpu")


def started(*arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    command = [*BENCHMARK, "--torch-python", "false", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_tiny_networks_are_checked_and_trained_without_pytorch(tmp_path):
    parts = ("checks", "denoiser", "long")
    done = started("--tiny", "--out", str(tmp_path), "--rounds", "1", "--only", *parts)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert not found["failed"]
    assert not found["left_out"]
    assert "missing" in found["torch"]
    for check in found["checks"].values():
        assert check["float32"] < 1e-5
        assert check["same_bits"]
        assert 1e-4 < check["bfloat16"] < 0.2
    rows = found["rows"]
    assert list(rows) == ["denoiser bfloat16", "denoiser float32"]
    for row in rows.values():
        assert row["same_bits"]
        assert row["compiled_between_steps"] == 0
        assert row["operations"] > 1e5
        assert row["last_loss"] < row["first_loss"]
    assert found["long"]["camcan"]["compiled"] == 0
    assert (tmp_path / "gpu.md").read_text() == table(found)


def test_figures_of_a_cpu_are_refused(tmp_path):
    done = started("--out", str(tmp_path), "--only", "unet")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("JAX has only a CPU here: install its CUDA")
    assert not list(tmp_path.iterdir())


ANSWERS = """
import sys, time
from experiments.benchmarks.gpu_answering import serve
def wait(): time.sleep(60)
def fail(): raise MemoryError("no room\\nfor this")
def work(): print("a library's words"); return {"value": 1}
serve({action.__name__: action for action in (wait, fail, work)} | {"end": sys.exit})
"""


def test_a_fault_of_a_side_is_a_reason_and_it_answers_again():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    side = Side("a side", [sys.executable, "-c", ANSWERS], environment)
    with pytest.raises(FailedError, match=r"^MemoryError: no room for this$"):
        side.ask(60, "fail")
    assert side.ask(60, "work")["value"] == 1
    with pytest.raises(FailedError, match=r"^a side: no answer within 0 s$"):
        side.ask(0.2, "wait")
    assert side.ask(60, "work")["value"] == 1
    with pytest.raises(FailedError, match=r"^a side ended"):
        side.ask(60, "end")
    assert side.ask(60, "work")["seconds"] >= 0
    side.close()


@pytest.mark.parametrize("name", CHECKS)
def test_networks_in_bfloat16_have_the_weights_of_those_in_float32(name):
    check = CHECKS[name]()
    halves, wholes = (
        {path: variable.shape for path, variable in nnx.to_flat_state(nnx.state(network))}
        for network in (nnx.eval_shape(check.half), check.network)
    )
    assert halves == wholes


@pytest.mark.parametrize("network", NETWORKS)
def test_a_step_gives_a_state_as_it_was_given(network, tmp_path):
    assert gpu_rows.write_inputs(network, True, tmp_path) >= 2
    training = training_of(network, tmp_path, "bfloat16")
    state = jax.eval_shape(training.begin)
    after, _ = jax.eval_shape(training.step, state, *training.given)
    described = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), s) for s in (state, after)]
    assert described[0] == described[1]
