"""Texts and arguments of any content: what a command prints controls nothing, and is one line."""

import json
from pathlib import Path

import pytest

from tests.suite.toy_project import edit, run

NAMES = [
    "\x1b[31mred",
    "two\nlines",
    "back\rspace\b",
    "turned\u202eback",
    "byte \udcfc",
    "x" * 9000,
]


def is_harmless(text: str) -> bool:
    """Return whether nothing in a text controls a terminal."""
    return all(one.isprintable() or one in "\n\t" for one in text) and "\x1b" not in text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "words",
    [
        ("replicate", "{}"),
        ("replicate", "apple", "{}"),
        ("replicate", "apple", "--set", "{}=1"),
        ("replicate", "apple", "--set", "data.dataset={}"),
        ("replicate", "apple", "--seeds", "{}"),
        ("replicate", "apple", "--stage", "{}"),
        ("data", "apple", "{}"),
        ("predict", "apple", "--input", "{}", "--checkpoint", "{}", "--out", "{}"),
        ("regenerate", "{}"),
        ("weights", "--fetch", "{}"),
        ("{}",),
    ],
)
def test_an_argument_of_any_characters_is_refused_in_one_line(
    words: tuple[str, ...], name: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, *(word.replace("{}", name) for word in words))
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert is_harmless(err)
    assert len(err) < 3000


def test_what_an_experiment_says_controls_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = project / "experiments" / "apple_one" / "demo.toml"
    edit(file, 'title = "Demonstration"', r'title = "a\u001b[31m <b>b</b>\u202e | *c*"')
    status, out, err = run(capsys, "replicate", "apple")
    assert status == 0
    assert is_harmless(out)
    assert is_harmless(err)
    assert r"a\\x1b\[31m" in out or r"a\\x1b[31m" in out
    assert "<b>" not in out.replace(r"\<b>", "")
    assert is_harmless(run(capsys, "list")[1])
    status, out, _ = run(capsys, "list", "--json")
    assert "a\x1b[31m" in json.loads(out)[0]["experiments"][0]["title"]
    assert is_harmless(out)


@pytest.mark.parametrize("value", ["1000000000", "99999999999999999999", "4294967296,", "0,-1"])
def test_seeds_beyond_all_measure_are_refused_at_once(
    value: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "replicate", "apple", "--seeds", value)
    assert (status, out) == (2, "")
    assert err.startswith("error: --seeds")
    assert err.count("\n") == 1
    file = project / "experiments" / "apple_one" / "demo.toml"
    edit(file, "seeds = 3", f"seeds = [{value}]" if "," in value else f"seeds = {value}")
    status, _, err = run(capsys, "replicate", "apple")
    assert status == 2
    assert "demo.toml: seeds" in err
