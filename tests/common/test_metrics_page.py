"""The page on metrics names what exists, and its example runs."""

import re
from pathlib import Path

import numpy as np

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_links_to_files_that_define_what_it_names():
    links = re.findall(r"\[`(\w+)`\]\(([^)]+)\)", PAGE.read_text(encoding="utf-8"))
    assert len(links) > 8
    for name, path in links:
        assert f"\ndef {name}(" in (PAGE.parent / path).read_text(encoding="utf-8"), name


def test_the_page_names_every_module_of_metrics():
    page = PAGE.read_text(encoding="utf-8")
    modules = {path.stem for path in (PAGE.parents[1] / "common" / "metrics").glob("*.py")}
    assert {m for m in modules - {"__init__", "checks"} if f"metrics/{m}.py" not in page} == set()


def test_the_example_runs():
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    found: dict = {}
    exec(example, found)
    assert found["volumes"].patients == ("a", "b")
    assert found["tumour"].shape == (2,)
    assert np.all((found["tumour"] > 0.4) & (found["tumour"] < 0.6))
    assert 0 < found["hd95"] < 5
