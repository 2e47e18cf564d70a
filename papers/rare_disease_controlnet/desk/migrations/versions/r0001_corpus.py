"""The corpus as studies have it: jobs, films, decisions, snapshots."""

import sqlalchemy as sa
from alembic import op

from papers.rare_disease_controlnet.desk.migrations.pieces import (
    key,
    of,
    one_of,
    only_added_to,
    short,
    text,
    time,
    whole,
)

revision, down_revision = "0001", None
TABLES = ("snapshot_films", "snapshots", "decisions", "films", "jobs")  # those that refer first


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "jobs",
        key(),
        text("spec"),
        short("spec_sha256", 64, index=True),
        text("asked_by"),
        short("state", 9),
        whole("priority"),
        whole("attempt"),
        text("worker", nullable=True),
        time("lease", nullable=True),
        time("created"),
        time("started", nullable=True),
        time("finished", nullable=True),
        text("reason", nullable=True),
        one_of("state", "queued", "running", "done", "failed", "cancelled"),
    )
    op.create_index("ix_jobs_next", "jobs", ["state", "priority", "id"])
    op.create_table(
        "films",
        key(),
        short("sha256", 64, index=True),
        of("job_id", "jobs"),
        whole("number"),
        text("label"),
        sa.Column("seed", sa.BigInteger, nullable=False),
        text("lineage"),
        whole("width"),
        whole("height"),
        time("created"),
        sa.UniqueConstraint("job_id", "number"),
    )
    op.create_table(
        "decisions",
        key(),
        of("film_id", "films", index=True),
        text("reviewer"),
        text("kind"),
        short("verdict", 9),
        whole("score", nullable=True),
        text("reasons"),
        text("comment"),
        time("created"),
        of("supersedes", "decisions", nullable=True),
        one_of("verdict", "accepted", "rejected", "withdrawn"),
        sa.CheckConstraint("score BETWEEN 1 AND 5", name="score"),
        sa.UniqueConstraint("supersedes"),
    )
    op.create_table(
        "snapshots",
        key(),
        text("name", unique=True),
        short("content", 64),
        text("made_by"),
        time("created"),
    )
    op.create_table(
        "snapshot_films",
        of("snapshot_id", "snapshots", primary_key=True),
        of("film_id", "films", primary_key=True),
    )
    only_added_to(("decisions", "snapshots", "snapshot_films"))


def downgrade() -> None:
    """Drop the tables, with all that is in them."""
    for table in TABLES:
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION refuse_change()")
