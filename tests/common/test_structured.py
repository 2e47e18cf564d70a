"""TOML and JSON files of any content: read, or refused in one line that names the file."""

import json
import math
from pathlib import Path

import pytest

from common.errors import InputError
from common.report import reported
from common.results import folder as results
from common.results import metrics_file
from common.structured import dumps, read_json, read_toml, require
from common.study import experiment as experiments
from papers import studies

DAMAGED = {
    "empty": b"",
    "cut off": b'{"a": [1, 2',
    "zeros": b"\0" * 64,
    "Latin-1": b'{"a": "M\xfcller"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "too deep": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "a list": b"[1, 2]",
    "a page of HTML": b"<!doctype html><title>404</title>",
}
SMOKE = Path(studies.load("lgg").experiments / "smoke.toml").read_text()
SOURCE = (studies.load("lgg").folder / "reported.toml").read_text()
WRONG = ["3", "-1", "[]", "[1]", "{}", "{a = 1}", '""', "true", "nan", "inf", "1e400", "1979-05-27"]


def refused(read, path: Path, content: bytes) -> str:
    """Return the line that a reader refuses a file with."""
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read(path)
    line = str(error.value)
    assert line.startswith(str(path))
    assert "\n" not in line
    return line


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    assert "fetch it" in refused(
        lambda path: read_json(path, "fetch it"), tmp_path / "f", DAMAGED[name]
    )
    for folder in ("manifest.json", "metrics.json"):
        (tmp_path / folder).write_bytes(DAMAGED[name])
    with pytest.raises(InputError, match=r"manifest\.json: .*run replicate again"):
        results.manifest(tmp_path)
    with pytest.raises(InputError, match=r"metrics\.json: .*run replicate again"):
        metrics_file.load(tmp_path / "metrics.json")
    if name not in ("empty", "a list"):  # which TOML can be, or means by a heading
        for read in (read_toml, experiments.read, reported.read):
            refused(read, tmp_path / "f.toml", DAMAGED[name])


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_bytes(b"\xef\xbb\xbf" + SMOKE.encode())
    assert experiments.read(tmp_path / "f.toml").scale == "smoke"
    (tmp_path / "f.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "f.json") == {"a": 1}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
    "key", ["title", "scale", "seeds", "minutes", "expected", "verify", "config"]
)
def test_a_wrong_type_in_an_experiment_is_named(key: str, wrong: str, tmp_path: Path) -> None:
    others = [line for line in SMOKE.split("\n\n")[0].splitlines() if not line.startswith(key)]
    path = tmp_path / "smoke.toml"
    path.write_text("\n".join([*others, f"{key} = {wrong}"]))
    fits = (key in ("title", "expected") and wrong == '""') or (
        (key, wrong)
        in (("seeds", "3"), ("seeds", "[1]"), ("minutes", "3"), ("verify", "{}"), ("config", "{}"))
    )
    if fits or (key, wrong) == ("config", "{a = 1}"):  # whose fields the config knows
        experiments.read(path)
        return
    assert key in refused(experiments.read, path, path.read_bytes())


@pytest.mark.parametrize("wrong", ["3", "[3]", "[[]]", '"x"', "{a = 1}", "[{}]", "[{id = 3}]"])
@pytest.mark.parametrize("key", ["source", "comparable_if", "number", "claim", "absent"])
def test_a_wrong_type_in_what_is_reported_is_named(key: str, wrong: str, tmp_path: Path) -> None:
    path, fits = tmp_path / "reported.toml", (("source", '"x"'), ("comparable_if", "{a = 1}"))
    others = {"source": '"a"', "dataset": '"b"', key: wrong}
    path.write_text("\n".join(f"{name} = {value}" for name, value in others.items()))
    if (key, wrong) in fits:
        reported.read(path)
    else:
        assert key in refused(reported.read, path, path.read_bytes())


def test_a_manifest_of_another_form_is_named_by_what_it_lacks(tmp_path: Path) -> None:
    for content, named in (("{}", "study is missing"), ('{"study": 3}', "study: must be a text")):
        (tmp_path / "manifest.json").write_text(content)
        with pytest.raises(InputError, match=named):
            results.manifest(tmp_path)
    require({"a": [{"b": 1}], "c": None}, {"a": [{"b": int}]}, "f")
    with pytest.raises(InputError, match=r"^f: a: entry 1: must be names and values$"):
        require({"a": [{}, 3]}, {"a": [{}]}, "f")


def test_what_is_printed_for_programs_is_json_in_ascii() -> None:
    text = dumps({"a": [math.nan, 1.5, (-math.inf,)], "name": "± f\udcfct \x1b"})
    assert json.loads(text) == {"a": [None, 1.5, [None]], "name": "± f\udcfct \x1b"}
    assert text.isascii()
    assert "\x1b" not in text
