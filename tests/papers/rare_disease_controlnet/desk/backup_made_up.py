"""What tests of backups share: a desk with something in every table."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_user  # isort: skip

import zipfile
from pathlib import Path

from sqlalchemy import select

from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.decisions import decide
from papers.rare_disease_controlnet.corpus.snapshots import freeze
from papers.rare_disease_controlnet.corpus.tables import Base, now
from papers.rare_disease_controlnet.desk.accounts import sessions
from papers.rare_disease_controlnet.desk.audit.log import record
from papers.rare_disease_controlnet.desk.backup import LEFT_OUT
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.opening import open_desk
from papers.rare_disease_controlnet.desk.settings import Settings
from papers.rare_disease_controlnet.desk.tables import (
    Answer,
    Draft,
    JobDetail,
    Likeness,
    Pace,
    Presentation,
    Preview,
    Reader,
    ReadingSet,
    Retraining,
    SetItem,
    Upload,
)
from tests.papers.rare_disease_controlnet.corpus_made_up import (
    filled,
    film,
)


def a_full_desk(folder: Path, address: str | None = None) -> Desk:
    """Return a desk with something in every table."""
    desk = open_desk(Settings(folder, database=address))
    ada, bob = a_user(desk, "ada", "researcher"), a_user(desk, "bob", "reviewer")
    ids = filled(desk.corpus, 5)
    real = desk.store.put(film(100)[0])
    with desk.write() as session:
        sessions.begin(session, ada)
        decide(session, ids[0], reviewer="bob", kind="reading", verdict="accepted", score=5)
        first = decide(session, ids[1], reviewer="bob", kind="reading", verdict="accepted")
        decide(
            session, ids[1], reviewer="bob", kind="reading", verdict="rejected",
            comment="größer, 右", supersedes=first.id,
        )  # fmt: skip
        snapshot = freeze(session, "first", "ada")
        session.add(Upload(sha256=real, owner=ada.id, name="a film.png", width=8, height=8))
        session.add(JobDetail(job_id=1, owner=ada.id, films=5, steps=20, parent=ids[0]))
        session.add(Preview(job_id=1, number=3, film=1, step=4, content=b"\x00\xff"))
        session.add(Pace(work="a", device="cpu", start=0.1, step=1 / 3))
        session.add(Likeness(sha256=digest(film(0)[0]), distance=1.5, threshold=1, nearest=real))
        session.add(Retraining(snapshot_id=snapshot.id, asked_by=ada.id, lease=now()))
        reading = ReadingSet(name="first", seed=2**31 - 1, made_by=ada.id, opened=now())
        session.add(reading)
        session.flush()
        item = SetItem(set_id=reading.id, kind="real", label="normal", source=real, shown=real)
        reader = Reader(set_id=reading.id, user_id=bob.id, experience="resident")
        session.add_all([item, reader])
        session.flush()
        shown = Presentation(reader_id=reader.id, item_id=item.id, place=0, token="t" * 43)
        session.add(shown)
        session.flush()
        session.add(Draft(presentation_id=shown.id, content='{"comment": "%\\n"}'))
        session.add(
            Answer(presentation_id=shown.id, version=1, key="k" * 64, quality="legitimate", score=4)
        )
        for number in range(3):
            record(session, "ada", "set opened", f"set {number}", {"films": number})
    return desk


def rows(desk: Desk) -> dict:
    """Return all rows of all tables that are backed up, as the program sees them."""
    with desk.corpus.engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(
                select(table).order_by(*table.primary_key.columns))]
            for table in Base.metadata.sorted_tables if table.name not in LEFT_OUT
        }  # fmt: skip


def changed(whole: Path, out: Path, change) -> Path:
    """Write a backup whose members `change` has changed; it gets and returns them by name."""
    with zipfile.ZipFile(whole) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in change(members).items():
            archive.writestr(name, content)
    return out
