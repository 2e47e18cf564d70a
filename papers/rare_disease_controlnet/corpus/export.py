"""Films with all that is known of them, as a folder or a ZIP file to hand on.

``images/<SHA-256>.png``, ``metadata/<SHA-256>.json`` (lineage and decisions; `just regenerate`
takes it) and ``manifest.csv``; where asked for, ``followed/<SHA-256>.png`` too: what they were
drawn after, without which they cannot be drawn again elsewhere. The same films with the same
decisions are the same bytes, whenever and wherever they are exported: nothing is compressed, and
nothing but the films has a time.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import atomic
from common.text import cells
from papers.rare_disease_controlnet.corpus import lineage
from papers.rare_disease_controlnet.corpus.corpus import Corpus
from papers.rare_disease_controlnet.corpus.decisions import films, standing_by_file
from papers.rare_disease_controlnet.corpus.snapshots import films_of
from papers.rare_disease_controlnet.corpus.tables import Decision, Film

COLUMNS = (
    "sha256", "label", "side", "extent", "seed", "height", "width", "job", "number", "drawn",
    "accepted", "rejected", "score",
)  # fmt: skip
MANIFEST, IMAGES, FOLLOWED = "manifest.csv", "images", "followed"
_TIME = (1980, 1, 1, 0, 0, 0)  # the first that a ZIP file can hold
_MODE = 0o100644 << 16  # a file that all may read
_UNIX = 3


def export(
    corpus: Corpus,
    out: Path,
    *,
    snapshot: str | None = None,
    everything: bool = False,
    followed: bool = False,
    called: Mapping[str, str] | None = None,
    more: Mapping[str, bytes] | None = None,
) -> int:
    """Write films to `out`, a ZIP file by its name or else a folder; return how many.

    Args:
        corpus: whose accepted films are written.
        out: is not there yet, or an empty folder; it is written whole or not at all.
        snapshot: the name of one, whose films are written instead.
        everything: all films, rejected ones too; the manifest says what was decided.
        followed: what they were drawn after too, which may be films of patients.
        called: what reviewers are called in it, by name.
        more: further files, by name.

    Raises:
        InputError: there is no such film or snapshot, a film's file is missing or damaged, or
            `out` is there or cannot be written.
    """
    if out.exists() and not (out.is_dir() and out.suffix != ".zip" and not any(out.iterdir())):
        raise InputError(f"--out {out}: is there already; give another name")
    with corpus.read() as session:
        if snapshot is not None:
            chosen = films_of(session, snapshot)
        else:
            chosen = films(session, None if everything else "accepted")
        if not chosen:
            what = "film" if everything else "accepted film"
            raise InputError(f"--out {out}: there is no {what} to export; draw and decide first")
        decisions = standing_by_file(session)
    chosen.sort(key=lambda film: film.sha256)
    write = _zip if out.suffix == ".zip" else _folder
    try:
        members = _members(corpus, chosen, decisions, called or {})
        extra = _followed(corpus, chosen) if followed else iter(())
        write(out, itertools.chain(members, extra, (more or {}).items()))
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error.strerror})") from None
    return len(chosen)


def _members(
    corpus: Corpus,
    chosen: list[Film],
    decisions: dict[str, list[Decision]],
    called: Mapping[str, str],
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file."""
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells(_row(film, decisions.get(film.sha256, []))) for film in chosen)
    yield MANIFEST, table.getvalue().encode()
    for film in chosen:
        yield f"{IMAGES}/{film.sha256}.png", corpus.store.get(film.sha256)
    for film in chosen:
        about = {
            **_row(film, decisions.get(film.sha256, [])),
            "lineage": json.loads(film.lineage),
            "decisions": [_plain(one, called) for one in decisions.get(film.sha256, [])],
        }
        text = json.dumps(about, sort_keys=True, indent=1, ensure_ascii=False)
        yield f"metadata/{film.sha256}.json", f"{text}\n".encode()


def _followed(corpus: Corpus, chosen: list[Film]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of what films were drawn after."""
    specs = [json.loads(film.lineage)["spec"] for film in chosen]
    for sha256 in sorted({spec[name] for spec in specs for name in lineage.IMAGES} - {None}):
        yield f"{FOLLOWED}/{sha256}.png", corpus.store.get(sha256)


def _row(film: Film, decisions: list[Decision]) -> dict[str, Any]:
    spec = json.loads(film.lineage)["spec"]
    verdicts = [one.verdict for one in decisions]
    scores = [one.score for one in decisions if one.score and one.verdict != "withdrawn"]
    return {
        "sha256": film.sha256,
        "label": film.label,
        "side": spec["side"],
        "extent": spec["extent"],
        "seed": film.seed,
        "height": film.height,
        "width": film.width,
        "job": film.job_id,
        "number": film.number,
        "drawn": film.created.isoformat(),
        "accepted": verdicts.count("accepted"),  # by so many
        "rejected": verdicts.count("rejected"),
        "score": sum(scores) / len(scores) if scores else None,  # their mean
    }


def _plain(decision: Decision, called: Mapping[str, str]) -> dict[str, Any]:
    return {
        "reviewer": called.get(decision.reviewer, decision.reviewer),
        "kind": decision.kind,
        "verdict": decision.verdict,
        "score": decision.score,
        "reasons": json.loads(decision.reasons),
        "comment": decision.comment,
        "decided": decision.created.isoformat(),
    }


def _zip(out: Path, members: Iterator[tuple[str, bytes]]) -> None:
    with atomic(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members:
            member = zipfile.ZipInfo(name, _TIME)
            member.create_system, member.external_attr = _UNIX, _MODE
            archive.writestr(member, content)


def _folder(out: Path, members: Iterator[tuple[str, bytes]]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        for name, content in members:
            file = part / name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
        part.chmod(0o755)
        os.replace(part, out)
    except BaseException:
        shutil.rmtree(part)
        raise
