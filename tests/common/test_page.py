"""The suite's page: what is on it, escaped, linked and well formed."""

import dataclasses
import html.parser
from pathlib import Path

import pytest

from common.report import page
from common.report.comparison import ClaimRow, Comparison, NumberRow, as_tables, markdown
from common.report.reported import Absent, Number
from common.report.verdicts import Verdict

HOSTILE = "<script>alert('1 & 2')</script>"
VOID = ("meta", "img")


class Page(html.parser.HTMLParser):
    """Elements of a page by name, with their attributes; fails where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []  # innermost element, text
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data.strip()))

    def all(self, tag: str, attribute: str) -> list[str | None]:
        return [attributes.get(attribute) for name, attributes in self.elements if name == tag]


def comparison(study: str = "apple", **changes: object) -> Comparison:
    fields = {
        "study": study,
        "experiment": "demo",
        "title": "Demonstration",
        "scale": "demo",
        "dataset": "made_up",
        "description": "apples & pears",
        "stand_in": True,
        "seeds": (0, 1, 2),
        "source": "The paper",
        "source_dataset": "orchard",
        "incomparable": "data.dataset is other",
        "numbers": (
            NumberRow(Number("fid", "fid", 0.5, "table"), (0.4, 0.5, 0.6), Verdict("agrees", "in")),
            NumberRow(Number("gone", "gone", 1.0, "table"), (), Verdict("not comparable", "no")),
        ),
        "claims": (ClaimRow("rises", "It rises", "abstract", Verdict("supported", "slope")),),
        "absent": (Absent("more", "also more", "abstract"),),
        "deviations": (("train.steps", "100", "5"),),
    }
    return Comparison(**{**fields, **changes})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    figures = tmp_path / "papers" / "apple" / "results" / "demo" / "figures"
    figures.mkdir(parents=True)
    for name in ("learning_curves.png", "a #1.png"):
        (figures / name).write_bytes(b"")
    (tmp_path / "results" / "benchmarks").mkdir(parents=True)
    return tmp_path / "results"


def test_everything_of_a_comparison_is_shown(project: Path) -> None:
    text = page.suite([comparison()], project)
    shown = [words for _, words in Page(text).texts]
    for words in (
        "apple: demo",
        "Reported and ours: apple, demo, on made_up (stand-in)",
        "0.500 ± 0.100",
        "Numbers not comparable (1: gone): no.",
        "supported, on made_up (stand-in)",
        "It rises",
        "Claimed without a published measurement: also more (abstract).",
        "Deviations from the published configuration: apple, demo, on made_up (stand-in) (1)",
        "train.steps",
    ):
        assert words in shown, words
    assert page.suite([comparison()], project) == text
    assert text.endswith("</html>\n")
    assert "http" not in text


@pytest.mark.parametrize("field", ["title", "description", "source", "source_dataset", "dataset"])
def test_no_text_is_taken_for_html(project: Path, field: str) -> None:
    assert HOSTILE not in page.suite([comparison(**{field: HOSTILE})], project)


@pytest.mark.parametrize("field", ["title", "description", "source", "source_dataset", "dataset"])
def test_no_text_is_taken_for_html_in_markdown(field: str) -> None:
    claim = ClaimRow("a", HOSTILE, "b", Verdict("supported", HOSTILE))
    absent = Absent("a", HOSTILE, HOSTILE)
    number = NumberRow(Number("a", "a", 1.0, "b"), (), Verdict("not comparable", HOSTILE))
    changes = {"claims": (claim,), "absent": (absent,), "numbers": (number,), field: HOSTILE}
    text = markdown(comparison(**changes))
    assert text.count(r"\<script>") >= 6
    assert "<" not in text.replace(r"\<", "")


def test_claims_come_first_and_what_cannot_be_compared_takes_a_line() -> None:
    rows = [
        NumberRow(Number(f"n{i}", "fid", 0.5, "table", name=f"FID {i}"), (0.51234,) * 3, verdict)
        for i, verdict in enumerate(
            [Verdict("agrees", "in"), *[Verdict("not comparable", "no")] * 9]
        )
    ]
    testless = ClaimRow("b", "Untold", "abstract", Verdict("not testable", "no such"))
    its = comparison(numbers=tuple(rows))
    text = markdown(dataclasses.replace(its, claims=(*its.claims, testless)))
    assert "| It rises | supported, on made_up (stand-in) | slope |" in text
    assert "| Untold | not testable | no such |" in text
    assert text.index("It rises") < text.index("| FID 0 | 0.500 | 0.512 ± 0.000 | – | 3 | agrees |")
    named = ", ".join(f"FID {i}" for i in range(1, 7))
    assert f"Numbers not comparable (9: {named}, …): no." in text
    assert "1 settings deviate from the published configuration: `tables/deviations.md`." in text
    assert "train.steps" not in text
    assert len(as_tables(its)["comparison"].rows) == 10


def test_no_table_nor_benchmark_is_taken_for_html(project: Path) -> None:
    (project / "benchmarks" / "a.md").write_text(
        f"# {HOSTILE}\n\n{HOSTILE}\n\n|{HOSTILE}|\n|-|\n|1|"
    )
    claim = ClaimRow("a", HOSTILE, "b", Verdict("supported", HOSTILE))
    changes = {"claims": (claim,), "deviations": ((HOSTILE, "1", HOSTILE),)}
    text = page.suite([comparison(**changes)], project)
    assert "script" not in Page(text).open
    assert all(tag != "script" for tag, _ in Page(text).elements)


def test_links_lead_somewhere(project: Path) -> None:
    found = Page(page.suite([comparison(), comparison("pear")], project))
    anchors = [f"#{name}" for name in found.all("section", "id")]
    assert found.all("a", "href") == ["#apple-demo", "#pear-demo"] == anchors
    assert found.all("img", "src") == [
        "../papers/apple/results/demo/figures/a%20%231.png",
        "../papers/apple/results/demo/figures/learning_curves.png",
    ]
    assert found.all("img", "alt")[1] == "learning curves, on made_up (stand-in)"


def test_verdicts_are_marked_and_columns_of_numbers_aligned(project: Path) -> None:
    (project / "benchmarks" / "a.md").write_text(
        "# A step\n\nIn `turn`.\n\n| model | s | share |\n|---|---|---|\n| unet | 0.9 | 80% |\n"
        "| vae | – | 1e-3 |\n| old | 2 | a half |\n"
    )
    text = page.suite([comparison()], project)
    for cell in (
        '<td class="agrees">agrees</td>',
        '<td class="supported">supported, on made_up (stand-in)</td>',
        '<th scope="col" class="number">reported</th>',
        '<td class="number">0.500 ± 0.100</td>',
        '<td class="number">–</td>',
        "<td>slope</td>",
        "<h3>A step</h3>\n<p>In turn.</p>\n<table>",
        '<td>unet</td><td class="number">0.9</td><td>80%</td>',
        '1 <span class="agrees">agrees</span>, 1 <span',
    ):
        assert cell in text, cell
    assert "#benchmarks" in Page(text).all("a", "href")


def test_what_there_is_not_leaves_no_trace(project: Path) -> None:
    changes = {"numbers": (), "claims": (), "absent": (), "deviations": (), "incomparable": ""}
    text = page.suite([comparison("pear", **changes)], project)
    tags = {tag for tag, _ in Page(text).elements}
    assert tags.isdisjoint({"table", "details", "figure", "caption"})
    assert "Benchmarks" not in text
    assert "Not comparable" not in text
