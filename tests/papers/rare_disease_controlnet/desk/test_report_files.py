"""Reports as files: the same bytes each time, and no text of a reader is code in any of them."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, browser  # isort: skip

import csv
import io
import json
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from papers.rare_disease_controlnet.desk.reports.document import document
from papers.rare_disease_controlnet.desk.reports.figures import FIGURES, svg
from papers.rare_disease_controlnet.desk.reports.files import COLUMNS, structured, table
from papers.rare_disease_controlnet.desk.reports.findings import findings
from papers.rare_disease_controlnet.desk.reports.latex import SPECIAL, escaped, latex
from papers.rare_disease_controlnet.desk.reports.pdf import images, pdf
from papers.rare_disease_controlnet.desk.reports.source import source
from papers.rare_disease_controlnet.desk.tables import AuditEntry
from tests.papers.rare_disease_controlnet.desk.reports_made_up import Eye, a_read_set

EYES = [Eye("dr-one", 1.0, "attending"), Eye("dr-two", 0.5, "resident"), Eye("dr-three")]
COMMENTS = [
    "=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "a, \"b\"\nc", '#read("/etc/passwd")',
    r"\input{/etc/passwd} \VAR{report} $x$ 100% a_b ^~ {", "나비 ±κ 🩻 \u202e", "fine",
]  # fmt: skip
OWN_WORDS = {word[1:].rstrip("{}") for word in SPECIAL.values() if word[1:2].isalpha()} | {
    "ensuremath", "pm", "kappa", "alpha"}  # fmt: skip


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    desk = a_desk(tmp_path_factory.mktemp("desk"))
    return desk, a_read_set(desk, EYES, comments=COMMENTS)


@pytest.fixture(scope="module")
def found(read):
    desk, set_id = read
    with desk.read() as session:
        return findings(source(session, set_id))


def words(text: str) -> list[str]:
    """Return all that LaTeX would take as a command."""
    return re.findall(r"\\([a-zA-Z]+|.|\n)", text)


def depth(text: str) -> int:
    """Return how many braces are open at the end; fails where one closes that was not open."""
    level = 0
    for letter in re.sub(r"\\[^a-zA-Z]", "", text):
        level += (letter == "{") - (letter == "}")
        assert level >= 0
    return level


def test_the_pdf_is_tagged_and_the_same_each_time(found):
    made = pdf(document(found), found)
    svg.cache_clear()
    assert pdf(document(found), found) == made
    assert made.startswith(b"%PDF-")
    assert b"/StructTreeRoot" in made
    assert b"/Lang" in made


def test_a_pdf_whose_letters_have_fonts_is_for_everybody(tmp_path):
    desk = a_desk(tmp_path)
    set_id = a_read_set(desk, EYES)
    with desk.read() as session:
        plain = findings(source(session, set_id))
    assert b"pdfuaid" in pdf(document(plain), plain)


def test_the_pages_show_something(found):
    pages = images(document(found), found)
    assert len(pages) > 1
    assert all(page.startswith(b"\x89PNG") for page in pages)


def test_figures_are_the_same_each_time_and_hold_no_script(found):
    for name in FIGURES:
        first = svg(name, found)
        svg.cache_clear()
        assert svg(name, found) == first
        tags = {one.tag.rpartition("}")[2] for one in ElementTree.fromstring(first).iter()}
        assert "svg" in tags
        assert not tags & {"script", "image", "a", "date", "foreignObject"}


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_no_text_is_a_command_of_latex(text):
    made = escaped(text)
    assert depth(made) == 0
    for word in words(made):
        assert word in OWN_WORDS or word in "{}$&#%_"
    # what is special is left nowhere but in what stands for it
    bare = re.sub(r"\\(?:[a-zA-Z]+|.)", "", made)
    assert not set(bare) & set("$&#%_^~<>\\\n\r\0")


def test_the_latex_of_a_report_is_whole(found):
    made = latex(document(found))
    assert depth(made) == 0
    begun, ended = (re.findall(rf"\\{word}{{(\w+)}}", made) for word in ("begin", "end"))
    assert sorted(begun) == sorted(ended)
    assert "document" in begun
    assert r"\input" not in made
    assert r"\textbackslash{}VAR\{report\}" in made
    assert "BLOCK" not in made
    rows = [line for line in made.splitlines() if line.endswith(r" \\")]
    assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in rows} <= {2, 3, 4, 5, 6, 7, 9}


def test_a_spreadsheet_computes_nothing(found):
    rows = list(csv.DictReader(io.StringIO(table(found), newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == len(found.source.rows)
    cells = [cell for row in rows for cell in row.values()]
    texts = [cell for cell in cells if not re.fullmatch(r"[+-]?[0-9.]+", cell)]
    assert not [cell for cell in texts if re.match(r"\s*[=+\-@\t\r]", cell)]
    comments = [row["comment"] for row in rows if row["comment"]]
    assert sorted(one.lstrip("'") for one in comments) == sorted(COMMENTS)
    assert "'=HYPERLINK(1)" in comments
    assert "fine" in comments


def test_json_holds_all_numbers_and_no_nan(found):
    content = json.loads(structured(found), parse_constant=pytest.fail)
    assert content["findings"]["area"]["value"] == found.area.value
    assert len(content["readings"]) == len(found.source.rows)
    assert content["readings"][0]["kind"] in ("real", "synthetic")


def test_no_file_holds_a_name_that_was_not_asked_for(found):
    for text in (table(found), structured(found), latex(document(found)), str(document(found))):
        assert "dr-one" not in text
        assert "Reader A" in text


@pytest.mark.parametrize(
    ("kind", "media", "name"),
    [
        ("pdf", "application/pdf", "pdf"),
        ("latex", "application/x-tex", "tex"),
        ("csv", "text/csv; charset=utf-8", "csv"),
        ("json", "application/json", "json"),
    ],
)
def test_files_are_sent_as_files_and_logged(read, kind, media, name):
    desk, set_id = read
    here = browser(desk, "mira", "researcher")
    answer = here.get(f"/sets/{set_id}/report/files/{kind}?names=true")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(media)
    assert answer.headers["content-disposition"] == f'attachment; filename="report-{set_id}.{name}"'
    assert answer.headers["cache-control"] == "no-store"
    if kind != "pdf":
        assert "dr-one" in answer.text.replace("-{}", "-")
    with desk.read() as session:
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert (entry.actor, entry.action, entry.subject) == ("mira", "report taken", f"set {set_id}")
    assert json.loads(entry.detail) == {"file": kind, "names": True}


def test_figures_are_images_that_run_nothing(read):
    desk, set_id = read
    answer = browser(desk, role="researcher").get(f"/sets/{set_id}/report/figures/kappa")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert "script-src" not in answer.headers["content-security-policy"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
