"""What tests of reports share: sets that were read by readers who see more or less."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy.orm import Session

from papers.rare_disease_controlnet.corpus.corpus import keep
from papers.rare_disease_controlnet.corpus.tables import now
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.tables import (
    Answer,
    Presentation,
    Reader,
    ReadingSet,
    SetItem,
)
from tests.papers.rare_disease_controlnet.corpus_made_up import film, taken
from tests.papers.rare_disease_controlnet.desk.made_up import a_user

LABELS = ("pneumothorax", "cardiomegaly", "normal")


@dataclass(frozen=True)
class Eye:
    """A reader: how well they tell films apart (0: not at all), and who they are."""

    name: str
    ability: float = 0.0
    experience: str = ""
    reads: float = 1.0  # share of the set


@dataclass(frozen=True)
class Looks:
    """How films look to everybody: which are odd, and which are good."""

    odd: np.ndarray
    good: np.ndarray


def a_read_set(
    desk: Desk,
    eyes: Sequence[Eye],
    *,
    real: int = 12,
    synthetic: int = 12,
    name: str = "first reading",
    comments: Sequence[str] = (),
    closed: bool = True,
    repeats: int = 3,
    seed: int = 0,
) -> int:
    """Return the key of a set that was read, as chance and the readers' abilities have it."""
    rng = np.random.default_rng(seed)
    films = _films(desk, synthetic)
    maker = a_user(desk, "maker", "researcher").id
    users = [a_user(desk, eye.name, "reviewer").id for eye in eyes]
    with desk.write() as session:
        made = ReadingSet(name=name, seed=1, made_by=maker, opened=now())
        session.add(made)
        session.flush()
        items = [_item(made.id, number, real, films) for number in range(real + synthetic)]
        session.add_all(items)
        session.flush()
        looks = Looks(*rng.normal(0, 0.5, (2, len(items))))
        said = iter(comments)
        for eye, user in zip(eyes, users, strict=True):
            reader = Reader(set_id=made.id, user_id=user, experience=eye.experience)
            session.add(reader)
            session.flush()
            shown = [items[place] for place in rng.permutation(len(items))]
            again = shown[:repeats]
            for place, item in enumerate([*shown, *again]):
                presentation = Presentation(
                    reader_id=reader.id,
                    item_id=item.id,
                    place=place,
                    repeat=place >= len(shown),
                    token=f"{reader.id}-{place}",
                )
                session.add(presentation)
                session.flush()
                if place < eye.reads * (len(shown) + len(again)):
                    number = items.index(item)
                    session.add(_answer(presentation.id, item, number, eye, looks, rng, said))
        if closed:
            made.closed = now()
        return made.id


def _item(set_id: int, number: int, real: int, films: list[int]) -> SetItem:
    synthetic = number >= real
    return SetItem(
        set_id=set_id,
        kind="synthetic" if synthetic else "real",
        label=LABELS[number % len(LABELS)],
        film_id=films[number - real] if synthetic else None,
        source=f"{number:064x}",
        shown=f"{number:064x}",
    )


def _answer(
    presentation: int,
    item: SetItem,
    number: int,
    eye: Eye,
    looks: Looks,
    rng: np.random.Generator,
    said: Iterator[str],
) -> Answer:
    synthetic = item.kind == "synthetic"
    seen = looks.odd[number] + rng.normal(0, 0.8) + eye.ability * (0.5 if synthetic else -0.5)
    score = int(np.clip(np.rint(3.6 + looks.good[number] + rng.normal(0, 0.7)), 1, 5))
    return Answer(
        presentation_id=presentation,
        version=1,
        key=f"{presentation}",
        quality="legitimate" if score > 2 else "artefacted",
        score=score,
        artefacts=json.dumps(["ribs"] if score < 3 else []),
        comment=next(said, ""),
        origin=int(1 + np.digitize(seen, [-1.0, -0.3, 0.3, 1.0])),
        seconds=float(np.round(rng.uniform(4, 30), 1)),
    )


def _films(desk: Desk, count: int) -> list[int]:
    """Keep films that were drawn with different guidance; return their keys."""
    claimed = taken(desk.corpus)
    kept = []
    for number in range(count):
        content, lineage = film(number)
        spec = replace(lineage.spec, guidance=5.0 + number % 4)
        kept.append(keep(desk.corpus, claimed, number, content, replace(lineage, spec=spec)))
    return kept


def undo(session: Session, presentation: int) -> None:
    """Take the answer to a presentation back."""
    session.add(
        Answer(presentation_id=presentation, version=2, key=f"undo {presentation}", undone=True)
    )
