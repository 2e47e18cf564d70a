"""Verification, comparison and the suite's page, on the project of conftest.py."""

import html.parser
import json
import re
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest

from common.results import manifest as manifests
from papers import studies
from papers.__main__ import main
from tests.suite.toy_project import NETWORKS, ROOT, edit


@pytest.fixture
def results(project: Path) -> Path:
    """Return committed results of apple_one's demo."""
    assert main(["replicate", "apple"]) == 0
    return project / "papers" / "apple_one" / "results" / "demo"


def verify(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict]:
    capsys.readouterr()
    status = main(["verify", "apple", "--json", *arguments])
    captured = capsys.readouterr()
    assert captured.out, captured.err
    return status, json.loads(captured.out)


def test_untouched_results_are_verified_whole(results: Path, project: Path, capsys) -> None:
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    runs = sorted((project / "home" / "runs").rglob("*"))
    status, report = verify(capsys)
    assert (status, report["differences"], report["level"]) == (0, [], "all")
    assert report["exact"]
    assert before == {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    assert runs == sorted((project / "home" / "runs").rglob("*"))  # a scratch folder did it


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("metrics.json", "0.501", "0.502", "metrics.json: seed 1: score.7.0: 0.502 committed"),
        ("manifest.json", '"steps": 5', '"steps": 6', "manifest.json: config.train.steps: 6"),
        ("tables/scores.md", "'2'", "'3'", "tables/scores.md: differs"),
        ("tables/comparison.csv", "agrees", "better", "tables/comparison.csv: differs"),
        ("figures/curve.png", "image", "Image", "figures/curve.png: differs"),
    ],
)
def test_what_differs_is_named(
    file: str, old: str, new: str, named: str, results: Path, capsys
) -> None:
    if file == "tables/comparison.csv":
        old, new = "not comparable", "agrees"
    edit(results / file, old, new)
    status, report = verify(capsys)
    assert status == 1
    assert any(line.startswith(named) for line in report["differences"]), report["differences"]


def test_samples_and_missing_files_are_named(results: Path, capsys) -> None:
    np.savez_compressed(results / "samples.npz", images=np.ones((2, 4, 4), np.uint8))
    (results / "tables" / "scores.md").unlink()
    (results / "figures" / "old.png").touch()
    assert set(verify(capsys)[1]["differences"]) == {
        "samples.npz: images: differs",
        "tables/scores.md: not committed",
        "figures/old.png: committed, but not drawn any more",
    }


def test_stage_render_leaves_metrics_unchecked(results: Path, capsys) -> None:
    status, report = verify(capsys, "--stage", "render")
    assert (status, report["level"]) == (0, "render")
    edit(results / "metrics.json", "0.501", "0.502")
    assert verify(capsys, "--stage", "render")[0] == 1  # the comparison table differs
    assert main(["render", "apple"]) == 0
    assert verify(capsys, "--stage", "render")[0] == 0


def test_elsewhere_the_stated_tolerances_hold(results: Path, capsys, monkeypatch) -> None:
    edit(results / "manifest.json", '"cpu": "', '"cpu": "not ')
    monkeypatch.setenv("TOY_SHIFT", "0.009")
    status, report = verify(capsys)
    assert (status, report["exact"]) == (0, False)
    assert "cpu" in report["note"]
    monkeypatch.setenv("TOY_SHIFT", "0.011")
    status, report = verify(capsys)
    assert status == 1
    assert [line.split(":")[2].strip() for line in report["differences"]] == ["score.7.0"]
    edit(results / "metrics.json", "0.100000001", "0.1")  # no tolerance is stated for the curve
    monkeypatch.delenv("TOY_SHIFT")
    assert any("curve.1" in line for line in verify(capsys)[1]["differences"])


def test_a_package_added_since_is_no_other_platform_and_another_version_is(
    results: Path, capsys
) -> None:
    file = results / "manifest.json"
    manifest = json.loads(file.read_text())
    del manifest["platform"]["versions"]["jaxlib"]
    file.write_text(json.dumps(manifest))
    assert verify(capsys, "--stage", "render")[1]["exact"]
    manifest["platform"]["versions"]["jax"] = "0.0.1"
    file.write_text(json.dumps(manifest))
    report = verify(capsys, "--stage", "render")[1]
    assert not report["exact"]
    assert "results made with 0.0.1" in report["note"]


def test_without_raw_data_only_tables_and_figures_are_verified(project: Path, capsys) -> None:
    raw = project / "raw"
    raw.mkdir()
    (raw / "a.txt").write_text("good")
    assert main(["replicate", "apple", "paper", "--raw", str(raw)]) == 0
    status, report = verify(capsys, "paper")
    assert (status, report["level"]) == (0, "all")  # the folder is remembered
    raw.rename(project / "elsewhere")
    status, report = verify(capsys, "paper")
    assert (status, report["level"]) == (0, "render")
    assert "only tables and figures" in report["note"]
    (project / "home" / "data" / "apple_one" / "clinic.raw.json").unlink()
    status, report = verify(capsys, "paper")
    assert (status, report["level"]) == (0, "render")
    assert "needs --raw DIR" in report["note"]


