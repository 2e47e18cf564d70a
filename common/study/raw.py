"""The user's data folder: what identifies its files, and where it was last time."""

import json
from pathlib import Path

from common import paths
from common.data.finder import look
from common.files import update
from common.study import config as configs


def key(folder: Path) -> str:
    """Return 12 hexadecimal digits over name, size and time of change of all files below.

    Hidden files and those of the system do not count. The files are not read: other files mean
    another preparation, and the content hash of what was prepared tells what is in them.

    Raises:
        InputError: there is no such folder.
    """
    seen = look(folder)
    return configs.digest([(seen.name(path), *_state(path)) for path in sorted(seen.files)])


def _state(path: Path) -> tuple[int, int]:
    """Return size and time of change, -1 of a link to nowhere."""
    try:
        state = path.stat()
    except OSError:
        return -1, -1
    return state.st_size, state.st_mtime_ns


def remember(study: str, dataset: str, folder: Path) -> None:
    """Note that `folder` holds the raw files of a data set, so that --raw need not be repeated."""
    note = {"folder": str(folder), "key": key(folder)}
    update(_note(study, dataset), json.dumps(note))


def recall(study: str, dataset: str) -> tuple[Path, str] | None:
    """Return folder and key as last remembered, with today's key if the folder is still there."""
    try:
        note = json.loads(_note(study, dataset).read_text())
    except FileNotFoundError:
        return None
    folder = Path(note["folder"])
    return folder, key(folder) if folder.is_dir() else note["key"]


def _note(study: str, dataset: str) -> Path:
    return paths.data() / study / f"{dataset}.raw.json"
