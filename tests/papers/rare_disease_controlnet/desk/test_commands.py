"""Commands of the desk that end by themselves: what they do, and one line where they cannot."""

from tests.papers.rare_disease_controlnet.desk.made_up import browser  # isort: skip

import os
import re
import shutil

import pytest
from sqlalchemy import text

from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.desk.__main__ import main
from papers.rare_disease_controlnet.desk.opening import open_desk
from papers.rare_disease_controlnet.desk.settings import Settings
from tests.papers.rare_disease_controlnet.corpus_made_up import filled, film


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Let no engine be trained here, and keep no desk from before."""
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "home"))
    for name in ("DESK_DATABASE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "70000"], "--port 70000: expected from 0 to 65535"),
        (["--host", "0.0.0.0"], "--host 0.0.0.0: others could read along; put a proxy with TLS"),
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["people", "add", "ada"], "people add ada: expected add NAME ROLE, link NAME, or list"),
        (["people", "add", "ada", "boss"], "role 'boss': choose one of reviewer, researcher"),
        (["people", "add", "Ada Lovelace", "admin"], "name 'Ada Lovelace': expected 2 to 64"),
        (["people", "link", "eve"], "name eve: nobody is called so"),
        (["backup"], "arguments are required: FILE"),
        (["restore", "none.zip"], "none.zip: no such file"),
        (["audit", "--backup", "none.zip"], "none.zip: no such file"),
        (["check", "--database", "mysql://x/y"], "--database mysql: not supported"),
        (["check", "--storage", "films"], "--storage films: not an address"),
        (["check", "--storage", "s3://films"], "no keys; set AWS_ACCESS_KEY_ID and AWS_SECRET"),
        (["--engine", "nowhere", "--port", "0"], "nowhere: no such folder"),
    ],
)
def test_bad_input_is_one_line(words, message, tmp_path, capsys):
    where = [] if words == ["nonsense"] else ["--folder", str(tmp_path / "desk")]
    assert main([*words, *where]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_a_folder_that_cannot_be_used_is_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["check", "--folder", str(tmp_path / "file")]) == 2
    assert "is a file; give a folder" in capsys.readouterr().err
    if os.getuid() == 0:  # who alone can give a folder away
        (tmp_path / "other").mkdir()
        shutil.chown(tmp_path / "other", 65534)
        assert main(["check", "--folder", str(tmp_path / "other")]) == 2
        assert "belongs to another user (number 65534); start the desk" in capsys.readouterr().err
        assert list((tmp_path / "other").iterdir()) == []


def test_the_database_may_be_named_by_a_variable(tmp_path, monkeypatch, capsys):
    file = tmp_path / "another.db"
    monkeypatch.setenv("DESK_DATABASE", f"sqlite:///{file}")
    assert main(["check", "--folder", str(tmp_path / "desk")]) == 0
    assert file.exists()
    assert not (tmp_path / "desk" / "corpus.db").exists()


def test_people_are_added_and_get_new_links(tmp_path, capsys):
    where = ["--folder", str(tmp_path / "desk"), "--port", "8123"]
    assert main(["people", "add", "ada", "researcher", *where]) == 0
    first = capsys.readouterr().out.strip()
    assert main(["people", "link", "ada", *where]) == 0
    second = capsys.readouterr().out.strip()
    assert first != second
    assert re.fullmatch(r"http://127\.0\.0\.1:8123/set-up/[\w-]{43}", second)
    nobody = browser(open_desk(Settings(tmp_path / "desk")))
    paths = [one.removeprefix("http://127.0.0.1:8123") for one in (first, second)]
    assert ["was used already" in nobody.get(path).text for path in paths] == [True, False]
    assert main(["people", "list", *where]) == 0
    assert capsys.readouterr().out == "ada\tresearcher\thas not used the link yet\n"


def test_the_log_and_the_films_are_verified(tmp_path, capsys):
    where = ["--folder", str(tmp_path / "desk")]
    desk = open_desk(Settings(tmp_path / "desk"))
    for name in ("ada", "bob"):
        assert main(["people", "add", name, "reviewer", *where]) == 0
    filled(desk.corpus, 2)
    file = str(tmp_path / "desk.zip")
    assert main(["backup", file, *where]) == 0
    assert "2 films" in capsys.readouterr().out
    assert main(["audit", "--backup", file, *where]) == 0
    assert "the log is whole: 5 entries" in capsys.readouterr().out
    assert main(["check", *where]) == 0
    with desk.corpus.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_log_no_DELETE"))
        connection.execute(text("DELETE FROM audit_log WHERE id > 3"))
    assert main(["audit", *where]) == 0  # a chain does not show that its end is missing
    capsys.readouterr()
    assert main(["audit", "--backup", file, *where]) == 1  # what was noted before does
    assert capsys.readouterr().out == "the log had 4 entries and has 3: its end was cut off\n"
    name = digest(film(0)[0])
    (tmp_path / "desk" / "films" / name[:2] / f"{name}.png").unlink()
    assert main(["check", *where]) == 1
    assert f"{name}.png: no such file" in capsys.readouterr().out
    there = ["--folder", str(tmp_path / "restored")]
    assert main(["restore", file, *there]) == 0
    assert main(["check", *there]) == 0
    assert main(["audit", "--backup", file, *there]) == 0


def test_what_nobody_needs_is_swept_and_what_somebody_needs_is_not(tmp_path, capsys):
    where = ["--folder", str(tmp_path / "desk")]
    desk = open_desk(Settings(tmp_path / "desk"))
    filled(desk.corpus, 2)
    old, young = desk.store.put(film(50)[0]), desk.store.put(film(51)[0])
    for file in (tmp_path / "desk" / "films").rglob("*.png"):
        if file.stem != young:
            os.utime(file, (0, 0))
    assert main(["sweep", *where]) == 0
    assert capsys.readouterr().out == "deleted: 1 files\n"
    left = set(desk.store.names())
    assert left == {young, digest(film(0)[0]), digest(film(1)[0])}
    assert old not in left
