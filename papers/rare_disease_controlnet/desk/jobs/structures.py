"""Films whose edges are followed: brought by users, or drawn before, named by short keys.

A key is a letter and a number: ``u`` an upload of one's own, ``f`` a film of the corpus, ``j`` what
a job followed.
"""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.errors import InputError
from common.latent_diffusion.canny import canny
from papers.rare_disease_controlnet import gray_film
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.tables import Film, Job, now
from papers.rare_disease_controlnet.desk import uploads
from papers.rare_disease_controlnet.desk.audit.log import record
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.jobs.asking import Person
from papers.rare_disease_controlnet.desk.tables import Upload
from papers.rare_disease_controlnet.prompts import NORMAL

Gray = UInt8[np.ndarray, "height width"]
SHOWN = 12  # to choose from, of each kind
SMALL = 96  # pixels a side of a small picture
_KEY = re.compile(r"([ufj])([1-9][0-9]{0,8})")
_HOUR = timedelta(hours=1)


def bring(desk: Desk, owner: Person, content: bytes, name: str, size: int) -> str:
    """Keep a film that a user brings as the engine sees films, and return its key.

    Raises:
        InputError: it is none, or the user has brought too many in this hour.
    """
    limits = desk.settings.limits
    with desk.read() as session:
        recent = select(func.count()).where(
            Upload.owner == owner.id, Upload.created > now() - _HOUR
        )
        if (session.scalar(recent) or 0) >= limits.jobs_an_hour:
            raise InputError(
                f"film: {limits.jobs_an_hour} in this hour already, the most that one may bring; "
                "choose one of those"
            )
    image = gray_film.resized(uploads.accept(content, name, limits), size)
    sha256 = desk.store.put(png.encoded(image))
    with desk.write() as session:
        same = select(Upload).where(Upload.sha256 == sha256, Upload.owner == owner.id)
        upload = session.scalar(same)
        if upload is None:
            upload = Upload(
                sha256=sha256,
                owner=owner.id,
                name=uploads.shown(name),
                width=size,
                height=size,
            )
            session.add(upload)
            session.flush()
            record(session, owner.name, "film brought", f"upload {upload.id}", {"sha256": sha256})
        return f"u{upload.id}"


def sha256_of(session: Session, visitor: Person, key: str) -> str:
    """Return the file of a structure that a visitor may use.

    Raises:
        InputError: there is none of this key, or it is somebody else's.
    """
    found: str | None = None
    if match := _KEY.fullmatch(key):
        kind, number = match[1], int(match[2])
        if kind == "u":
            upload = session.get(Upload, number)
            if upload and (upload.owner == visitor.id or visitor.role == "admin"):
                found = upload.sha256
        elif kind == "f":
            found = session.scalar(select(Film.sha256).where(Film.id == number))
        else:
            spec = session.scalar(select(Job.spec).where(Job.id == number))
            found = json.loads(spec).get("structure") if spec else None
    if found is None:
        raise InputError(f"structure {key[:12]!r}: there is no such film; choose another")
    return found


def choices(session: Session, visitor: Person, chosen: str = "") -> list[tuple[str, str]]:
    """Return key and name of what may be followed: one's own uploads, and normal films."""
    own = select(Upload).where(Upload.owner == visitor.id).order_by(Upload.id.desc()).limit(SHOWN)
    listed = [(f"u{one.id}", one.name) for one in session.scalars(own)]
    normal = select(Film.id).where(Film.label == NORMAL).order_by(Film.id.desc()).limit(SHOWN)
    listed += [(f"f{film}", f"normal film {film}") for film in session.scalars(normal)]
    if chosen and chosen not in dict(listed):
        named = {"j": "as in job", "f": "film", "u": "upload"}[chosen[0]]
        listed.insert(0, (chosen, f"{named} {chosen[1:]}"))
    return listed


def image(desk: Desk, session: Session, visitor: Person, key: str) -> Gray:
    """Return the film of a key; raises `InputError` as `sha256_of`."""
    sha256 = sha256_of(session, visitor, key)
    return png.decoded(desk.store.get(sha256), f"structure {key}")


def edges(film: Gray, size: int, low: int, high: int) -> Gray:
    """Return the edges that the engine is shown: white on black."""
    if film.shape != (size, size):
        film = gray_film.resized(gray_film.square(film), size)
    return canny(film, low, high)


def small(film: Gray) -> bytes:
    """Return a small picture of a film, as a PNG file."""
    content = io.BytesIO()
    Image.fromarray(film).resize((SMALL, SMALL), Image.Resampling.BOX).save(content, "PNG")
    return content.getvalue()
