"""The desk's own tables, and jobs that wait because somebody paused them."""

import sqlalchemy as sa
from alembic import op

from papers.rare_disease_controlnet.desk.migrations.pieces import (
    flag,
    key,
    of,
    one_of,
    only_added_to,
    real,
    short,
    text,
    time,
    whole,
)

revision, down_revision = "0002", "0001"
TABLES = (  # those that refer first
    *("drafts", "answers", "presentations", "readers", "set_items", "reading_sets"),
    *("retrainings", "likenesses", "paces", "previews", "job_details", "uploads"),
    *("audit_log", "login_attempts", "user_sessions", "users"),
)
_STATES = ("queued", "running", "done", "failed", "cancelled")


def upgrade() -> None:
    """Make the tables."""
    _admit("queued", "paused", *_STATES[1:])
    _people()
    _work()
    _reading()
    only_added_to(("audit_log", "answers"))


def downgrade() -> None:
    """Drop the tables, with all that is in them; paused jobs are queued again."""
    for table in TABLES:
        op.drop_table(table)
    op.execute("UPDATE jobs SET state = 'queued' WHERE state = 'paused'")
    _admit(*_STATES)


def _admit(*states: str) -> None:
    """Change what states a job can be in."""
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_constraint(op.f("ck_jobs_state"), type_="check")
        listed = ", ".join(f"'{state}'" for state in states)
        jobs.create_check_constraint("state", f"state IN ({listed})")


def _people() -> None:
    op.create_table(
        "users",
        key(),
        short("name", 64, unique=True),
        short("role", 10),
        text("password", nullable=True),
        flag("disabled"),
        short("link", 64, nullable=True, unique=True),
        time("link_until", nullable=True),
        time("created"),
        one_of("role", "reviewer", "researcher", "admin"),
    )
    op.create_table(
        "user_sessions",
        short("token", 64, primary_key=True),
        of("user_id", "users", index=True),
        short("form_token", 64),
        time("created"),
        time("seen"),
    )
    op.create_table("login_attempts", key(), short("key", 128, index=True), time("at"))
    op.create_table(
        "audit_log",
        key(),
        time("at"),
        text("actor"),
        text("action"),
        text("subject"),
        text("detail"),
        short("previous", 64, unique=True),
        short("sha256", 64),
    )


def _work() -> None:
    op.create_table(
        "uploads",
        key(),
        short("sha256", 64),
        of("owner", "users"),
        text("name"),
        whole("width"),
        whole("height"),
        time("created"),
        sa.UniqueConstraint("sha256", "owner"),
    )
    op.create_table(
        "job_details",
        of("job_id", "jobs", primary_key=True),
        of("owner", "users", index=True),
        whole("films"),
        whole("drawn"),
        whole("step"),
        whole("steps"),
        text("stage"),
        of("parent", "films", nullable=True),
        whole("generation"),
        time("updated"),
    )
    op.create_table(
        "previews",
        of("job_id", "jobs", primary_key=True),
        whole("number"),
        whole("film"),
        whole("step"),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "paces",
        key(),
        text("work", index=True),
        text("device"),
        real("start"),
        real("step"),
        time("at"),
    )
    op.create_table(
        "likenesses",
        short("sha256", 64, primary_key=True),
        real("distance"),
        real("threshold"),
        short("nearest", 64),
        time("at"),
    )
    op.create_table(
        "retrainings",
        key(),
        of("snapshot_id", "snapshots"),
        of("asked_by", "users"),
        short("state", 7),
        text("stage"),
        text("worker", nullable=True),
        time("lease", nullable=True),
        whole("attempt"),
        text("metrics", nullable=True),
        text("reason", nullable=True),
        time("created"),
        time("finished", nullable=True),
        one_of("state", "waiting", "running", "done", "failed"),
    )
    op.create_index("ix_retrainings_state", "retrainings", ["state"])


def _reading() -> None:
    op.create_table(
        "reading_sets",
        key(),
        short("name", 120, unique=True),
        text("instructions"),
        whole("seed"),
        real("repeats"),
        of("made_by", "users"),
        time("created"),
        time("opened", nullable=True),
        time("closed", nullable=True),
        sa.CheckConstraint("repeats BETWEEN 0 AND 0.5", name="repeats"),
    )
    op.create_table(
        "set_items",
        key(),
        of("set_id", "reading_sets", index=True),
        short("kind", 9),
        text("label"),
        of("film_id", "films", nullable=True),
        text("source"),
        short("shown", 64),
        one_of("kind", "real", "synthetic"),
        sa.UniqueConstraint("set_id", "shown"),
    )
    op.create_table(
        "readers",
        key(),
        of("set_id", "reading_sets", index=True),
        of("user_id", "users", index=True),
        text("experience"),
        flag("unblinded"),
        time("created"),
        sa.UniqueConstraint("set_id", "user_id"),
    )
    op.create_table(
        "presentations",
        key(),
        of("reader_id", "readers", index=True),
        of("item_id", "set_items"),
        whole("place"),
        flag("repeat"),
        short("token", 43, unique=True),
        sa.UniqueConstraint("reader_id", "place"),
    )
    op.create_table(
        "answers",
        key(),
        of("presentation_id", "presentations", index=True),
        whole("version"),
        short("key", 64, unique=True),
        flag("undone"),
        short("quality", 10, nullable=True),
        whole("score", nullable=True),
        text("artefacts"),
        text("comment"),
        whole("origin", nullable=True),
        real("seconds", nullable=True),
        time("at"),
        one_of("quality", "legitimate", "artefacted"),
        sa.CheckConstraint("score BETWEEN 1 AND 5", name="score"),
        sa.CheckConstraint("origin BETWEEN 1 AND 5", name="origin"),
        sa.UniqueConstraint("presentation_id", "version"),
    )
    op.create_table(
        "drafts",
        of("presentation_id", "presentations", primary_key=True),
        text("content"),
        time("updated"),
    )
