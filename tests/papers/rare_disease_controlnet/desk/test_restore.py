"""Backups that are not restored: cut off, damaged, forged, or into a place that is not empty."""

from tests.papers.rare_disease_controlnet.desk.backup_made_up import (  # isort: skip
    a_full_desk,
    changed,
    rows,
)

import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import inspect

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.database import connect
from papers.rare_disease_controlnet.desk.backup import backup
from papers.rare_disease_controlnet.desk.opening import open_desk
from papers.rare_disease_controlnet.desk.restoring import restore
from papers.rare_disease_controlnet.desk.settings import Settings
from tests.papers.rare_disease_controlnet.corpus_made_up import film
from tests.papers.rare_disease_controlnet.desk.made_up import a_user


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    backup(a_full_desk(folder / "before"), folder / "desk.zip")
    return folder / "desk.zip"


def refuses(file: Path, place: Path, message: str) -> None:
    """Expect one line, and nothing in the place that there was not before."""
    before = sorted(place.rglob("*")) if place.exists() else None
    with pytest.raises(InputError, match=message) as one:
        restore(Settings(place), file)
    assert "\n" not in str(one.value)
    assert (sorted(place.rglob("*")) if place.exists() else None) == before


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_backup_that_was_cut_off_is_refused(share, whole, tmp_path):
    content = whole.read_bytes()
    file = tmp_path / "cut.zip"
    file.write_bytes(content[: int(share * len(content))])
    refuses(file, tmp_path / "after", "cut off or damaged, or no backup; nothing was changed")


def test_every_bit_counts(whole, tmp_path):
    content = bytearray(whole.read_bytes())
    found, file = [], tmp_path / "damaged.zip"
    for at in range(50, len(content), len(content) // 40):
        content[at] ^= 1
        file.write_bytes(content)
        content[at] ^= 1
        place = tmp_path / str(at)
        with suppress(InputError):
            restore(Settings(place), file)
        if place.exists():  # a bit that says nothing, such as one of a member's time
            found.append(rows(open_desk(Settings(place))))
    assert len(found) < 10
    assert all(len(one["films"]) == 5 for one in found)


def without(name):
    return lambda members: {key: value for key, value in members.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("tables/answers.jsonl"), "holds other files than its manifest says"),
        (without("manifest.json"), "is no backup of a desk"),
        (lambda members: members | {"../evil": b"x"}, "holds other files than its manifest"),
        (lambda members: members | {"manifest.json": b"{}"}, "manifest that cannot be read"),
        (
            lambda members: members | {"manifest.json": members["manifest.json"].replace(
                b'"format": 1', b'"format": 2')},
            "format 2, this program knows 1; update it",
        ),
        (
            lambda members: members | {"tables/audit_log.jsonl": members[
                "tables/audit_log.jsonl"].replace(b"set opened", b"set closed")},
            r"tables/audit_log\.jsonl in it is damaged",
        ),
    ],
)  # fmt: skip
def test_a_backup_with_other_contents_is_refused(change, message, whole, tmp_path):
    refuses(changed(whole, tmp_path / "desk.zip", change), tmp_path / "after", message)


def sealed_again(name: str, change):
    """Change a member, and its hash in the manifest too, as a forger would."""

    def changing(members):
        new = change(members[name])
        manifest = members["manifest.json"].decode()
        manifest = manifest.replace(digest(members[name]), digest(new))
        return members | {name: new, "manifest.json": manifest.encode()}

    return changing


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines.replace(b"set opened", b"set closed"), "entry 1 .* was changed"),
        (lambda lines: b"".join(lines.splitlines(True)[:-1]), "its end was cut off"),
        (lambda lines: b"".join(lines.splitlines(True)[1:]), "the entry before it was removed"),
    ],
)
def test_a_forged_log_is_refused(change, message, whole, tmp_path):
    forged = sealed_again("tables/audit_log.jsonl", change)
    file = changed(whole, tmp_path / "forged.zip", forged)
    place = tmp_path / "after"
    with pytest.raises(InputError, match=message):
        restore(Settings(place), file)
    assert list(place.rglob("*.png")) == []
    assert inspect(connect(f"sqlite:///{place / 'corpus.db'}")).get_table_names() == []
    restore(Settings(place), whole)  # so that a good one still goes there


def test_a_row_whose_film_is_missing_is_refused(whole, tmp_path):
    gone = f"films/{digest(film(2)[0])}.png"

    def change(members):
        manifest = members["manifest.json"].decode().splitlines(keepends=True)
        kept = "".join(line for line in manifest if gone not in line)
        return without(gone)(members) | {"manifest.json": kept.encode()}

    file = changed(whole, tmp_path / "desk.zip", change)
    with pytest.raises(InputError, match=rf"Film\.sha256: {gone[6:-4]} is not in it"):
        restore(Settings(tmp_path / "after"), file)


def test_what_is_not_empty_is_not_restored_into(whole, tmp_path):
    desk = open_desk(Settings(tmp_path / "desk"))
    a_user(desk, "eve", "admin")
    before = rows(desk)
    refuses(whole, tmp_path / "desk", "has rows in users already; restore into an empty place")
    assert rows(desk) == before
    assert list(desk.store.names()) == []
    (tmp_path / "other").mkdir()
    shutil.copytree(whole.parent / "before" / "films", tmp_path / "other" / "films")
    refuses(whole, tmp_path / "other", "holds films already")


def test_an_empty_desk_that_was_opened_before_is_restored_into(whole, tmp_path):
    settings = Settings(tmp_path / "desk")
    open_desk(settings)
    restore(settings, whole)
    assert len(rows(open_desk(settings))["films"]) == 5


def test_what_is_no_file_is_refused(tmp_path):
    refuses(tmp_path / "none.zip", tmp_path / "after", r"none\.zip: no such file")
    (tmp_path / "text.zip").write_text("hello")
    refuses(tmp_path / "text.zip", tmp_path / "after", "cut off or damaged, or no backup")
    refuses(tmp_path, tmp_path / "after", "cannot be read")
