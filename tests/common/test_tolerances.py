"""What verify lets pass away from the committed platform: metrics, then figures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from common.errors import InputError
from common.pipeline.verify import (
    TOO_SMALL,
    compare_drawings,
    compare_metrics,
    tolerance_of,
    with_means,
)
from common.results import figures, metrics_file
from common.study import experiment as experiments
from common.study.experiment import Experiment, Tolerance

ROOT = Path(__file__).parents[2]
COMMITTED = sorted(file.parent for file in ROOT.glob("papers/*/results/*/manifest.json"))
NAMES = ["/".join((folder.parts[-3], folder.name)) for folder in COMMITTED]
UNJUDGED = 0.1  # the largest share of an experiment's numbers that may go without comparison
# Cells of confusion matrices and bins of reliability, of all classifiers, are most of its numbers;
# F1 and calibration error, which are counted from them, are compared.
CELLS_AND_BINS = {"rare_disease_controlnet": 0.66}

committed = pytest.mark.parametrize("folder", COMMITTED, ids=NAMES)


def experiment(folder: Path) -> Experiment:
    return experiments.load(ROOT / "experiments" / folder.parts[-3], folder.name)


def flat(folder: Path) -> dict[str, dict[str, Any]]:
    seeds = json.loads((folder / "metrics.json").read_text())["seeds"]
    return {seed: metrics_file.flatten(metrics) for seed, metrics in seeds.items()}


def compared(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what is compared on another platform: means, and what else the seeds have."""
    seeds = {f"seed {seed}": row for seed, row in flat(folder).items()}
    return with_means(seeds, seeds)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def test_there_are_committed_results() -> None:
    assert len(COMMITTED) >= 6


@committed
@pytest.mark.parametrize("factor", [0, 2])
def test_neither_zero_nor_twice_a_committed_number_passes(folder: Path, factor: int) -> None:
    seeds, tolerances = flat(folder), experiment(folder).verify
    other = {
        seed: {name: factor * value if is_number(value) else value for name, value in row.items()}
        for seed, row in seeds.items()
    }
    result = compare_metrics({"seeds": seeds}, {"seeds": other}, tolerances)
    named = {tuple(line.split(": ")[1:3]) for line in result.differences}
    judged = {
        (of, name)
        for of, row in compared(folder).items()
        for name, value in row.items()
        if is_number(value) and value and tolerance_of(name, tolerances).judges(value)
    }
    assert judged <= named


@committed
def test_few_numbers_go_without_comparison(folder: Path) -> None:
    seeds = flat(folder)
    result = compare_metrics({"seeds": seeds}, {"seeds": seeds}, experiment(folder).verify)
    assert result.differences == ()
    unjudged = sum(result.unjudged.values())
    assert result.compared + unjudged == sum(map(len, compared(folder).values()))
    most = CELLS_AND_BINS.get(folder.parts[-3], UNJUDGED)
    assert unjudged <= most * (result.compared + unjudged)


@committed
def test_every_pattern_fits_a_metric_and_judges_most_of_its_numbers(folder: Path) -> None:
    tolerances = experiment(folder).verify
    judged: dict[str, list[bool]] = {tolerance.pattern: [] for tolerance in tolerances}
    for row in compared(folder).values():
        for name, value in row.items():
            tolerance = tolerance_of(name, tolerances)
            if tolerance in tolerances:
                judged[tolerance.pattern].append(not is_number(value) or tolerance.judges(value))
    assert [pattern for pattern, fitted in judged.items() if not fitted] == []
    for tolerance in tolerances:
        fitted = judged[tolerance.pattern]
        assert tolerance.skip or sum(fitted) >= len(fitted) / 2, tolerance.pattern


TOLERANCES = (
    Tolerance("a.skipped", skip="chaotic"),
    Tolerance("a.*", absolute=0.1, relative=0.1),
)


@pytest.mark.parametrize(
    ("name", "before", "after", "differs", "unjudged"),
    [
        ("a.x", 1.0, 1.19, False, {}),
        ("a.x", 1.0, 1.21, True, {}),
        ("a.x", 0.0, 0.09, False, {}),  # a committed zero has no double
        ("a.x", 0.0, 0.11, True, {}),
        ("a.x", 0.11, 0.0, False, {TOO_SMALL: 1}),
        ("a.x", 0.11, 0.9, True, {TOO_SMALL: 1}),
        ("a.x", -0.5, 0.5, True, {}),
        ("a.x", None, 0.1, True, {}),
        ("a.x", None, None, False, {}),
        ("a.skipped", 0.5, 7.0, False, {"chaotic": 1}),
        ("a.skipped", 0.5, None, False, {"chaotic": 1}),
        ("b.x", 1.0, 1.0 + 1e-9, True, {}),
    ],
)
def test_the_first_tolerance_that_fits_counts(name, before, after, differs, unjudged) -> None:
    content = [{"seeds": {"0": {name: value}}} for value in (before, after)]
    result = compare_metrics(*content, TOLERANCES)
    assert bool(result.differences) is differs
    assert result.unjudged == unjudged
    assert result.compared == 1 - sum(unjudged.values())


