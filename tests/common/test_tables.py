"""Tables: what is read of any that people save, what their cells mean, and what is refused."""

import codecs
from pathlib import Path

import pytest

from common.data.raw import BadFile
from common.data.tables import Row, alike, folded, read_table, read_text
from common.errors import InputError

COLUMNS = ("Subject", "Age")


@pytest.fixture
def table(tmp_path: Path):
    """Return a function that writes a table and returns what is read of it."""

    def read(content: str | bytes, encoding: str = "utf-8", optional=()):
        file = tmp_path / "t.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return read_table(file, COLUMNS, optional)

    return read


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_is_read_whatever_its_separator_case_and_spaces(table, separator):
    lines = [["SUBJECT", " age", "Other"], ["a", "3 ", "x"], ["", "", ""], ["b", "", "y"]]
    found = table("\r\n".join(separator.join(line) for line in lines))
    assert [row.cells for row in found.rows] == [
        {"Subject": "a", "Age": "3"},
        {"Subject": "b", "Age": ""},
    ]
    assert [row.line for row in found.rows] == [2, 4]
    assert found.bad == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_a_table_is_read_in_any_encoding(table, encoding):
    found = table("Subject;Age\r\nMüller;3\r\n", encoding)
    assert [row["Subject"] for row in found.rows] == ["Müller"]


def test_empty_cells_at_the_end_do_not_count(table):
    found = table("Subject,Age,,\na,38,,,,\nb,3\n")
    assert [row["Age"] for row in found.rows] == ["38", "3"]
    assert found.bad == []


@pytest.mark.parametrize("text", ["", "Subject|Age\na|3\n", "Subject Age\na 3\n", "Name,Age\n"])
def test_a_table_without_its_columns_is_refused_by_name(table, text):
    with pytest.raises(InputError, match=r"t\.csv: no column 'Subject'.*comma, semicolon or tab"):
        table(text)


@pytest.mark.parametrize(
    ("content", "reason"),
    {
        'Subject,Age\na,3\nb,"4\nc,5\n': "line 3: a quote is never closed",
        'Subject,Age\na,3\nb,"4' + "\nc,5" * 50_000: "line 3: a quote is never closed",
        'Subject,Age\na,"3"x\n': "line 2: a quote ends within a cell",
        "Subject,Age,age\na,3,4\n": "its first line has the column 'Age' twice",
        "Subject,Age\na,\0\n": "line 2 holds NUL",
        "Subject,Age\na,3\n".encode("utf-16-le"): "line 1 holds NUL",
        codecs.BOM_UTF16_LE + b"\xff\xdb\xff": "cannot be read as text; save it as UTF-8",
        b"Subject,Age\n\x81,3\n": "cannot be read as text; save it as UTF-8",
    }.items(),
)
def test_a_damaged_table_is_refused_by_file_and_line(table, content, reason):
    with pytest.raises(InputError, match=rf"t\.csv: {reason}") as error:
        table(content)
    assert "\n" not in str(error.value)


def test_rows_of_more_or_fewer_cells_than_the_header_are_bad(table):
    found = table('Subject,Age,Sex\na,45,1,2\nb,3,1\nc,2\nd,"4\ne,5",1\nf,6,2\n')
    assert [row["Subject"] for row in found.rows] == ["b", "f"]
    assert found.bad == [
        "t.csv: line 2 has 4 cells, its header 3",
        "t.csv: line 4 has 2 cells, its header 3",
        "t.csv: a quote in line 5 is closed in line 6 only",
    ]


def test_an_optional_column_is_read_where_it_is(table):
    assert table("Subject,Age,Site\na,3,x\n", optional=("Site",)).rows[0]["Site"] == "x"
    assert table("Subject,Age\na,3\n", optional=("Site",)).rows[0]["Site"] == ""


def row(text: str) -> Row:
    return Row("t.csv", 7, {"x": text})


@pytest.mark.parametrize("text", ["", "NA", "n/a", "N/A", "nan", "NaN", "None", "-", "[NA]"])
def test_what_says_that_it_is_not_known_is_not_known(text):
    assert row(text).number("x", 0.0, 9.0) is None
    assert row(text).sex("x") is None
    with pytest.raises(BadFile, match=r"x is missing \(line 7 of t\.csv\)"):
        row(text).needed("x", row(text).number("x", 0.0, 9.0))


@pytest.mark.parametrize("text", ["1", "1.0", "1.", "+1", "1e0", "01"])
def test_numbers_are_read_in_all_their_forms(text):
    assert row(text).number("x", 0.0, 9.0) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x", r"'x' is not a number \(line 7 of t\.csv\)"),
        ("4_5", "is not a number"),
        ("4٥", "is not a number"),
        ("0x4", "is not a number"),
        ("45,1", "write it with a decimal point"),
        ("-1", "-1 is outside 0 to 9"),
        ("inf", "is not a number"),
        ("1e999", "is outside 0 to 9"),
    ],
)
def test_what_is_no_number_in_range_is_refused(text, reason):
    with pytest.raises(BadFile, match=reason):
        row(text).number("x", 0.0, 9.0)


@pytest.mark.parametrize(
    ("texts", "code"), [(["1", "1.0", "F", "f", "female"], 1), (["2", "2.0", "M", "m", "MALE"], 2)]
)
def test_sex_is_said_in_words_or_codes(texts, code):
    assert {row(text).sex("x") for text in texts} == {code}


@pytest.mark.parametrize("text", ["0", "1.5", "3", "x", "inf"])
def test_another_sex_is_refused(text):
    with pytest.raises(BadFile, match=rf"x is '{text}', not 1 or F \(female\), 2 or M \(male\)"):
        row(text).sex("x")


def test_of_two_rows_for_one_id_neither_holds(table):
    ids = table("Subject,Age\na,1\nb,2\na,3\nC,4\nc,5\n007,6\n").by("Subject")
    assert list(ids) == ["a", "b", "C", "c", "007"]
    assert ids.row("b")["Age"] == "2"
    for name, reason in {
        "a": "has 2 rows in t.csv, lines 2, 4; keep one",
        "c": "has a row in t.csv, and line 5 has 'C'; keep one",
        "B": "has no row in t.csv, but line 3 has 'b'",
        "7": "has no row in t.csv, but line 7 has '007'",
        "d": "has no row in t.csv",
    }.items():
        with pytest.raises(BadFile) as error:
            ids.row(name)
        assert str(error.value) == reason
    assert ids.knows("7")
    assert not ids.knows("d")


def test_spellings_of_one_id_are_found():
    assert folded("CC010_000") == folded("cc10_0") == "cc10_0"
    assert folded("100") == "100"
    assert alike(["a1", "A01", "b", "b10"]) == {"a1": "A01", "A01": "a1"}


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read \(No such file"):
        read_text(tmp_path / "none.csv")
