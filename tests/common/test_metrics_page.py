"""The page on metrics names what there is, and its example runs."""

import re
from functools import reduce
from importlib import import_module
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
SUPPORT = {"__init__", "checks", "ellipse", "roots"}  # modules that hold no metric
MODULES = {path.stem for path in (ROOT / "common" / "metrics").glob("*.py")} - SUPPORT
NAMED = re.findall(r"^\| `(\w+)\.([\w.]+)`", PAGE, re.MULTILINE)


def test_the_page_names_every_module():
    assert MODULES - {module for module, _ in NAMED} == set()


def test_what_the_page_names_is_there():
    found = [(module, name) for module, name in NAMED if module in MODULES]
    assert len(found) >= len(MODULES)
    for module, name in found:
        assert callable(reduce(getattr, name.split("."), import_module(f"common.metrics.{module}")))


def test_the_example_runs():
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    found: dict = {}
    exec(example, found)
    assert found["volumes"].patients == ("a", "b")
    assert found["tumor"].shape == (2,)
    assert np.all((found["tumor"] > 0.4) & (found["tumor"] < 0.6))
    assert 0 < found["hd95"] < 5
