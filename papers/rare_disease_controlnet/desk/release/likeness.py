"""How near a film comes to films of patients, before it may enter the corpus.

It is compared with all films of the part of the data that the engine learned from, and with the
film that it was drawn after where no engine drew that one. The distance is a root mean square over
the pixels; what real films of other patients rarely come near to is a copy (`review.copy_distance`
is the same rule). A film is compared with the data of its own engine, or not at all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8
from sqlalchemy import select
from sqlalchemy.orm import Session

from common import paths
from common.data.folders import holding
from common.data.prepared import Prepared
from common.errors import InputError
from common.pipeline.trained import Trained
from papers.rare_disease_controlnet import gray_film
from papers.rare_disease_controlnet.config import ReviewConfig
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.tables import Film
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.jobs.known import STUDY, known
from papers.rare_disease_controlnet.desk.release.gate import is_compared
from papers.rare_disease_controlnet.desk.tables import Likeness

Films = UInt8[np.ndarray, "films height width"]
Others = UInt8[np.ndarray, "others height width"]
_PIXELS = 2**26  # of training films that are compared at a time: 256 MB as float32
_PAUSE = 60.0  # seconds between looks for films that were not compared
_looked: dict[Path, float] = {}  # by the desk's folder


@dataclass(frozen=True)
class Training:
    """The films that an engine may have learned from, and from where on a film is a copy."""

    data: str  # the content hash
    films: Others
    threshold: float  # root mean square, of 255


def training_of(trained: Trained) -> Training | None:
    """Return the films that an engine may have learned from; None if its data is not here."""
    prepared = prepared_of(trained.content_hash)
    if prepared is None:
        return None
    from papers.rare_disease_controlnet.data import load

    films = load(prepared, "train").images[..., 0]
    others = load(prepared, "validation").images[..., 0]
    return Training(trained.content_hash, films, threshold(trained.config.review, others, films))


def prepared_of(content_hash: str) -> Prepared | None:
    """Return prepared data by its content; None if it is not on this machine."""
    found = holding(paths.data() / STUDY, content_hash)
    if found is None:
        return None
    folder, record = found
    lists = {name: tuple(record[name]) for name in ("skipped", "absent", "ignored")}
    return Prepared(folder=folder, stand_in=False, **record | lists)


def threshold(config: ReviewConfig, others: Films, training: Others) -> float:
    """Return the distance below which a film is a copy: a quantile among other patients' films."""
    return float(np.quantile(nearest(others, training)[1], config.copy))


def nearest(
    films: Films, training: Others
) -> tuple[Int[np.ndarray, " films"], Float[np.ndarray, " films"]]:
    """Return the nearest training film of each film, and how far it is, of 255."""
    from common.metrics.memorization import nearest_neighbors  # JAX, which the web does without

    index = np.zeros(len(films), int)
    distance = np.full(len(films), np.inf)
    rows = max(1, _PIXELS // training[0].size)
    for start in range(0, len(training), rows):
        part = training[start : start + rows] / np.float32(255)
        found = nearest_neighbors(films / np.float32(255), part)
        nearer = 255 * found.distance < distance
        index[nearer] = start + found.index[nearer]
        distance[nearer] = 255 * found.distance[nearer]
    return index, distance


def note(desk: Desk, training: Training | None, names: Sequence[str]) -> int:
    """Compare films, by their files' names, and keep what came of it; return how many.

    Left out are films that were compared before, and those of an engine that learned from other
    data; without `training` all of them.
    """
    if training is None:
        return 0
    with desk.read() as session:
        query = select(Film).where(Film.sha256.in_(names), ~is_compared(), _learned(training.data))
        rows = {film.sha256: film for film in session.scalars(query.order_by(Film.id.desc()))}
        followed = {sha256: _followed(session, film) for sha256, film in rows.items()}
    if not rows:
        return 0
    size = training.films.shape[1]
    films = np.stack([_image(desk, sha256, size) for sha256 in rows])
    index, distance = nearest(films, training.films)
    found = []
    for row, (sha256, film) in enumerate(zip(rows, films, strict=True)):
        like, far = training.films[index[row]], float(distance[row])
        if source := followed[sha256]:
            structure = _image(desk, source, size)
            if (own := _distance(film, structure)) < far:
                like, far = structure, own
        name = desk.store.put(png.encoded(like))
        found.append(
            Likeness(sha256=sha256, distance=far, threshold=training.threshold, nearest=name)
        )
    with desk.write() as session:
        # holds the films, so that of two who compare the second one sees what the first one kept
        session.scalars(select(Film.id).where(Film.sha256.in_(rows)).with_for_update()).all()
        there = set(session.scalars(select(Likeness.sha256).where(Likeness.sha256.in_(rows))))
        session.add_all(one for one in found if one.sha256 not in there)
    return len(found)


def missing(session: Session, data: str) -> list[str]:
    """Return the files of films that were not compared, of engines that learned from this data."""
    query = select(Film.sha256).where(~is_compared(), _learned(data)).distinct()
    return list(session.scalars(query.order_by(Film.sha256)))


def compare_missing(desk: Desk) -> int:
    """Compare the films that were not compared yet, if the data of the engine is here."""
    try:
        engine = known(desk)
    except InputError:
        return 0
    if engine is None:
        return 0
    with desk.read() as session:
        names = missing(session, engine.trained.content_hash)
    return note(desk, training_of(engine.trained), names) if names else 0


def work_once(desk: Desk) -> bool:
    """Compare what was not compared, looking for it from time to time; return whether some was."""
    folder = desk.settings.folder
    if time.monotonic() - _looked.get(folder, -_PAUSE) < _PAUSE:
        return False
    _looked[folder] = time.monotonic()
    return compare_missing(desk) > 0


def _learned(data: str):  # a condition of SQLAlchemy's
    """Return whether a film's engine learned from this data, by the canonical JSON of lineages."""
    return Film.lineage.contains(f'"data":"{data}"', autoescape=True)


def _followed(session: Session, film: Film) -> str | None:
    """Return the film that a film was drawn after, None if an engine drew that one too."""
    structure = json.loads(film.lineage)["spec"]["structure"]
    drawn = select(Film.id).where(Film.sha256 == structure).limit(1)
    return None if structure is None or session.scalar(drawn) is not None else structure


def _image(desk: Desk, sha256: str, size: int) -> UInt8[np.ndarray, "size size"]:
    image = png.decoded(desk.store.get(sha256), sha256)
    same = image.shape == (size, size)
    return image if same else gray_film.resized(gray_film.square(image), size)


def _distance(film: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean((film.astype(float) - other) ** 2)))
