"""What is not needed any more is swept, and nothing else."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, a_user  # isort: skip

import os
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import update

from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.corpus import FILMS
from papers.rare_disease_controlnet.corpus.tables import Job, now
from papers.rare_disease_controlnet.desk.release import retention
from papers.rare_disease_controlnet.desk.storage import Files
from papers.rare_disease_controlnet.desk.tables import (
    AuditEntry,
    Draft,
    Presentation,
    Preview,
    ReadingSet,
    Upload,
    UserSession,
)
from tests.papers.rare_disease_controlnet.desk.release_made_up import drawn, film, image, read


def test_what_is_not_needed_is_swept(tmp_path):
    desk = a_desk(tmp_path)
    desk = replace(desk, corpus=replace(desk.corpus, store=Files(tmp_path / FILMS)))
    (key,) = drawn(desk, 1)
    one = read(desk, [key], {"rosalind": [None]})
    old = now() - timedelta(days=40)
    owner = a_user(desk, "kim", "researcher")
    names = [desk.store.put(png.encoded(image(3000 + number))) for number in range(5)]
    used, unused, young, orphan, new = names
    (followed,) = drawn(desk, 1, first=60, structure=used)
    with desk.write() as session:
        running = film(desk, key).job_id
        ended = film(desk, followed).job_id
        session.execute(update(Job).where(Job.id == running).values(state="running"))
        for job in (running, ended):
            session.add(Preview(job_id=job, number=1, film=0, step=1, content=b"x"))
        shown_ = session.query(Presentation).order_by(Presentation.id).first()
        session.add(Draft(presentation_id=shown_.id, content="{}"))
        for name, created in ((used, old), (unused, old), (young, now())):
            session.add(
                Upload(sha256=name, owner=owner.id, name="x", width=1, height=1, created=created)
            )
        for token, created in (("a" * 64, old), ("b" * 64, now())):
            session.add(
                UserSession(
                    token=token, user_id=owner.id, form_token="f", created=created, seen=created
                )
            )
    for file in (tmp_path / FILMS).glob("*/*.png"):
        if file.stem != new:
            os.utime(file, (old.timestamp(), old.timestamp()))
    left = tmp_path / retention.EXPORTS / "left"
    left.mkdir(parents=True)
    os.utime(left, (old.timestamp(), old.timestamp()))
    counts = retention.sweep(desk)
    # the file of the upload that is gone, and the one that no row names; a copy of a training film
    # and all that is shown or was drawn after stay
    assert counts == {
        "previews": 1, "drafts": 0, "sessions": 1, "uploads": 1, "files": 2, "exports": 1,
    }  # fmt: skip
    kept = set(desk.store.names())
    assert {unused, orphan} & kept == set()
    assert {used, young, new, film(desk, key).sha256, film(desk, followed).sha256} <= kept
    with desk.read() as session:
        assert [row.job_id for row in session.query(Preview)] == [running]
        assert session.query(Draft).count() == 1
    with desk.write() as session:
        session.get(ReadingSet, one).closed = now()
    assert retention.sweep(desk)["drafts"] == 1
    assert not any(retention.sweep(desk).values())
    with desk.read() as session:
        assert session.query(AuditEntry).filter_by(action="swept").count() == 2
