"""The metrics file, tables and what figures share."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.report import claims
from common.results import figures, metrics_file, tables


def test_metrics_are_found_where_keys_hold_dots() -> None:
    metrics = {"guidance": {"7.0": {"fid768": 0.5}, "7": {"0": 1}}, "loss": [3.0, 2.0], "r": None}
    assert metrics_file.value_at(metrics, "guidance.7.0.fid768") == 0.5
    assert metrics_file.value_at(metrics, "loss.-1") == 2.0
    assert metrics_file.value_at(metrics, "loss.0") == 3.0
    assert math.isnan(metrics_file.value_at(metrics, "r"))
    for absent in ("guidance.7.0", "guidance.7.0.kid", "loss.2", "loss.x", "loss", "r.s"):
        assert metrics_file.value_at(metrics, absent) is None
    seeds = [metrics, {"guidance": {"7.0": {"fid768": 0.25}}}]
    assert claims.series(seeds, ["guidance.7.0.fid768"]) == [[0.5], [0.25]]
    assert math.isnan(claims.values(seeds, "loss.0")[1])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_metrics_are_written_to_nine_digits_and_stay(value: float) -> None:
    once = json.loads(metrics_file.dumps({"x": value}))["x"]
    assert once == pytest.approx(value, rel=5e-9)
    assert json.loads(metrics_file.dumps({"x": once}))["x"] == once


def test_metrics_file_is_sorted_plain_json(tmp_path: Path) -> None:
    seeds = {"seeds": {"10": {"b": np.float32(0.1), "a": [1, np.int64(2)]}, "9": {"c": math.nan}}}
    text = metrics_file.dumps(seeds)
    assert text.index('"a"') < text.index('"b"')
    assert "NaN" not in text
    (tmp_path / "metrics.json").write_text(text)
    assert metrics_file.load(tmp_path / "metrics.json") == [
        {"c": None},
        {"a": [1, 2], "b": 0.100000001},
    ]
    with pytest.raises(ValueError, match=r"key 7\.0"):
        metrics_file.dumps({7.0: 1})
    with pytest.raises(ValueError, match="is not a number"):
        metrics_file.dumps({"x": object()})


def test_tables_as_csv_and_markdown(tmp_path: Path) -> None:
    rows = (
        ("real", 0.0012, tables.spread([0.001, 0.002, 0.003]), 3),
        ("w = 7|5", 410.83, tables.spread([12.0]), None),
        ("w = 0", None, None, None),
    )
    table = tables.Table("FID (stand-in)", ("set", "reported", "ours", "n"), rows)
    tables.write(table, tmp_path, "fid")
    assert (tmp_path / "fid.md").read_text() == (
        "**FID (stand-in)**\n\n"
        "| set | reported | ours | n |\n| --- | --- | --- | --- |\n"
        "| real | 0.001200 | 0.002000 ± 0.001000 | 3 |\n"
        "| w = 7\\|5 | 410.8 | 12.00 | – |\n"
        "| w = 0 | – | – | – |\n"
    )
    assert (tmp_path / "fid.csv").read_text() == (
        "set,reported,ours mean,ours std,n\nreal,0.0012,0.002,0.001,3\n"
        "w = 7|5,410.83,12,,\nw = 0,,,,\n"
    )
    with pytest.raises(ValueError, match="row"):
        tables.Table("bad", ("one",), (("a", "b"),))


def test_images_are_spread_over_those_that_show_something() -> None:
    marked = np.zeros(40, bool)
    marked[10:34] = True
    found = figures.spread_out(marked, 12)
    assert (len(found), found[0], found[-1]) == (12, 10, 33)
    assert set(np.diff(found)) == {2, 3}
    assert figures.spread_out(marked, 99).tolist() == list(range(10, 34))
    assert figures.spread_out(np.zeros(3, bool), 12).tolist() == [0, 1, 2]
