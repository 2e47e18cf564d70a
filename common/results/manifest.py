"""``manifest.json``: what a result was made from and on."""

import dataclasses
import importlib.metadata
import os
import platform as system
import resource
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import provenance, xla
from common.files import sha256
from common.results import gpu
from common.study.protocol import Run


def code(root: Path, *functions: Callable[..., Any]) -> dict[str, Any]:
    """Return what code a stage was done by.

    That is commit and dirty flag (results and shipped networks aside) of the project at `root`, the
    hash of its lock file, and the digest of all code that the stage's functions depend on.
    """
    commit = _git(root, "rev-parse", "HEAD")
    watched = ["common", "papers", "experiments", "pyproject.toml", "uv.lock"]
    made = (":(exclude)papers/*/results/*", ":(exclude)papers/*/networks/*")
    changed = _git(root, "status", "--porcelain", "--", *watched, *made)
    lock = root / "uv.lock"
    return {
        "commit": commit,
        "dirty": None if changed is None else bool(changed),
        "lock_sha256": sha256(lock) if lock.exists() else None,
        "source_sha256": provenance.digest(*functions),
    }


def platform() -> dict[str, Any]:
    """Return processor, devices, flags and versions: what bit-identical results depend on.

    ``driver`` and ``cudnn`` are there on a GPU only.
    """
    import jax

    devices = jax.devices()
    on_gpu = jax.default_backend() == "gpu"
    return {
        "cpu": _cpu(),
        "cores": xla.cores(),
        "threads": xla.threads(),
        "device": devices[0].device_kind,
        "devices": len(devices),
        "processes": jax.process_count(),
        "backend": jax.default_backend(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "matmul_precision": jax.config.values["jax_default_matmul_precision"],
        **({"driver": gpu.driver(), "cudnn": gpu.cudnn()} if on_gpu else {}),
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


def build(run: Run[Any], data: dict[str, Any], stages: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest of a finished run.

    Args:
        run: what was run.
        data: name, content hash, stand-in, description, skipped, sizes.
        stages: seconds of ``prepare``, and ``seeds``: of every seed the record of each network's
            training, of the evaluation and of what was measured for it network by network, with
            seconds, peak memory, code and platform; the last two are kept where they differ from
            the first training's only.
    """
    seeds = stages["seeds"]
    first = next(iter(seeds[str(run.seeds[0])]["train"].values()))
    kept = {
        seed: {
            **{
                stage: {name: _less(record, first) for name, record in records[stage].items()}
                for stage in ("train", "measure")
                if stage in records
            },
            "evaluate": _less(records["evaluate"], first),
        }
        for seed, records in seeds.items()
    }
    return {
        "study": run.study.name,
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


def _git(root: Path, *arguments: str) -> str | None:
    """Return what git says of the repository whose top folder `root` is, None where it is none.

    A copy without ``.git`` may lie inside another repository, and a hook of one tells its programs
    where it is by variables. What git may not look at, as another user's, is none.
    """
    if not (root / ".git").exists():
        return None
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
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
    project = tomllib.loads((provenance.ROOT / "pyproject.toml").read_text())["project"]
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