def test_manifest_says_what_it_was_made_from(results: Path, project: Path) -> None:
    manifest = json.loads((results / "manifest.json").read_text())
    assert manifest["differences"] == [
        {"field": "data.dataset", "published": "clinic", "ours": "made_up"},
        {"field": "train.steps", "published": 100, "ours": 5},
    ]
    assert manifest["config"]["train"] == {
        "bias": True, "log_every": 10, "rate": 0.5, "steps": 5, "widths": [8, 16]
    }  # fmt: skip
    assert manifest["dataset"]["stand_in"]
    assert len(manifest["dataset"]["content_hash"]) == 64
    assert manifest["code"]["commit"] is None  # the project of this test is in no repository
    assert len(manifest["code"]["lock_sha256"]) == 64
    project_file = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {re.match(r"[\w-]+", one)[0] for one in project_file["dependencies"]}
    assert set(manifest["platform"]["versions"]) == required | {"jaxlib"}
    for seed in "012":
        records = manifest["stages"]["seeds"][seed]
        assert set(records["train"]) == set(NETWORKS)
        for record in (*records["train"].values(), records["evaluate"]):
            assert record["seconds"] >= 0
            assert record["peak_memory_mib"] > 10
    assert "seconds" not in (results / "metrics.json").read_text()


def test_dirty_flag_leaves_results_and_networks_aside(project: Path) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
        subprocess.run(["git", *who, *arguments], cwd=project, check=True, capture_output=True)

    git("init")
    git("add", ".gitignore", "papers", "experiments", "uv.lock")
    git("commit", "-m", "first")
    assert main(["replicate", "apple"]) == 0
    shipped = project / "papers" / "apple_one" / "networks" / "demo"
    shipped.mkdir(parents=True)
    (shipped / "seed_0.safetensors").touch()
    train = studies.load("apple").train
    code = manifests.code(project, train)
    assert len(code["commit"]) == 40
    assert code["dirty"] is False
    (project / "papers" / "apple_one" / "study.py").open("a").write("\n")
    assert manifests.code(project, train)["dirty"] is True


def test_compare_writes_suite_and_page(results: Path, project: Path, capsys) -> None:
    assert main(["replicate", "apricot"]) == 0
    assert main(["replicate", "apple", "smoke"]) == 0
    (project / "results" / "benchmarks").mkdir(parents=True)
    (project / "results" / "benchmarks" / "train_step.md").write_text(
        "# A step\n\nIn `turn`.\n\n| model | ratio |\n|---|---|\n| unet | 0.9 |\n"
    )
    capsys.readouterr()
    assert main(["compare", "--json"]) == 0
    both = json.loads(capsys.readouterr().out)
    assert [one["study"] for one in both] == ["apple_one", "apricot"]
    score, elsewhere = both[0]["numbers"]
    assert score["verdict"]["word"] == "not comparable"
    assert 'data.dataset is "made_up", reported "clinic"' in score["verdict"]["detail"]
    assert elsewhere["verdict"]["detail"] == "not measured here"
    assert both[0]["claims"][0]["verdict"]["word"] == "supported"
    suite = project / "results"
    assert len(json.loads((suite / "comparison.json").read_text())["comparisons"]) == 2
    markdown = (suite / "comparison.md").read_text()
    assert "Numbers not comparable (1: score_w7): because data.dataset is" in markdown
    table = (suite.parent / "papers/apple_one/results/demo/tables/comparison.md").read_text()
    row = "| score_w7 | 0.500 | 0.501 ± 0.001 | – | 3 | not comparable | see below |"
    assert row in table
    page = (suite / "index.html").read_text()
    assert "<h3>A step</h3>\n<p>In turn.</p>\n<table>" in page
    assert "<td>unet</td>" in page
    links = Links()
    links.feed(page)
    assert len(links.images) == 2
    assert all((suite / image).exists() for image in links.images)
    assert not any(address.startswith("http") for address in links.images + links.others)
    once = {file: file.read_bytes() for file in suite.rglob("*") if file.is_file()}
    assert main(["compare"]) == 0
    assert once == {file: file.read_bytes() for file in suite.rglob("*") if file.is_file()}


class Links(html.parser.HTMLParser):
    """Addresses of images and of whatever else a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[str] = []
        self.others: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href"):
                (self.images if tag == "img" else self.others).append(str(value))


def test_a_smoke_run_and_two_seeds_give_no_verdict(project: Path, capsys) -> None:
    for arguments in (["smoke", "--seeds", "3"], ["demo", "--seeds", "2"]):
        capsys.readouterr()
        assert main(["replicate", "apple", *arguments, "--json"]) == 0
        comparison = json.loads(capsys.readouterr().out)["comparison"]
        words = [row["verdict"]["word"] for row in comparison["numbers"] + comparison["claims"]]
        assert words == ["no verdict", "not comparable", "no verdict"]


def test_compare_names_a_claim_without_test(results: Path, project: Path, capsys) -> None:
    edit(project / "papers" / "apple_one" / "reported.toml", '"score_rises"\n\n', '"score_ris"\n\n')
    assert main(["compare", "apple"]) == 2
    assert "claims.py has no function 'score_ris', did you mean" in capsys.readouterr().err
