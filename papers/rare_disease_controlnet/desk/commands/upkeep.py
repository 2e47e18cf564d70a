"""Upkeep of a desk: backup and restore, the log's chain, whether all is whole, sweeping."""

from __future__ import annotations

from pathlib import Path

from papers.rare_disease_controlnet.corpus.check import check as check_corpus
from papers.rare_disease_controlnet.desk.audit.log import DESK, record
from papers.rare_disease_controlnet.desk.audit.verify import head, verify
from papers.rare_disease_controlnet.desk.backup import Manifest, backup
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.restoring import manifest_of, restore
from papers.rare_disease_controlnet.desk.settings import Settings


def back_up(desk: Desk, file: Path) -> list[str]:
    """Write a backup, and note in the log that there is one; return lines to print."""
    manifest = backup(desk, file)
    with desk.write() as session:
        told = {"entries": manifest.audit.count, "head": manifest.audit.sha256}
        record(session, DESK, "backup written", "", told)
    return [f"{file}: {_told(manifest)}"]


def restore_from(settings: Settings, file: Path) -> list[str]:
    """Make a desk from a backup; return lines to print."""
    return [f"restored: {_told(restore(settings, file))}; log and films are whole"]


def audit(desk: Desk, backups: list[Path]) -> tuple[int, list[str]]:
    """Verify the log, also against the heads that backups hold; return status and lines."""
    noted = [manifest_of(file).audit for file in backups]
    with desk.read() as session:
        wrong = verify(session, noted)
        now = head(session)
    if wrong:
        return 1, wrong
    return 0, [f"the log is whole: {now.count} entries, the last {now.sha256}"]


def check(desk: Desk) -> tuple[int, list[str]]:
    """Return whether films and rows fit each other: status and lines."""
    wrong = [line for line in check_corpus(desk.corpus) if not line.endswith("a file of no film")]
    return (1, wrong) if wrong else (0, ["films and rows are whole"])


def sweep(desk: Desk) -> list[str]:
    """Delete what nobody needs any more; return lines to print."""
    from papers.rare_disease_controlnet.desk.release import retention

    counts = retention.sweep(desk)
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return [f"deleted: {told}" if told else "nothing to delete"]


def _told(manifest: Manifest) -> str:
    rows = sum(manifest.rows.values())
    return f"{manifest.films} films, {rows} rows, {manifest.audit.count} entries of the log"
