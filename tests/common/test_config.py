"""Typed overrides of frozen configs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest

from common.errors import InputError
from common.pipeline.plan import plan
from common.study import config as configs
from common.study.schema import OnlyFor
from papers import studies
from papers.__main__ import main
from papers.camcan_cfg.config import Config as CamCan


@dataclass(frozen=True)
class Train:
    """A section."""

    steps: int = 10
    rate: float = 0.1
    sampler: Literal["ddpm", "ddim", 7] = "ddpm"
    widths: tuple[int, ...] = (1, 2)
    scale: tuple[float, float] = (1.0, 2.0)
    ema: bool = False
    limit: float | None = None
    name: str = "x"

    def check(self) -> None:
        if self.steps < 0:
            raise ValueError("train.steps must not be negative")


@dataclass(frozen=True)
class Config:
    """A config."""

    train: Train = field(default_factory=Train)
    seed: int = 0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("train.steps=20", 20),
        ("train.rate=1", 1.0),
        ("train.rate=1e-3", 1e-3),
        ("train.sampler=ddim", "ddim"),
        ('train.sampler="ddim"', "ddim"),
        ("train.sampler=7", 7),
        ("train.widths=[4]", (4,)),
        ("train.scale=[3, 4.5]", (3.0, 4.5)),
        ("train.ema=true", True),
        ("train.limit=3", 3.0),
        ("train.name=a=b c", "a=b c"),
        ("seed=4", 4),
        ("train.name=1\nseed = 2", "1\nseed = 2"),
    ],
)
def test_values_take_the_type_of_their_field(text: str, value: object) -> None:
    name, given = configs.assignment(text)
    changed = configs.flatten(configs.override(Config(), {name: given}))
    assert changed[name] == value
    assert type(changed[name]) is type(value)
    del changed[name]
    assert changed.items() < configs.flatten(Config()).items()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("train.step=1", "did you mean 'train.steps'?"),
        ("steps=1", "did you mean 'train.steps'?"),
        ("train=1", "train.steps, train.rate"),
        ("zzz.q=1", "choose one of seed, train"),
        ("train.steps=1.0", "a whole number"),
        ("train.steps=true", "a whole number"),
        ("train.rate=true", "a number"),
        ("train.rate=nan", "a number"),
        ("train.rate=inf", "a number"),
        ("train.sampler=dpm", "did you mean 'ddpm'?"),
        ("train.widths=4", "a list"),
        ("train.widths=[1, 2.5]", "a whole number"),
        ("train.scale=[1]", "a list of 2"),
        ("train.ema=yes", "true or false"),
        ("train.name=3", "a string"),
        ("train.scale=[1, [2]]", "must be a number"),
    ],
)
def test_what_does_not_fit_is_named(text: str, named: str) -> None:
    name, given = configs.assignment(text)
    with pytest.raises(InputError) as error:
        configs.override(Config(), {name: given})
    assert str(error.value).startswith(f"--set {name}")
    assert named in str(error.value)
    assert "\n" not in str(error.value)


def test_what_a_section_refuses_is_one_line() -> None:
    with pytest.raises(InputError) as error:
        configs.override(Config(), {"train.steps": -1})
    assert str(error.value) == "--set: train.steps must not be negative"


def test_tables_and_dotted_names_mean_the_same() -> None:
    tables = {"train": {"steps": 3, "widths": [1]}, "seed": 2}
    dotted = {"train.steps": 3, "train.widths": [1], "seed": 2}
    assert configs.override(Config(), tables) == configs.override(Config(), dotted)


def test_differences_are_the_deviations() -> None:
    ours = configs.override(CamCan(), {"train.epochs": 3, "data.split": "subject"})
    assert [str(difference) for difference in configs.differences(ours, CamCan())] == [
        'data.split: "subject" (published: "slice")',
        "train.epochs: 3 (published: 275)",
    ]
    assert configs.differences(CamCan(), CamCan()) == ()


def test_a_part_is_sections_and_fields_without_what_only_logs() -> None:
    part = configs.part(CamCan(), ["brain_age", "train", "sample.steps"], ["train.ema"])
    flat = configs.flatten(CamCan())
    without = {"train.log_every", "train.checkpoint_minutes", "train.ema"}
    inside = {name for name in flat if name.startswith(("brain_age.", "train."))}
    assert part == {name: flat[name] for name in (inside - without) | {"sample.steps"}}
    for unknown in ("trai", "train.epoch", "brain_age.", "sample.step"):
        with pytest.raises(ValueError, match=f"no section or field '{unknown}'"):
            configs.part(CamCan(), ["train", unknown])
    with pytest.raises(ValueError, match=r"no field 'train\.epoch'"):
        configs.part(CamCan(), ["train"], ["train.epoch"])


# What the audit found to fail late or give nonsense; ddim takes five steps.
CAMCAN = {
    "sample.steps=0": "--set sample.steps = 0: expected at least 1",
    "train.batch_size=0": "--set train.batch_size = 0: expected at least 1",
    "train.epochs=0": "--set train.epochs = 0: expected at least 1",
    "train.learning_rate=-1": "--set train.learning_rate = -1: expected more than 0",
    "data.train_fraction=7": "--set data.train_fraction = 7: expected from 0 to 1",
    "data.train_fraction=0.8": "--set: data.train_fraction and data.validation_fraction: expected",
    "sample.guidance_scales=[3.0]": "--set: sample.guidance_scales: expected 1.0 among them",
    "train.log_every=0": "--set train.log_every = 0: expected at least 1",
    "sample.eta=2": "--set sample.eta = 2: expected from 0 to 1",
    "sample.steps=1001": "--set: sample.steps: 1001",
    "sample.sampler=ddpm": "--set: sample.steps: 20, but ddpm takes all 1000",
}


@pytest.mark.parametrize("setting", CAMCAN)
def test_camcan_refuses_in_one_line_before_anything_is_prepared(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path))
    assert main(["replicate", "camcan", "--set", setting]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {CAMCAN[setting]}")
    assert err.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_camcan_takes_any_number_of_steps_of_ddim() -> None:
    study = studies.load("camcan")
    settings = ["sample.steps=5", "sample.guidance_scales=[1.0, 3.0]"]
    assert plan(study, settings=settings).config.sample.steps == 5


def test_digest_tells_configs_apart() -> None:
    changed = configs.override(Config(), {"train.ema": True})
    assert configs.digest(Config()) == configs.digest(Config())
    assert configs.digest(Config()) != configs.digest(changed)
    assert configs.digest(Config(), "a") != configs.digest(Config(), "b")


@dataclass(frozen=True)
class OfOneDataSet:
    """A section whose last field one data set alone is read with."""

    dataset: str = "own"
    size: int = 3
    percentile: Annotated[float, OnlyFor(("own",))] = 99.0


@dataclass(frozen=True)
class WithData:
    """A config on data."""

    data: OfOneDataSet = field(default_factory=OfOneDataSet)


def test_a_field_counts_for_the_data_sets_alone_that_are_read_with_it() -> None:
    own, other = WithData(), WithData(OfOneDataSet("public"))
    assert configs.override(own, {"data.percentile": 50.0}) != own
    for one, same in ((own, False), (other, True)):
        changed = configs.override(one, {"data.percentile": 50.0})
        assert (configs.digest(changed) == configs.digest(one)) is same
        assert (configs.digest(changed.data) == configs.digest(one.data)) is same
        assert (configs.part(changed, ["data"]) == configs.part(one, ["data"])) is same
    assert configs.digest(other.data) == configs.digest({"dataset": "public", "size": 3})
    assert configs.part(own, ["data"])["data.percentile"] == 99.0
