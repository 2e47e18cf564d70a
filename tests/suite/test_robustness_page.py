"""docs/robustness.md: what it names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_promise_names_tests_that_are_there() -> None:
    rows = re.findall(r"^\|(.*)\|$", (ROOT / "docs" / "robustness.md").read_text(), re.MULTILINE)
    promises = [row for row in rows if not row.startswith((" kind |", "---"))]
    assert len(promises) > 20
    for row in promises:
        named = re.findall(r"`(tests/[^`]+)`", row.split("|")[-1])
        assert named, row
        for file in named:
            assert "def test_" in (ROOT / file).read_text(), file


def test_the_readme_leads_to_what_is_promised() -> None:
    readme = (ROOT / "README.md").read_text()
    for page in ("docs/robustness.md", "SECURITY.md"):
        assert f"]({page})" in readme
        for link in re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text()):
            assert ((ROOT / page).parent / link).exists(), link
