"""What a manifest says of the machine: precision everywhere, driver and cuDNN on a GPU alone."""

import importlib.metadata
import subprocess
from pathlib import Path

import jax
import pytest

from common.results import gpu, manifest

CLOSED = """\
NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.12  Wed Sep 20 09:35:17 UTC 2023
GCC version:  gcc version 11.4.0 (Ubuntu 11.4.0-1ubuntu1~22.04)
"""
OPEN = """\
NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (build@host)
GCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6ubuntu2~24.04)
"""


def nvidia_smi(monkeypatch: pytest.MonkeyPatch, output: str | Exception) -> None:
    def run(command, **_):
        assert command[0] == "nvidia-smi"
        if isinstance(output, Exception):
            raise output
        return subprocess.CompletedProcess(command, 0, stdout=output)

    monkeypatch.setattr(gpu.subprocess, "run", run)


@pytest.mark.parametrize(("text", "version"), [(CLOSED, "535.104.12"), (OPEN, "580.95.05")])
def test_driver_is_what_the_kernel_module_says(text, version, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "version").write_text(text)
    monkeypatch.setattr(gpu, "_DRIVER", tmp_path / "version")
    nvidia_smi(monkeypatch, AssertionError("not needed"))
    assert gpu.driver() == version


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("580.95.05\n580.95.05\n", "580.95.05"),
        ("", None),
        (FileNotFoundError("nvidia-smi"), None),
        (subprocess.CalledProcessError(9, "nvidia-smi"), None),
        (subprocess.TimeoutExpired("nvidia-smi", 60), None),
    ],
)
@pytest.mark.parametrize("file", [None, "nothing of the kind\n"])
def test_else_what_the_tool_says(file, output, version, tmp_path: Path, monkeypatch) -> None:
    if file is not None:
        (tmp_path / "version").write_text(file)
    monkeypatch.setattr(gpu, "_DRIVER", tmp_path / "version")
    nvidia_smi(monkeypatch, output)
    assert gpu.driver() == version


@pytest.mark.parametrize("installed", ["nvidia-cudnn-cu12", "nvidia-cudnn-cu13", None])
def test_cudnn_is_the_installed_package(installed, monkeypatch) -> None:
    def version(name: str) -> str:
        if name == installed:
            return "9.14.0.64"
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(gpu.importlib.metadata, "version", version)
    assert gpu.cudnn() == (installed and "9.14.0.64")


def test_platform_names_precision_and_only_on_a_gpu_its_software(monkeypatch) -> None:
    monkeypatch.setattr(gpu, "driver", lambda: "580.95.05")
    monkeypatch.setattr(gpu, "cudnn", lambda: "9.14.0.64")
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    with jax.default_matmul_precision("float32"):
        platform = manifest.platform()
    assert platform["matmul_precision"] == "float32"
    assert not {"driver", "cudnn"} & set(platform)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    platform = manifest.platform()
    assert (platform["driver"], platform["cudnn"]) == ("580.95.05", "9.14.0.64")
