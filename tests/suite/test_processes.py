"""A command given in two processes at once, as on two hosts with a shared file system."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_two_processes_train_together_and_one_writes(project: Path) -> None:
    (project / "common").symlink_to(ROOT / "common")
    for name in ("__init__.py", "__main__.py"):
        shutil.copy(ROOT / "papers" / name, project / "papers" / name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "papers", "replicate", "apple"],
            cwd=project,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "JAX_PLATFORMS": "cpu",
                "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
                "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
                "JAX_NUM_PROCESSES": "2",
                "JAX_PROCESS_ID": str(index),
            },
        )
        for index in range(2)
    ]
    try:
        told = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], told
    manifest = project / "papers" / "apple_one" / "results" / "demo" / "manifest.json"
    assert json.loads(manifest.read_text())["platform"]["processes"] == 2
    (log,) = (project / "home" / "runs" / "apple_one").glob("demo-*/trained.log")
    assert sorted(log.read_text().split()) == ["0", "0", "1", "1", "2", "2"]  # both took part
    assert "train seed 2" in told[0][1]
    assert "train seed 2" not in told[1][1]
