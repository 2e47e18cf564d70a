"""What the tests of the command line do with the project of conftest.py."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from papers.__main__ import main

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parent / "toy"
NETWORKS = ("encoder", "decoder", "critic")  # of a seed of the toy


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Run a command here; return its status and what it printed."""
    capsys.readouterr()
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def forget() -> None:
    """Have the toy studies imported anew."""
    for name in [name for name in sys.modules if name.startswith("papers.a")]:
        del sys.modules[name]


def edit(file: Path, old: str, new: str) -> None:
    """Replace a part of a file, which must be there."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    forget()


def done(project: Path, *words: str) -> list[str]:
    """Return what the toy has done, in order: the lines of its log that begin with `words`."""
    log = project / "home" / "done.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [line for line in lines if line.split()[0] in (words or ("train", "evaluate"))]


def work_folder(project: Path, name: str = "demo") -> Path:
    """Return the only work folder of an experiment of apple_one."""
    (folder,) = (project / "home" / "runs" / "apple_one").glob(f"{name}-*")
    return folder


def start(project: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a command in a process of its own, in the project."""
    for file in ROOT.glob("papers/*.py"):
        shutil.copy(file, project / "papers")
    if not (project / "common").exists():
        (project / "common").symlink_to(ROOT / "common")
        shutil.copy(ROOT / "pyproject.toml", project)
    return subprocess.Popen(
        [sys.executable, "-m", "papers", *arguments],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONDONTWRITEBYTECODE": "1", **environment},
    )


def start_together(project: Path, *arguments: str, **environment: str) -> list:
    """Start a command as one run of two processes, as on two hosts with a shared file system."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
        "JAX_NUM_PROCESSES": "2",
    }
    return [
        start(project, *arguments, **shared, JAX_PROCESS_ID=str(index), **environment)
        for index in range(2)
    ]


def finish(processes: Sequence[subprocess.Popen[str]], timeout: float = 120) -> list[list]:
    """Wait for all; return the status of each and what it printed. None outlives the test."""
    try:
        told = [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [[process.returncode, *one] for process, one in zip(processes, told, strict=True)]
