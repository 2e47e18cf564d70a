"""Versions of what a GPU computes with that no Python package's version tells."""

import importlib.metadata
import re
import subprocess
from pathlib import Path

_DRIVER = Path("/proc/driver/nvidia/version")  # of the kernel module, also inside a container
_QUERY = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
_CUDNN = ("nvidia-cudnn-cu13", "nvidia-cudnn-cu12")  # what jax[cuda13] and jax[cuda12] bring


def driver() -> str | None:
    """Return the version of NVIDIA's driver, such as ``580.95.05``; None where nothing tells it."""
    try:
        told = re.search(r"NVRM version:.*?\s(\d+(?:\.\d+)+)\s", _DRIVER.read_text())
        if told:
            return told[1]
    except OSError:
        pass
    try:
        asked = subprocess.run(_QUERY, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(asked.stdout.split()), None)  # a line for each GPU, all the same


def cudnn() -> str | None:
    """Return the version of the cuDNN that is installed as a package; None where there is none."""
    for name in _CUDNN:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
