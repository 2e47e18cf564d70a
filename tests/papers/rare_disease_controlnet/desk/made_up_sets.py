"""Sets that tests read: films of random blocks, half of them called synthetic."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import select

from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.corpus import keep
from papers.rare_disease_controlnet.corpus.queue import claim, enqueue
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.reading import opening, sets
from papers.rare_disease_controlnet.desk.tables import (
    JobDetail,
    Presentation,
    Reader,
    SetItem,
    User,
)
from tests.papers.rare_disease_controlnet.corpus_made_up import LINEAGE, SPEC
from tests.papers.rare_disease_controlnet.desk.made_up import a_user

SIDE = 16  # pixels of a synthetic film, and so of all that are shown
PROMPT = "frontal chest X-ray showing a conspicuous quibble"
LABEL, NORMAL = "quibble", "plainchest"  # of synthetic and real films: words that no page says
FIRST_SEED = 770000
ARTIST = "artemisia"  # who asked for them


@dataclass(frozen=True)
class Item:
    """A film as a reader is shown it, and what it is."""

    place: int
    token: str
    kind: str
    repeat: bool


def image(number: int, side: int = SIDE) -> np.ndarray:
    """Return a film, another one for each number."""
    return np.random.default_rng(number).integers(0, 256, (side, side), np.uint8)


def drawn(desk: Desk, count: int, owner: str = ARTIST, first: int = 0) -> list[int]:
    """Return new films of one job of somebody's, numbered from `first`."""
    person = a_user(desk, owner, "researcher")
    with desk.write() as session:
        job = enqueue(session, {"label": LABEL}, asked_by=owner)
        session.add(JobDetail(job_id=job.id, owner=person.id, films=count, steps=1))
    with desk.write() as session:
        taken = claim(session, "worker")
    assert taken
    films = []
    for number in range(count):
        content = png.encoded(image(1000 + first + number))
        spec = replace(
            SPEC, label=LABEL, prompt=PROMPT, size=SIDE, seed=FIRST_SEED + first + number
        )
        lineage = replace(LINEAGE, spec=spec, output=digest(content))
        films.append(keep(desk.corpus, taken, number, content, lineage))
    return films


def filled(desk: Desk, real: int = 3, synthetic: int = 3, **values: object) -> int:
    """Return a set that is not open, with films and without readers."""
    maker = a_user(desk, "maker", "researcher")
    made = {"name": "chests", "instructions": "Look twice.", "seed": 5, "repeats": 0.0} | values
    with desk.write() as session:
        one = sets.create(session, maker, **made)  # type: ignore[arg-type]
    drawn(desk, synthetic)
    with desk.write() as session:
        sets.add_synthetic(session, maker.name, one.id, synthetic)
    films = [
        sets.Real(image(number, 40), NORMAL, f"brought-{number}.png") for number in range(real)
    ]
    sets.add_real(desk, maker, one.id, films)
    return one.id


def opened(
    desk: Desk, readers: Sequence[str] = ("rosalind",), *counts: int, **values: object
) -> int:
    """Return a set that its readers may begin with."""
    one = filled(desk, *counts, **values)
    for name in readers:
        person = a_user(desk, name, "reviewer")
        with desk.write() as session:
            sets.add_reader(session, "maker", one, person.id, "resident")
    opening.open_set(desk, "maker", one)
    return one


def shown_to(desk: Desk, name: str) -> list[Item]:
    """Return what somebody is shown, in order."""
    query = (
        select(Presentation, SetItem.kind)
        .join(Reader, Reader.id == Presentation.reader_id)
        .join(User, User.id == Reader.user_id)
        .join(SetItem, SetItem.id == Presentation.item_id)
        .where(User.name == name)
        .order_by(Reader.id, Presentation.place)
    )
    with desk.read() as session:
        rows = session.execute(query).all()
    return [Item(one.place, one.token, kind, one.repeat) for one, kind in rows]


def a_key(number: int) -> str:
    """Return a form's key."""
    return f"{number:032d}"


def quality(key: str, **values: object) -> dict[str, object]:
    """Return a filled-in form of the first step."""
    return {"key": key, "quality": "legitimate", "score": "4"} | values
