"""The smoke run, whole: from the command to tables and figures."""

import json
from pathlib import Path

import pytest

from papers.__main__ import main


def test_the_smoke_run_ends_with_tables_and_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "home"))
    out = tmp_path / "out"
    assert main(["replicate", "study_name", "smoke", "--out", str(out)]) == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["study"] == "study_name"
    assert manifest["config"]["data"]["dataset"] == "simulated"
    metrics = json.loads((out / "metrics.json").read_text())["seeds"]["0"]
    assert 0 <= metrics["network"]["auroc"] <= 1
    assert "AUROC" in (out / "tables" / "detection.md").read_text()
    assert {file.name for file in (out / "figures").iterdir()} == {
        "cases.png", "learning_curves.png"
    }  # fmt: skip
