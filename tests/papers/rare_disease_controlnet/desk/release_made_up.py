"""What tests of what follows reading share: films that were asked for, and sets that were read."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.canonical import canonical, digest
from papers.rare_disease_controlnet.corpus.corpus import keep
from papers.rare_disease_controlnet.corpus.queue import claim, finish
from papers.rare_disease_controlnet.corpus.tables import Film, now
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.jobs.asking import ask
from papers.rare_disease_controlnet.desk.jobs.spec import Asked
from papers.rare_disease_controlnet.desk.reading import opening
from papers.rare_disease_controlnet.desk.settings import Limits
from papers.rare_disease_controlnet.desk.tables import (
    Answer,
    Likeness,
    Presentation,
    Reader,
    ReadingSet,
    SetItem,
)
from tests.papers.rare_disease_controlnet.corpus_made_up import LINEAGE, SPEC
from tests.papers.rare_disease_controlnet.desk.made_up import a_user

SIDE = 16
ARTIST = "artemisia"  # who asks for films
Said = tuple[str, int] | tuple[str, int, Sequence[str], str]  # quality, score, artefacts, comment


def image(number: int, side: int = SIDE) -> np.ndarray:
    """Return a film, another one for each number."""
    return np.random.default_rng(number).integers(0, 256, (side, side), np.uint8)


def drawn(
    desk: Desk,
    count: int,
    *,
    first: int = 0,
    label: str = "pneumothorax",
    images: Sequence[np.ndarray] | None = None,
    structure: str | None = None,
) -> list[int]:
    """Return the keys of the films of one job, asked for and drawn."""
    films = [image(first + number) for number in range(count)] if images is None else images
    owner = a_user(desk, ARTIST, "researcher")
    control = "none" if structure is None else "canny"
    asked = Asked(
        label, f"a film with {label}", count=count, steps=10, seed=first, control=control,
        structure=structure,
    )  # fmt: skip
    with desk.write() as session:
        row = ask(session, asked, owner, Limits(queued_jobs=10**6, jobs_an_hour=10**6))
        row.priority, job = 10**6, row.id  # before those that draw films again
    with desk.write() as session:
        taken = claim(session, "worker")
    assert taken is not None
    assert taken.job == job
    keys = []
    for number, one in enumerate(films):
        content = png.encoded(one)
        spec = replace(
            SPEC, label=label, seed=first + number, size=len(one), structure=structure,
            control=control,
        )  # fmt: skip
        lineage = replace(LINEAGE, spec=spec, output=digest(content))
        keys.append(keep(desk.corpus, taken, number, content, lineage))
    with desk.write() as session:
        finish(session, taken)
    return keys


def film(desk: Desk, key: int) -> Film:
    """Return a film's row."""
    with desk.read() as session:
        return session.get_one(Film, key)


def compared(desk: Desk, keys: Sequence[int], distance: float = 30.0) -> None:
    """Say how far films are from training films; at 10 and below they are copies."""
    nearest = desk.store.put(png.encoded(image(9999)))
    names = {film(desk, key).sha256 for key in keys}
    with desk.write() as session:
        for name in sorted(names):
            session.add(Likeness(sha256=name, distance=distance, threshold=10.0, nearest=nearest))


def read(
    desk: Desk, keys: Sequence[int], said: Mapping[str, Sequence[Said | None]], name: str = "first"
) -> int:
    """Return a set of these films and a real one that was read, still open.

    `said` is by reader what they say of each film; None: nothing. One entry more than there are
    films is about the first film, shown a second time.
    """
    maker = a_user(desk, "maker", "researcher")
    with desk.write() as session:
        made = ReadingSet(name=name, seed=1, made_by=maker.id, opened=now())
        session.add(made)
        session.flush()
        films = [session.get_one(Film, key) for key in keys]
        items = [
            SetItem(
                set_id=made.id, kind="synthetic", label=one.label, film_id=one.id,
                source=one.sha256, shown=one.sha256,
            )
            for one in films
        ]  # fmt: skip
        real = SetItem(set_id=made.id, kind="real", label="normal", source="aa", shown="aa")
        session.add_all([*items, real])
        session.flush()
    for reader, answers in said.items():
        user = a_user(desk, reader, "reviewer")
        with desk.write() as session:
            row = Reader(set_id=made.id, user_id=user.id)
            session.add(row)
            session.flush()
            shown = [real, *items, items[0]][: len(answers) + 1]
            for place, (item, answer) in enumerate(
                zip(shown, [("artefacted", 1), *answers], strict=True)
            ):
                presentation = Presentation(
                    reader_id=row.id, item_id=item.id, place=place, repeat=place > len(items),
                    token=f"{row.id}-{place}",
                )  # fmt: skip
                session.add(presentation)
                session.flush()
                if answer is not None:
                    session.add(an_answer(presentation.id, 1, answer))
    return made.id


def an_answer(presentation: int, version: int, said: Said, undone: bool = False) -> Answer:
    """Return an answer."""
    quality, score, artefacts, comment = (*said, (), "")[:4] if len(said) == 2 else said
    return Answer(
        presentation_id=presentation,
        version=version,
        key=f"{presentation:030d}-{version}",
        undone=undone,
        quality=quality,
        score=score,
        artefacts=canonical(list(artefacts), "artefacts"),
        comment=comment,
        origin=3,
    )


def close(desk: Desk, set_id: int) -> None:
    """Close a set."""
    with desk.write() as session:
        opening.close_set(session, "maker", set_id, desk.settings.limits)


def accepted(desk: Desk, count: int, **options: object) -> list[int]:
    """Return films that a reader accepted and that are no copies."""
    keys = drawn(desk, count, **options)  # type: ignore[arg-type]
    compared(desk, keys)
    close(desk, read(desk, keys, {"rosalind": [("legitimate", 4)] * count}, f"set of {keys[0]}"))
    return keys
