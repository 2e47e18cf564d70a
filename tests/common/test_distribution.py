"""Many devices and many processes against one device: the same training."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from common.training.mesh import initialize_distributed

ROOT = Path(__file__).parents[2]
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def start(folder: Path, *arguments: str, devices: int = 1, **environment: str) -> subprocess.Popen:
    """Start the training program on so many virtual CPU devices."""
    folder.mkdir(exist_ok=True)
    flags = f"--xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [sys.executable, Path(__file__).with_name("training_program.py"), folder, *arguments],
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": flags,
            "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(*runs: subprocess.Popen) -> None:
    """Wait for all, end what hangs, fail with the output of what failed."""
    try:
        outputs = [run.communicate(timeout=120)[0] for run in runs]
    finally:
        for run in runs:
            run.kill()
    for run, output in zip(runs, outputs, strict=True):
        assert run.returncode == 0, output


def free_port() -> int:
    """Return a port of the loopback that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Train on one device throughout, and with 8, 1 and 2 x 4 devices taking turns."""
    whole, turns = (tmp_path_factory.mktemp("runs") / name for name in ("whole", "turns"))
    finish(start(whole), start(turns, "--stop", "10", "--pmap", devices=8))
    finish(start(turns, "--stop", "20"))
    coordinator = {
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}",
        "JAX_NUM_PROCESSES": "2",
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
    }
    finish(*(start(turns, devices=4, JAX_PROCESS_ID=str(i), **coordinator) for i in range(2)))
    return whole, turns


def test_devices_and_processes_that_take_turns_train_as_one_device_does(runs):
    logs = [[json.loads(line) for line in (run / "train.jsonl").open()] for run in runs]
    assert [line["step"] for line in logs[1]] == list(range(1, 31))  # process 0 alone writes
    losses = [[line["loss"] for line in log] for log in logs]
    np.testing.assert_allclose(losses[1], losses[0], **TOLERANCE)
    assert [line["rate"] for line in logs[1]] == [line["rate"] for line in logs[0]]
    whole, turns = (np.load(run / "final.npz") for run in runs)
    assert len(whole.files) > 20
    for name in whole.files:
        np.testing.assert_allclose(turns[name], whole[name], **TOLERANCE)
    kept = sorted(path.name for path in (runs[1] / "checkpoints").iterdir())
    assert kept == ["20", "25", "30", "ended.json"]


def test_the_step_equals_a_pmap_of_the_same_function(runs):
    pairs = np.load(runs[1] / "pmap.npz")
    losses = pairs["arr_0"]
    assert losses.shape == (10, 2)
    assert np.ptp(losses[:, 0]) > 0.1  # it trains
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=1e-5)
    for name in pairs.files[1:]:
        np.testing.assert_allclose(pairs[name][0], pairs[name][1], rtol=1e-5, atol=1e-6)


def test_a_batch_that_does_not_share_out_is_named(runs):
    message = (runs[1] / "shard.txt").read_text()
    assert message.startswith("batch of 12 rows cannot be shared by 8 devices: set batch_size")


def test_a_single_process_needs_no_coordinator(monkeypatch):
    monkeypatch.delenv("JAX_COORDINATOR_ADDRESS", raising=False)
    initialize_distributed()


@pytest.mark.parametrize(
    ("processes", "process", "message"),
    [("two", "0", "JAX_NUM_PROCESSES=two"), ("2", "-1", "JAX_PROCESS_ID=-1"), ("2", "2", "2 of 2")],
)
def test_wrong_numbers_of_processes_are_named(monkeypatch, processes, process, message):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("JAX_NUM_PROCESSES", processes)
    monkeypatch.setenv("JAX_PROCESS_ID", process)
    with pytest.raises(InputError, match=message):
        initialize_distributed()
