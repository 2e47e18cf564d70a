"""An experiment with a base: what it takes of another one, and which bases are refused."""

import json
from pathlib import Path

import pytest

from common.errors import InputError
from common.study import experiment as experiments
from tests.suite.toy_project import edit, run

VARIANT = """
title = "As demo, with another rate"
scale = "demo"
seeds = 1
minutes = 1
expected = "the score rises"
base = "demo"
[config.train]
rate = 0.25
"""


@pytest.fixture
def variant(project: Path) -> Path:
    file = project / "experiments" / "apple_one" / "variant.toml"
    file.write_text(VARIANT)
    return file


def test_the_manifest_shows_the_config_of_base_and_variant_resolved(
    variant: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(variant.with_name("demo.toml"), "steps = 5", "steps = 5\nrate = 0.125")
    out = project / "out"
    status, _, told = run(capsys, "replicate", "apple", "variant", "--out", out)
    assert status == 0, told
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["seeds"] == [0]  # its own, of the base only the config
    assert manifest["config"]["data"]["dataset"] == "made_up"
    assert manifest["config"]["train"]["steps"] == 5
    assert manifest["config"]["train"]["rate"] == 0.25
    changed = {one["field"] for one in manifest["differences"]}
    assert changed == {"data.dataset", "train.steps", "train.rate"}


def test_what_equals_its_base_trains_nothing_again(
    variant: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(variant, "rate = 0.25", "")
    assert run(capsys, "replicate", "apple")[0] == 0
    log = project / "home" / "done.log"
    trained = log.read_text().count("train ")
    assert run(capsys, "replicate", "apple", "variant")[0] == 0
    assert log.read_text().count("train ") == trained


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("demmo", "no other such experiment, did you mean 'demo'?"),
        ("variant", "no other such experiment, choose one of demo, paper, smoke"),
        ("../apricot/demo", "no other such experiment"),
        ("", "no other such experiment"),
    ],
)
def test_a_base_that_is_not_there_is_named(variant: Path, base: str, words: str) -> None:
    edit(variant, 'base = "demo"', f'base = "{base}"')
    with pytest.raises(InputError) as refused:
        experiments.read(variant)
    assert str(refused.value).startswith(f'{variant}: base = "{base}": ')
    assert words in str(refused.value)


def test_a_base_has_no_base_so_that_none_leads_in_a_circle(variant: Path) -> None:
    edit(variant.with_name("demo.toml"), 'scale = "demo"', 'scale = "demo"\nbase = "variant"')
    for name in ("demo", "variant"):
        with pytest.raises(InputError, match="has a base itself; name one without"):
            experiments.load(variant.parent, name)


def test_a_field_that_is_not_there_is_named_in_the_file_that_has_it(
    variant: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(variant.with_name("demo.toml"), "steps = 5", "stepps = 5")
    status, _, told = run(capsys, "replicate", "apple", "variant")
    assert status == 2
    assert "experiments/apple_one/demo.toml train.stepps" in told


def test_what_is_no_key_of_a_file_is_refused(variant: Path) -> None:
    edit(variant, 'base = "demo"', 'inherited = "demo"')
    with pytest.raises(InputError, match="unknown key 'inherited'"):
        experiments.read(variant)
