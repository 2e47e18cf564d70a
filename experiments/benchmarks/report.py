"""What the benchmarks write, and where; imported after `xla.configure()`."""

import json
import os
import platform
from pathlib import Path

import jax

from common.files import write_atomic

RESULTS = Path(__file__).parents[2] / "results" / "benchmarks"


def write(folder: Path, name: str, result: dict, table: str) -> None:
    """Write a result as `name`.json and its table as `name`.md; print the table."""
    write_atomic(folder / f"{name}.json", json.dumps(result, indent=1) + "\n")
    write_atomic(folder / f"{name}.md", table)
    print(table)


def machine() -> dict:
    """Return what the times depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "threads": os.cpu_count(),
        "backend": jax.default_backend(),
        "jax": jax.__version__,
        "xla_flags": os.environ["XLA_FLAGS"],
        "glibc_tunables": os.environ.get("GLIBC_TUNABLES", ""),
    }
