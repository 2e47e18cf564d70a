"""docs/tour.ipynb: its cells run in their order, and nothing of a run is committed in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.suite.toy_project import ROOT

TOUR = ROOT / "docs" / "tour.ipynb"
CELLS = json.loads(TOUR.read_text())["cells"]
EXECUTE = """
import json, sys
space = {"__name__": "__main__"}
for cell in json.load(open(sys.argv[1]))["cells"]:
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), cell["id"], "exec"), space)
"""


def test_every_cell_runs_in_order(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, TOUR],
        cwd=TOUR.parent,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for word in ("supported", "contradicted"):
        assert word in done.stdout
    (scratch,) = [folder for folder in tmp_path.iterdir() if (folder / "home").is_dir()]
    assert list((scratch / "slices").glob("*.png"))
    assert list((scratch / "predicted").iterdir())


def test_no_output_of_a_run_is_committed() -> None:
    for cell in CELLS:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
