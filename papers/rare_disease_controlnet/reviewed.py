"""Films that people accepted at a review desk, to be learned from in place of the reviewer's.

A snapshot of the desk is kept once, in a folder that its content names: what was learned from can
be told from a config alone, and the desk may move or be gone.
"""

from __future__ import annotations

import csv
import os
import shutil
import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np
from sqlalchemy import select

from common import paths
from common.errors import InputError
from common.locks import folder_lock
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.corpus import DATABASE, Corpus, open_corpus
from papers.rare_disease_controlnet.corpus.export import IMAGES, MANIFEST, export
from papers.rare_disease_controlnet.corpus.snapshots import content_hash, content_of, films_of
from papers.rare_disease_controlnet.corpus.store import is_sha256
from papers.rare_disease_controlnet.corpus.tables import Snapshot

FOLDER = "corpora"  # in the home
_Root = Path | zipfile.Path


def bring(where: str) -> str:
    """Keep the films at `where` for training; return the SHA-256 of their content.

    Args:
        where: the folder of a desk, whose newest snapshot is meant, or ``FOLDER@SNAPSHOT``; or a
            snapshot as the desk exports it, a folder or a ZIP file.

    Raises:
        InputError: there is no snapshot, or a film of it is missing or damaged.
    """
    path, _, name = (where, "", "") if Path(where).exists() else where.rpartition("@")
    source = Path(path or where)
    if (source / DATABASE).is_file():
        corpus = open_corpus(source)
        return keep(corpus, name or _newest(corpus, where))
    if not source.exists() or name:
        raise InputError(
            f"--corpus {where}: not there; give the folder of a desk, FOLDER@SNAPSHOT, or a folder "
            "or ZIP file that the desk exported"
        )
    return _keep_export(source)


def keep(corpus: Corpus, snapshot: str) -> str:
    """Keep the films of a snapshot for training; return the SHA-256 of their content."""
    with corpus.read() as session:
        content = content_hash(films_of(session, snapshot))
    with folder_lock(paths.home() / FOLDER):
        if not (folder := _folder(content)).exists():
            export(corpus, folder, snapshot=snapshot)
    return content


def films(content: str, labels: Collection[str]) -> list[tuple[str, np.ndarray]]:
    """Return label and image of the films of a snapshot that show one of these alone."""
    folder = _folder(content)
    if not folder.is_dir():
        raise InputError(
            f"synthesis.corpora: {content} is not here; bring it by --corpus, from the desk"
        )
    rows = _manifest(folder)
    if content_of(row["sha256"] for row in rows) != content:
        raise InputError(f"{folder}: other films than its name says; delete it and bring it again")
    return [
        (row["label"], png.decoded(_file(folder, row["sha256"]), row["sha256"]))
        for row in rows
        if row["label"] in labels
    ]


def _newest(corpus: Corpus, where: str) -> str:
    with corpus.read() as session:
        name = session.scalar(select(Snapshot.name).order_by(Snapshot.id.desc()).limit(1))
    if name is None:
        raise InputError(f"--corpus {where}: no snapshot yet; freeze one at the desk")
    return name


def _keep_export(source: Path) -> str:
    root: _Root = source
    if source.suffix == ".zip":
        try:
            root = zipfile.Path(source)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"--corpus {source}: not a ZIP file ({error})") from None
    rows = _manifest(root)
    if undecided := [row["sha256"] for row in rows if row.get("accepted") in (None, "", "0")]:
        raise InputError(
            f"--corpus {source}: {len(undecided)} films that nobody accepted; export a snapshot"
        )
    content = content_of(row["sha256"] for row in rows)
    with folder_lock(paths.home() / FOLDER):
        if _folder(content).exists():
            return content
        part = paths.home() / FOLDER / f".{content}.part"
        shutil.rmtree(part, ignore_errors=True)  # what a killed process left
        try:
            (part / IMAGES).mkdir(parents=True)
            for row in rows:
                file = part / IMAGES / f"{row['sha256']}.png"
                file.write_bytes(_file(root, row["sha256"]))
            (part / MANIFEST).write_bytes((root / MANIFEST).read_bytes())
            os.replace(part, _folder(content))
        except BaseException:
            shutil.rmtree(part)
            raise
    return content


def _manifest(root: _Root) -> list[dict[str, str]]:
    try:
        rows = list(csv.DictReader((root / MANIFEST).read_text(encoding="utf-8").splitlines()))
    except (OSError, KeyError, UnicodeDecodeError):
        raise InputError(f"{root}: no {MANIFEST} to be read; give what the desk exported") from None
    if not rows or not all(is_sha256(row.get("sha256") or "") and row.get("label") for row in rows):
        raise InputError(f"{root}: {MANIFEST} lists no films; give what the desk exported")
    return rows


def _file(root: _Root, sha256: str) -> bytes:
    file = root / IMAGES / f"{sha256}.png"
    try:
        content = file.read_bytes()
    except (OSError, KeyError):
        raise InputError(f"{file}: missing; export the snapshot again") from None
    if digest(content) != sha256:
        raise InputError(f"{file}: damaged; export the snapshot again")
    return content


def _folder(content: str) -> Path:
    if not is_sha256(content):  # which might lead out of the folder
        raise InputError(f"synthesis.corpora: {content!r}, expected a SHA-256; use --corpus")
    return paths.home() / FOLDER / content
