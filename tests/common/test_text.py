"""Texts of others: nothing in them acts where they are shown."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import text
from common.files import write_atomic
from common.results import metrics_file, tables

HOSTILE = {
    "a byte that is no UTF-8": ("f\udcfct.png", r"f\udcfct.png"),
    "a line break": ("a\nb\r\nc", r"a\nb\r\nc"),
    "a color": ("\x1b[31mred", r"\x1b[31mred"),
    "a bell and a delete": ("\x07\x7f", r"\x07\x7f"),
    "a control of eight bits": ("\x9b31m", r"\x9b31m"),
    "an order from right to left": ("exe\u202egnp.", r"exe\u202egnp."),
    "a paragraph": ("a\u2029b", r"a\u2029b"),
    "none": ("Kopf – größer, 頭, سر", "Kopf – größer, 頭, سر"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hidden_in_a_text_becomes_an_escape(name: str) -> None:
    given_, shown = HOSTILE[name]
    assert text.visible(given_) == shown
    table = tables.Table("t", ("name",), ((given_,),))
    assert list(csv.reader(io.StringIO(tables.comma_separated(table)))) == [["name"], [shown]]
    assert tables.markdown(table).splitlines()[2] == f"| {text.markdown(given_)} |"


@given(st.text(st.characters(exclude_categories=[])))
def test_what_is_shown_is_one_line_that_can_be_written_anywhere(any_text: str) -> None:
    for shown in (text.visible(any_text), text.markdown(any_text)):
        assert len(shown.splitlines()) <= 1
        assert "\x1b" not in shown
        shown.encode()


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        ("<script>alert(1)</script>", r"\<script>alert(1)\</script>"),
        ("a|b", r"a\|b"),
        ("*bold* _it_ `code` ~~no~~", r"\*bold\* \_it\_ \`code\` \~\~no\~\~"),
        ("[here](http://x)", r"[here\](http://x)"),
        ("![pixel](http://x)", r"!\[pixel\](http://x)"),
        ("&lt;b&gt; R&D", r"\&lt;b\&gt; R&D"),
        ("# head", r"\# head"),
        ("mean_dice of [32, 64]", "mean_dice of [32, 64]"),
        ("C:\\scans", r"C:\\scans"),
    ],
)
def test_markdown_shows_a_text_as_it_stands(given_: str, shown: str) -> None:
    assert text.markdown(given_) == shown


@pytest.mark.parametrize("cell", ["=1+1", "+a", "@sum(1)", "-cmd|x", "\t=1", " =1", "＝1", "-inf"])
def test_no_cell_is_run_by_a_spreadsheet(cell: str) -> None:
    assert text.spreadsheet(cell) == f"'{cell}"
    table = tables.Table("t", (cell,), ((cell,),))
    for row in csv.reader(io.StringIO(tables.comma_separated(table))):
        assert text.spreadsheet(row[0]) == row[0]


def test_numbers_stay_numbers() -> None:
    for number in ("-1", "+0.5", "-1e-05", "12", "-.5"):
        assert text.spreadsheet(number) == number
    table = tables.Table("t", ("a", "b"), ((-1, -0.5),))
    assert tables.comma_separated(table).splitlines()[1] == "-1,-0.5"


def test_long_texts_are_shortened_in_the_middle() -> None:
    assert text.shortened("abc", 3) == "abc"
    assert text.shortened("abcdefghij", 5) == "ab…ij"
    assert len(text.shortened("x" * 10_000)) <= 200


def test_a_name_of_any_bytes_is_written_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    write_atomic(file, metrics_file.dumps({"name": "f\udcfct"}))
    assert json.loads(file.read_text()) == {"name": "f\udcfct"}
