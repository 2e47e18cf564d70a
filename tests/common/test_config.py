"""Typed overrides of frozen configs."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from common.errors import InputError
from common.study import config as configs
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

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError("steps must not be negative")


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
        ("train.name=3", "a text"),
        ("train.steps=-1", "must not be negative"),
    ],
)
def test_what_does_not_fit_is_named(text: str, named: str) -> None:
    name, given = configs.assignment(text)
    with pytest.raises(InputError) as error:
        configs.override(Config(), {name: given})
    assert f"--set {name}" in str(error.value)
    assert named in str(error.value)
    assert "\n" not in str(error.value)


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


def test_digest_tells_configs_apart() -> None:
    changed = configs.override(Config(), {"train.ema": True})
    assert configs.digest(Config()) == configs.digest(Config())
    assert configs.digest(Config()) != configs.digest(changed)
    assert configs.digest(Config(), "a") != configs.digest(Config(), "b")
