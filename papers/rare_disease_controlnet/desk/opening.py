"""Opening a desk: its folder, its tables brought up to date, and where its films are."""

from __future__ import annotations

import os
from pathlib import Path

from common.errors import InputError
from common.locks import folder_lock
from papers.rare_disease_controlnet.corpus.corpus import DATABASE, Corpus
from papers.rare_disease_controlnet.corpus.database import connect
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.migrations.schema import migrate
from papers.rare_disease_controlnet.desk.settings import Settings
from papers.rare_disease_controlnet.desk.storage import storage_of


def open_desk(settings: Settings) -> Desk:
    """Return the desk of these settings, made where it is not there.

    Raises:
        InputError: folder, database or storage cannot be used, or are of a newer program.
    """
    prepare_folder(settings.folder)
    engine = connect(database_of(settings))
    with folder_lock(settings.folder):  # two at once cannot both begin a file of SQLite
        migrate(engine)
    return Desk(settings, Corpus(engine, storage_of(settings)))


def database_of(settings: Settings) -> str:
    """Return the address of a desk's database."""
    return settings.database or f"sqlite:///{settings.folder.absolute() / DATABASE}"


def prepare_folder(folder: Path) -> None:
    """Make a folder that its owner alone can read, where there is none.

    Raises:
        InputError: it cannot be made, is a file, or is somebody else's, who could no longer use
            what is written into it now.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat().st_uid
    except FileExistsError:
        raise InputError(f"--folder {folder}: is a file; give a folder") from None
    except OSError as error:
        raise InputError(
            f"--folder {folder}: cannot be made ({error.strerror}); give another"
        ) from None
    if owner != os.getuid():
        raise InputError(
            f"--folder {folder}: belongs to another user (number {owner}); start the desk as that "
            "one, or give another folder"
        )
