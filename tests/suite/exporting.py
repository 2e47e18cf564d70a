"""What the tests of whole runs do to see that networks do the same when they are shipped."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.suite.toy_project import run

LEVELS = 3.0  # of 255 by which rounding may change an image; shares change by a hundredth of it


def exported(
    study: str,
    home: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> dict[str, Any]:
    """Export a smoke run's networks; return what was said of it. The home is another then."""
    monkeypatch.setenv("REPLICATIONS_HOME", str(home))
    status, _, err = run(capsys, "replicate", study, "smoke")  # results where export expects them
    assert status == 0, err
    status, told, err = run(capsys, "export", study, "smoke", "--out", out, "--json")
    assert status == 0, err
    monkeypatch.setenv("REPLICATIONS_HOME", str(out.parent / "another_home"))
    (found,) = json.loads(told)
    for name, difference in found["differences"].items():
        assert difference <= (LEVELS if "gray level" in name else LEVELS / 100), name
    return found
