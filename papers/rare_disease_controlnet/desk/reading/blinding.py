"""Blinding: nothing but its pixels tells a reader where a film comes from.

All films of a set go through one pipeline and become files of one size and one length; readers get
them by random names, each reader in an order of their own. Who knows where a film of the set comes
from does not read it: who made the set, brought a real film, asked for a synthetic one, or saw one
unblinded before.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from sqlalchemy import Select, select
from sqlalchemy.orm import Session, aliased

from papers.rare_disease_controlnet import gray_film
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.tables import Film
from papers.rare_disease_controlnet.desk.tables import (
    JobDetail,
    Reader,
    ReadingSet,
    SetItem,
    Upload,
)

GAP = 10  # places between a film's first showing and its repeat, at least
SIZE = 512  # pixels a side of what is shown, where no synthetic film says
_TOKEN = 32  # bytes


def shown(image: UInt8[np.ndarray, "height width"], size: int) -> bytes:
    """Return the file that readers see of a film, real or synthetic: its pixels alone."""
    return png.encoded(gray_film.resized(gray_film.square(image), size))


def order(films: int, repeats: float, seed: Sequence[int]) -> list[tuple[int, bool]]:
    """Return in which order films are shown: which one, and whether it was shown before.

    Args:
        films: how many there are.
        repeats: the share of them that is shown twice, as far as `GAP` leaves room for it.
        seed: the same numbers give the same order.
    """
    rng = np.random.default_rng(list(seed))
    places = [(int(film), False) for film in rng.permutation(films)]
    early = places[: max(0, films - GAP + 1)]  # what has `GAP` places after it, or comes last then
    count = min(round(repeats * films), len(early))
    for chosen in rng.permutation(len(early))[:count]:
        film, _ = early[chosen]
        first = places.index((film, False)) + GAP
        # what comes in between moves others apart, never together
        places.insert(int(rng.integers(first, len(places) + 1)), (film, True))
    return places


def token() -> str:
    """Return a name for a film that tells nothing."""
    return secrets.token_urlsafe(_TOKEN)


def knowing(session: Session, set_id: int, user: int) -> list[str]:
    """Return why somebody cannot read a set: what they know of where its films come from."""
    reasons = {
        "made this set": select(ReadingSet.id).where(
            ReadingSet.id == set_id, ReadingSet.made_by == user
        ),
        "asked for synthetic films in it": (
            select(SetItem.id)
            .join(Film, Film.sha256 == SetItem.source)
            .join(JobDetail, JobDetail.job_id == Film.job_id)
            .where(SetItem.set_id == set_id, JobDetail.owner == user)
        ),
        "brought real films in it": (
            select(SetItem.id)
            .join(Upload, Upload.sha256 == SetItem.source)
            .where(SetItem.set_id == set_id, SetItem.kind == "real", Upload.owner == user)
        ),
        "was told where films in it come from, when another set was closed": _told(set_id, user),
    }
    return [reason for reason, query in reasons.items() if session.scalar(query.limit(1))]


def reads(session: Session, user: int, set_id: int | None = None) -> bool:
    """Return whether somebody reads a set that is open, or this one: then origins are hidden."""
    query = (
        select(Reader.id)
        .join(ReadingSet, ReadingSet.id == Reader.set_id)
        .where(Reader.user_id == user, ReadingSet.opened.is_not(None), ReadingSet.closed.is_(None))
    )
    if set_id is not None:
        query = query.where(ReadingSet.id == set_id)
    return session.scalar(query.limit(1)) is not None


def _told(set_id: int, user: int) -> Select[int]:
    """Return the query for a film of this set that somebody saw unblinded in another one."""
    before, item = aliased(SetItem), aliased(SetItem)
    return (
        select(item.id)
        .join(before, before.source == item.source)
        .join(Reader, Reader.set_id == before.set_id)
        .where(
            item.set_id == set_id,
            before.set_id != set_id,
            Reader.user_id == user,
            Reader.unblinded.is_(True),
        )
    )
