"""``manifest.json``: what a result was made from and on."""

import dataclasses
import hashlib
import importlib.metadata
import os
import platform as system
import resource
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from common.files import sha256
from papers import studies

# Parts of the project that cannot change what a run computes.
_AFTERWARDS = ("common/replication", "figures.py", "claims.py")


def code(study: str) -> dict[str, Any]:
    """Return commit, dirty flag (results aside), hash of the lock file and of the source files."""
    commit = _git("rev-parse", "HEAD")
    watched = ["common", "papers", "experiments", "pyproject.toml", "uv.lock"]
    changed = _git("status", "--porcelain", "--", *watched, ":(exclude)papers/*/results/*")
    lock = studies.ROOT / "uv.lock"
    return {
        "commit": commit,
        "dirty": None if changed is None else bool(changed),
        "lock_sha256": sha256(lock) if lock.exists() else None,
        "source_sha256": _source(study),
    }


def platform() -> dict[str, Any]:
    """Return processor, devices, flags and versions: what bit-identical results depend on."""
    import jax

    devices = jax.devices()
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "device": devices[0].device_kind,
        "devices": len(devices),
        "processes": jax.process_count(),
        "backend": jax.default_backend(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "system": f"{system.system()} {system.machine()}",
        "python": system.python_version(),
        "versions": _versions(),
    }


def peak_memory() -> int:
    """Return the largest memory that this process has held, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10  # getrusage counts bytes or KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit


def device_peak_memory() -> int | None:
    """Return the largest memory held on the first device in MiB, None where it does not tell."""
    import jax

    held = jax.local_devices()[0].memory_stats() or {}
    return held["peak_bytes_in_use"] // 2**20 if "peak_bytes_in_use" in held else None


def build(run: Any, data: dict[str, Any], stages: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest of a finished run.

    Args:
        run: the :class:`~common.study.protocol.Run`.
        data: dataset, content hash, stand-in, description, skipped, sizes.
        stages: ``{"seeds": {seed: {"train": record, "evaluate": record}}}`` with seconds, peak
            memory, code and platform of each; the platform is kept where it differs only.
    """
    first = stages["seeds"][str(run.seeds[0])]["train"]
    kept = {
        seed: {stage: _less(record, first) for stage, record in records.items()}
        for seed, records in stages["seeds"].items()
    }
    return {
        "study": run.study,
        "experiment": run.experiment.name,
        "scale": run.experiment.scale,
        "title": run.experiment.title,
        "seeds": list(run.seeds),
        "config": dataclasses.asdict(run.config),
        "differences": [dataclasses.asdict(difference) for difference in run.differences],
        "dataset": data,
        "code": first["code"],
        "platform": first["platform"],
        "stages": {"prepare": stages["prepare"], "seeds": kept},
    }


def _less(record: dict[str, Any], first: dict[str, Any]) -> dict[str, Any]:
    same = [key for key in ("code", "platform") if record[key] == first[key]]
    return {key: value for key, value in record.items() if key not in same}


def _source(study: str) -> str:
    total = hashlib.sha256()
    roots = [studies.ROOT / "common", studies.folder(study)]
    for path in sorted(file for root in roots for file in root.rglob("*.py")):
        name = path.relative_to(studies.ROOT).as_posix()
        if not name.startswith(_AFTERWARDS) and not name.endswith(_AFTERWARDS):
            total.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=studies.ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return None
    return done.stdout.strip()


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return system.processor() or system.machine()


def _versions() -> dict[str, str]:
    project = tomllib.loads((studies.ROOT / "pyproject.toml").read_text())["project"]
    wanted = [_name(requirement) for requirement in project["dependencies"]] + ["jaxlib"]
    installed = {}
    for name in wanted:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def _name(requirement: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else " " for c in requirement).split()[0]
