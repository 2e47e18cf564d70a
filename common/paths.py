"""Where things are kept outside the project: one folder, moved by ``REPLICATIONS_HOME``."""

import os
from pathlib import Path


def home() -> Path:
    """Return the folder of everything written outside the project, which may be deleted whole."""
    if chosen := os.environ.get("REPLICATIONS_HOME"):
        return Path(chosen).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache).expanduser().absolute() / "medical-imaging-replications"


def data() -> Path:
    """Return the folder of prepared data sets."""
    return home() / "data"


def weights() -> Path:
    """Return the folder of fetched pretrained weights."""
    return home() / "weights"


def compilation() -> Path:
    """Return the folder of XLA's persistent compilation cache."""
    return home() / "compilation"


def runs() -> Path:
    """Return the folder of checkpoints and per-seed results of runs."""
    return home() / "runs"
