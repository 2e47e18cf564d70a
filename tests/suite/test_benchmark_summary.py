"""The table of all benchmarks is of the benchmarks that are there."""

import json

from experiments.benchmarks import summary


def test_the_committed_table_is_of_the_committed_results() -> None:
    found = summary.rows(summary.RESULTS)
    assert len(found) > 50
    assert (summary.RESULTS / "summary.md").read_text() == summary.table(found)


def test_rows_are_named_by_what_leads_to_their_ratio(tmp_path) -> None:
    sides = {"seconds": {"jax": [1.0], "torch": [2.0]}, "ratio": 0.5}
    other = {"seconds": {"jax": [1.0], "another": [2.0]}, "ratio": 0.5}
    sizes = [{"channels": [16, 32, 64], "shape": [48, 64], "actions": {"step": sides, "x": other}}]
    (tmp_path / "nets.json").write_text(json.dumps({"sizes": sizes}))
    (row,) = summary.rows(tmp_path)
    assert row == ("nets", "16–64 48x64 step", 0.5)
    assert row.is_step
    table = summary.table([row, row._replace(ratio=1.5)])
    assert "met by 1 of 2 rows" in table
    assert "| nets | 16–64 48x64 step | 1.50 | no |" in table
