"""Where things are kept outside the project: one folder, moved by ``REPLICATIONS_HOME``."""

import os
from pathlib import Path

import platformdirs

from common.errors import InputError


def home() -> Path:
    """Return the folder of everything written outside the project, which may be deleted whole.

    ``REPLICATIONS_HOME`` where it is set, else a folder of the user's cache: below
    ``XDG_CACHE_HOME`` or ``~/.cache`` on Linux, ``~/Library/Caches`` on macOS.

    Raises:
        InputError: neither can be told, as for a user without a home folder.
    """
    chosen = os.environ.get("REPLICATIONS_HOME")
    try:
        if chosen:
            return Path(chosen).expanduser().absolute()
        return platformdirs.user_cache_path("medical-imaging-replications", appauthor=False)
    except RuntimeError as error:  # pathlib and platformdirs: there is no such home folder
        value = f" = {chosen!r}" if chosen else ""
        raise InputError(f"REPLICATIONS_HOME{value}: {error}; set it to a folder") from None


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


def verifications() -> Path:
    """Return the folder of what is regenerated to be compared, empty when nothing is verified."""
    return home() / "verifications"


def written() -> Path:
    """Return the folder of notes of what was written into folders that users named."""
    return home() / "written"
