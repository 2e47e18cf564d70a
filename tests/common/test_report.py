"""Verdicts, claims and reported numbers."""

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from common.errors import InputError
from common.report import claims, reported, verdicts
from common.study.config import flatten
from papers import studies


def test_the_interval_of_a_mean_is_students() -> None:
    values = [4.1, 4.4, 3.9, 4.6]
    interval = verdicts.mean_interval(values)
    half = scipy.stats.t.ppf(0.95, 3) * scipy.stats.sem(values)
    assert interval.mean == pytest.approx(4.25)
    assert interval.low == pytest.approx(4.25 - half)
    assert interval.high == pytest.approx(4.25 + half)
    # By the tables: t(0.95, 2) = 2.920, so that the mean of 1, 2, 3 is 2 ± 1.686.
    assert verdicts.mean_interval([1.0, 2.0, 3.0]).high == pytest.approx(3.686, abs=1e-3)


def test_what_is_as_far_as_its_margin_agrees_in_one_of_twenty() -> None:
    draws = np.random.default_rng(0).normal(1, 0.1, size=(4000, 5)).tolist()
    words = [verdicts.judge(row, 0.0, 1.0).word for row in draws]
    assert words.count("agrees") / len(words) == pytest.approx(0.05, abs=0.01)
    assert words.count("differs") / len(words) == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(
    ("ours", "reported_value", "margin", "better", "word"),
    [
        ([1.0, 1.01, 0.99], 1.1, 0.15, "lower", "agrees"),
        ([1.0, 1.01, 0.99], 1.2, 0.1, "lower", "better"),
        ([1.0, 1.01, 0.99], 0.8, 0.1, "lower", "differs"),
        ([1.0, 1.01, 0.99], 0.8, 0.1, "higher", "better"),
        ([1.0, 1.01, 0.99], 1.2, 0.1, "none", "differs"),
        ([1.0, 1.01, 0.99], 1.1, 0.1, "none", "inconclusive"),
        ([0.5, 1.0, 1.5], 1.0, 0.1, "none", "inconclusive"),  # noise decides nothing
        ([1.0, 1.0, 1.0], 1.0, 0.1, "none", "agrees"),
        ([1.0, 1.1], 1.0, 0.1, "lower", "no verdict"),
        ([1.0, math.nan, 1.1], 1.0, 0.1, "lower", "differs"),
    ],
)
def test_verdicts_on_numbers(ours, reported_value, margin, better, word) -> None:
    assert verdicts.judge(ours, reported_value, margin, better).word == word


@pytest.mark.parametrize(
    ("per_seed", "word"),
    [
        ([1.0, 1.1, 0.9], "supported"),
        ([-1.0, -1.1, -0.9], "contradicted"),
        ([1.0, -1.0, 0.5], "inconclusive"),
        ([0.0, 0.0, 0.0], "inconclusive"),
        ([1.0, 1.0], "no verdict"),
        ([1.0, math.nan, 1.0], "not testable"),
    ],
)
def test_claims_on_one_number_a_seed(per_seed: list[float], word: str) -> None:
    opposite = {"supported": "contradicted", "contradicted": "supported"}
    assert claims.positive(per_seed, "x").word == word
    assert claims.negative(per_seed, "x").word == opposite.get(word, word)
    assert claims.greater(per_seed, [0.0] * len(per_seed), "x").word == word


def test_claims_agree_with_the_one_sided_t_test() -> None:
    for seed in range(50):
        values = np.random.default_rng(seed).normal(0.7, 1, size=5).tolist()
        p = scipy.stats.ttest_1samp(values, 0, alternative="greater").pvalue
        assert (claims.positive(values, "x").word == "supported") == (p < 0.05)


def test_slopes_are_paired_by_seed() -> None:
    # The seeds differ far more from each other than the quantity rises within each.
    rising = [[0.0, 1.0, 2.0], [10.0, 11.1, 12.0], [20.0, 20.9, 22.0]]
    assert claims.increases(rising, "x").word == "supported"
    assert claims.decreases(rising, "x").word == "contradicted"
    assert "slope of x 1 ±" in claims.increases(rising, "x").detail
    assert "slope of x 0.5 ±" in claims.increases(rising, "x", [1.0, 3.0, 5.0]).detail


NUMBER = """
source = "s"
dataset = "d"
[comparable_if]
"data.height" = 96
"model.channels" = [256, 256, 512]
[[number]]
id = "fid"
metric = "real.fid768"
value = 1
better = "lower"
margin = 0.1
margin_reason = "rounding"
source = "t"
"""


def test_reported_numbers_are_read(tmp_path: Path) -> None:
    (tmp_path / "reported.toml").write_text(NUMBER)
    source = reported.read(tmp_path / "reported.toml")
    assert source.numbers[0].value == 1.0
    config = {"data.height": 96, "model.channels": [256, 256, 512]}
    assert reported.incomparable(source, config) == ""
    assert reported.incomparable(source, {**config, "model.channels": (256, 256, 512)}) == ""
    assert reported.incomparable(source, {**config, "data.height": 64}) == (
        "data.height is 64, reported 96"
    )
    with pytest.raises(InputError, match=r"comparable_if data.height: did you mean 'data.heigt'"):
        reported.incomparable(source, {"data.heigt": 96, "model.channels": []})


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('better = "lower"', 'beter = "lower"', "unknown field 'beter', did you mean 'better'?"),
        ('better = "lower"', 'better = "lowest"', "did you mean 'lower'?"),
        ('metric = "real.fid768"\n', "", "'metric' is missing"),
        ("value = 1", 'value = "one"', "must be a number"),
        ('margin_reason = "rounding"\n', "", "number fid: give a margin above 0"),
        ("margin = 0.1", "margin = 0", "number fid: give a margin above 0"),
        ("[[number]]", "[[numbers]]", "unknown key 'numbers'"),
        ('dataset = "d"\n', "", "'dataset' is missing"),
        ("value = 1", "value = ", "not valid TOML"),
        (
            'source = "t"\n',
            'source = "t"\n[[claim]]\nid = "c"\ntext = "x"\nsource = "t"\n',
            "claim c: give either test or not_testable",
        ),
        (
            "[[number]]",
            NUMBER.partition("96\n")[2].partition("\n")[2] + "[[number]]",
            "number fid is duplicated",
        ),
    ],
)
def test_bad_reported_files_are_named(old: str, new: str, named: str, tmp_path: Path) -> None:
    assert old in NUMBER
    (tmp_path / "reported.toml").write_text(NUMBER.replace(old, new))
    with pytest.raises(InputError) as error:
        reported.read(tmp_path / "reported.toml")
    assert named in str(error.value)
    assert "reported.toml" in str(error.value)


def test_the_published_config_is_comparable_with_what_camcan_reports() -> None:
    study = studies.load("camcan_cfg")
    source = reported.read(study.folder / "reported.toml")
    assert reported.incomparable(source, flatten(study.published)) == ""
    assert len(source.numbers) == 2 * 5 + 4 * 6 + 2
    by_metric = {number.metric: number for number in source.numbers}
    assert by_metric["guidance.7.0.fid768"].value == 0.0663
    assert by_metric["guidance.3.0.brain_age.mae"].value == 4.54
    for prefix in ("real", "guidance.7.0", "guidance.5.0", "guidance.3.0", "guidance.1.0"):
        mse, rmse = (by_metric[f"{prefix}.brain_age.{m}"].value for m in ("mse", "rmse"))
        assert rmse == pytest.approx(math.sqrt(mse), abs=0.006)  # catches a slip in copying
