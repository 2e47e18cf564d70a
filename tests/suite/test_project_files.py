"""What the project says of itself beside its code: citation, licenses, changes, forms of issues."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from papers import studies

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.md"))
PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "docs/licenses.md")


def test_the_citation_is_that_of_the_project_and_its_license() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    holder = citation["authors"][0]["name"]
    assert re.search(rf"^Copyright .* {re.escape(holder)}$", (ROOT / "LICENSE").read_text(), re.M)


def test_every_data_set_that_is_shared_states_its_terms_and_stand_ins_are_on_the_page() -> None:
    page = (ROOT / "docs" / "licenses.md").read_text()
    origins = page.partition("What simulated data was made of")[2]
    for study in studies.load_all():
        for name, data in study.datasets.items():
            comes_with_the_project = data.raw is None
            assert data.license or not comes_with_the_project, (study.name, name)
            if data.stand_in and comes_with_the_project:
                assert f"`{study.name}`" in origins, (study.name, name)


def test_a_form_of_an_issue_says_what_it_is_for() -> None:
    assert len(FORMS) == 3
    for form in FORMS:
        head = yaml.safe_load(form.read_text().split("---")[1])
        assert head["name"], form.name
        assert head["about"], form.name


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / link).exists(), link