def test_on_another_platform_means_over_the_seeds_count() -> None:
    before = {"seeds": {"0": {"a": {"x": 1.0}}, "1": {"a": {"x": 2.0}}}}
    swapped = {"seeds": {"0": {"a": {"x": 2.1}}, "1": {"a": {"x": 1.0}}}}
    assert compare_metrics(before, swapped, TOLERANCES).differences == ()
    (line,) = compare_metrics(before, {"seeds": {**before["seeds"], "1": {"a": {"x": 3.0}}}},
                              TOLERANCES).differences  # fmt: skip
    assert line == "metrics.json: mean: a.x: 1.5 committed, 2.0 now"
    assert len(compare_metrics(before, swapped, ()).differences) == 2  # the same platform
    (line,) = compare_metrics(before, {"seeds": {"0": before["seeds"]["0"]}},
                              TOLERANCES).differences  # fmt: skip
    assert line == "metrics.json: seed 1: a.x: 2.0 committed, absent now"


def test_a_skipped_metric_must_still_be_there() -> None:
    content = [{"seeds": {"0": {"a": {"skipped": 1.0, "x": 1.0}}}}, {"seeds": {"0": {}}}]
    assert len(compare_metrics(*content, TOLERANCES).differences) == 2
    assert len(compare_metrics(*reversed(content), TOLERANCES).differences) == 2


def test_the_note_counts_what_was_not_compared_and_says_why() -> None:
    content = {"seeds": {"0": {"a": {"x": 1.0, "y": 0.1, "skipped": 1.0}, "b": 1}}}
    note = compare_metrics(content, content, TOLERANCES).note
    assert note == (
        "2 of 4 numbers compared; not compared on another platform: 1 (chaotic), "
        "1 (smaller than their tolerance, only held to it)"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('"a" = {relative = 1.0}', 'verify."a": relative = 1.0: expected from 0 to 0.999999'),
        ('"a" = {absolute = inf}', 'verify."a": absolute = inf: must be a number'),
        ('"a" = {relative = nan}', 'verify."a": relative = nan: must be a number'),
        ('"a" = {relative = true}', 'verify."a": relative = true: must be a number'),
        ('"a" = {skip = ""}', "verify.\"a\": skip = '' must say why"),
        ('"a" = {skip = "why", relative = 0.1}', "must be {absolute"),
        ('"*" = {skip = "why"}', 'verify."*" would skip every metric'),
        ('"*.*" = {skip = "why"}', 'verify."*.*" would skip every metric'),
        ('"a" = {}', "must be {absolute"),
    ],
)
def test_tolerances_are_checked(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "demo.toml"
    head = 'title = "a"\nscale = "demo"\nseeds = 1\nminutes = 1\nexpected = "b"\n'
    file.write_text(f"{head}[verify]\n{line}\n")
    with pytest.raises(InputError) as raised:
        experiments.read(file)
    assert message in str(raised.value)


def curves(seed: int) -> bytes:
    figure = Figure(figsize=(4.8, 3.2))
    steps = np.arange(100)
    noise = np.random.default_rng(seed).normal(0, 0.02, 100)
    axis = figure.subplots()
    axis.plot(steps, np.exp(-steps / 20) + noise, label="training loss")
    axis.legend()
    return figures.png(figure)


def drawn(folder: Path, content: bytes) -> Path:
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "curves.png").write_bytes(content)
    return folder


def changed(folder: Path, pixels: np.ndarray) -> Path:
    drawn(folder, b"")
    image.imsave(folder / "figures" / "curves.png", pixels)
    return folder


def test_only_a_figure_that_looks_the_same_passes(tmp_path: Path) -> None:
    ours = drawn(tmp_path / "ours", curves(0))
    pixels = image.imread(ours / "figures" / "curves.png")
    rounding = np.random.default_rng(0).integers(0, 5, pixels.shape) == 0
    rounded = changed(tmp_path / "rounded", np.abs(pixels - rounding / 255))
    other = drawn(tmp_path / "other", curves(1))
    blank = changed(tmp_path / "blank", np.ones_like(pixels))
    differs = ["figures/curves.png: differs"]
    assert compare_drawings(ours, rounded, exact=False) == []
    assert compare_drawings(ours, rounded, exact=True) == differs
    assert compare_drawings(ours, other, exact=False) == differs
    assert compare_drawings(ours, blank, exact=False) == differs
    assert compare_drawings(ours, other, exact=False, pixels=False) == []
    assert compare_drawings(ours, other, exact=True, pixels=False) == differs


@committed
def test_no_committed_figure_passes_as_blank(folder: Path, tmp_path: Path) -> None:
    names = sorted(file.name for file in (folder / "figures").glob("*.png"))
    (tmp_path / "figures").mkdir()
    for name in names:
        pixels = image.imread(folder / "figures" / name)
        image.imsave(tmp_path / "figures" / name, np.ones_like(pixels))
    found = compare_drawings(folder, tmp_path, exact=False)
    assert [line for line in found if "png" in line] == [
        f"figures/{name}: differs" for name in names
    ]
