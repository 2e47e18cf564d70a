"""The command line: what it does, and every error it owes the user."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.suite.toy_project import NETWORKS, ROOT, done, edit, run

ERRORS = {
    "unknown study": ("replicate pear", "unknown study 'pear'", "apple_one, apricot"),
    "misspelt study": ("replicate aple_one", "unknown study 'aple_one'", "'apple_one'"),
    "ambiguous study": ("replicate ap", "'ap' is ambiguous", "apple_one, apricot"),
    "unknown experiment": ("replicate apple demmo", "unknown experiment 'demmo'", "'demo'"),
    "unknown field": ("replicate apple --set train.step=3", "train.step", "'train.steps'"),
    "unknown value": ("replicate apple --set data.dataset=madeup", '"madeup"', "'made_up'"),
    "wrong type": ("replicate apple --set train.steps=many", '"many"', "a whole number"),
    "wrong list": ("replicate apple --set train.widths=8", "= 8", "a list"),
    "number for truth": ("replicate apple --set train.bias=1", "= 1", "true or false"),
    "out of bounds": ("replicate apple --set train.steps=0", "train.steps = 0", "at least 1"),
    "no equals sign": ("replicate apple --set train.steps", "--set train.steps", "field=value"),
    "unknown network": ("replicate apple --only decodr", "--only decodr", "'decoder'"),
    "network and stage": (
        "replicate apple --only critic --stage evaluate",
        "--only critic",
        "--stage",
    ),
    "unknown stage": ("replicate apple --stage trian", "--stage trian", "'train'"),
    "seeds in words": ("replicate apple --seeds three", "--seeds three", "a count"),
    "no process": ("replicate apple --processes 0", "--processes 0", "above 0"),
    "no seeds": ("replicate apple --seeds 0", "--seeds = 0", "above 0"),
    "seed twice": ("replicate apple --seeds 1,1", "[1, 1]", "different seeds"),
    "raw is no folder": ("replicate apple paper --raw nowhere", "nowhere", "no such folder"),
    "raw needed": ("replicate apple paper", "paper needs --raw DIR", "the clinic's folder"),
    "raw not expected": ("replicate apple --raw .", "comes with the project", "clinic"),
    "unknown option": ("replicate apple --sed 3", "--sed 3", "--help"),
    "unknown command": ("replicat apple", "'replicat'", "'replicate'"),
    "unknown data set": ("data apple clinc --raw .", "'clinc'", "'clinic'"),
    "not trained": ("replicate apple --stage evaluate", "encoder of seed 0", "--stage train"),
    "not evaluated": ("replicate apple --stage render", "seed 0", "--stage evaluate"),
    "nothing to verify": ("verify apple", "results/demo", "run replicate first"),
    "nothing to render": ("render apple", "results/demo", "run replicate first"),
    "unknown in verify": ("verify apple dmo", "unknown experiment 'dmo'", "'demo'"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_input_is_one_line_that_names_it(name: str, project: Path, capsys) -> None:
    words, named, remedy = ERRORS[name]
    status, out, err = run(capsys, *words.split())
    assert (status, out) == (2, "")
    line = err.splitlines()[-1]
    assert line.startswith("error: ")
    assert err.count("error:") == 1
    assert named in line
    assert remedy in line


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (('title = "Demonstration"', "titel = 'x'"), "unknown key 'titel', did you mean 'title'?"),
        (('scale = "demo"', 'scale = "dmo"'), "did you mean 'demo'?"),
        (("seeds = 3", "seeds = [1, -1]"), "seeds"),
        (("minutes = 1\n", ""), "'minutes' is missing"),
        (("minutes = 1\n", "minutes = 'long'\n"), "minutes"),
        (
            ("minutes = 1\n", "minutes = 1\nprocesses = 0\n"),
            "processes = 0: expected from 1 to 4,096",
        ),
        (("steps = 5", "stpes = 5"), "did you mean 'train.steps'?"),
        (("steps = 5", "steps = 'five'"), "a whole number"),
        (("steps = 5", "steps = "), "not valid TOML"),
        (("{absolute = 0.01}", "{absolut = 0.01}"), 'verify."score.*"'),
    ],
)
def test_bad_experiment_file(change: tuple[str, str], named: str, project: Path, capsys) -> None:
    file = project / "experiments" / "apple_one" / "demo.toml"
    file.write_text(file.read_text().replace(*change))
    status, _, err = run(capsys, "replicate", "apple")
    assert status == 2
    assert "demo.toml" in err
    assert named in err
    assert err.count("\n") == 1


def test_a_dry_run_tells_the_config_and_the_work_and_does_nothing(project: Path, capsys) -> None:
    before = sorted(project.rglob("*"))
    status, out, _ = run(capsys, "replicate", "apple", "--dry-run", "--seeds", "4,7")
    assert status == 0
    assert "[config.train]\nsteps = 5\n" in out
    assert "deviation: train.steps: 5 (published: 100)" in out
    assert "seeds: 4, 7; 6 trainings in all" in out
    status, out, _ = run(capsys, "replicate", "apple", "--dry-run", "--json", "--only", "encoder")
    plain = json.loads(out)
    assert plain["networks"] == ["encoder"]
    assert plain["config"]["train"]["steps"] == 5
    assert sorted(project.rglob("*")) == before


def test_what_needs_a_gpu_is_begun_on_a_cpu_only_if_that_is_meant(project: Path, capsys) -> None:
    edit(project / "experiments" / "apple_one" / "paper.toml", "one workstation", "one GPU")
    raw = project / "raw"
    raw.mkdir()
    (raw / "a.txt").write_text("a scan")
    command = ("replicate", "apple", "paper", "--raw", raw)
    status, _, err = run(capsys, *command)
    assert status == 2
    assert err.startswith("error: apple_one paper: takes about ")
    assert err.endswith("give --yes to begin all the same, or make it smaller by --set\n")
    assert run(capsys, *command, "--set", "train.steps=6")[0] == 0
    assert run(capsys, *command, "--yes")[0] == 0


def test_replicate_writes_whole_results_once(project: Path, capsys) -> None:
    status, out, err = run(capsys, "replicate", "apple")
    assert status == 0
    assert "data: made_up\ndevice: cpu, " in err
    assert "deviations: 2 from the published configuration (--dry-run lists them)" in err
    assert "\nTime: about " in out
    assert "a library speaks" not in out
    results = project / "papers" / "apple_one" / "results" / "demo"
    assert {path.name for path in results.iterdir()} == {
        "metrics.json", "manifest.json", "samples.npz", "tables", "figures"
    }  # fmt: skip
    metrics = json.loads((results / "metrics.json").read_text())
    score = {"1.0": 0.102, "7.0": 0.502}
    assert metrics["seeds"]["2"] == {"curve": [1.0, 0.100000001], "score": score}
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    assert "| supported, on made_up (stand-in) |" in out
    assert "made_up (stand-in)" in out
    assert run(capsys, "replicate", "apple")[0] == 0
    assert done(project, "train") == [
        f"train {name} {seed}" for seed in range(3) for name in NETWORKS
    ]
    assert done(project, "evaluate") == [f"evaluate {seed}" for seed in range(3)]
    assert before == {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}


def test_variants_leave_committed_results_alone(project: Path, capsys) -> None:
    committed = project / "papers" / "apple_one" / "results" / "demo"
    for variant in (["--set", "train.steps=6"], ["--seeds", "0,5"], ["--skip-bad"]):
        status, out, err = run(capsys, "replicate", "apple", *variant, "--json")
        summary = json.loads(out)
        assert status == 0
        assert Path(summary["out"]).is_relative_to(project / "home" / "runs")
        assert (Path(summary["out"]) / "manifest.json").exists()
        assert f"results: {summary['out']}" in err
        assert not committed.exists()
        status, _, err = run(capsys, "replicate", "apple", *variant, "--out", committed)
        assert status == 2
        assert "this is a variant" in err
    assert run(capsys, "replicate", "apple", "smoke")[0] == 0
    assert not committed.parent.exists()
    (project / "file").touch()
    assert "is a file" in run(capsys, "replicate", "apple", "--out", project / "file")[2]


def test_a_setting_that_changes_nothing_is_no_variant(project: Path, capsys) -> None:
    assert run(capsys, "replicate", "apple", "--set", "train.steps=5", "--seeds", "3")[0] == 0
    assert (project / "papers" / "apple_one" / "results" / "demo" / "manifest.json").exists()


def test_more_seeds_train_only_the_new_ones(project: Path, capsys) -> None:
    run(capsys, "replicate", "apple", "--seeds", "1")
    status, out, _ = run(capsys, "replicate", "apple", "--seeds", "4", "--json")
    assert status == 0
    assert json.loads(out)["seeds"] == [0, 1, 2, 3]
    seeds = [line.split()[-1] for line in done(project, "train")]
    assert seeds == ["0"] * 3 + ["1"] * 3 + ["2"] * 3 + ["3"] * 3
    assert done(project, "evaluate") == [f"evaluate {seed}" for seed in range(4)]


def test_stages_one_by_one_equal_the_whole(project: Path, capsys) -> None:
    for stage in ("prepare", "train", "evaluate", "render"):
        assert run(capsys, "replicate", "apple", "--stage", stage, "--out", project / "a")[0] == 0
        assert (project / "a").exists() == (stage == "render")
    assert run(capsys, "replicate", "apple", "--out", project / "b")[0] == 0
    for name in ("metrics.json", "manifest.json", "samples.npz", "tables/comparison.csv"):
        assert (project / "a" / name).read_bytes() == (project / "b" / name).read_bytes()


def test_a_crash_leaves_no_half_results(project: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("TOY_CRASH", "2")
    with pytest.raises(RuntimeError, match="crash"):
        run(capsys, "replicate", "apple")
    assert not (project / "papers" / "apple_one" / "results").exists()
    monkeypatch.delenv("TOY_CRASH")
    assert run(capsys, "replicate", "apple")[0] == 0
    assert len(done(project, "train")) == 9
    assert done(project, "evaluate") == [f"evaluate {seed}" for seed in range(3)]


def test_divergence_and_interruption_have_their_own_status(project: Path, capsys) -> None:
    status, _, err = run(capsys, "replicate", "apple", "--set", "train.rate=1e9")
    assert status == 3
    assert "step 7" in err
    assert "checkpoint_6" in err
    status, _, err = run(capsys, "replicate", "apple", "--set", "train.steps=13")
    assert status == 130
    assert "resumes" in err


def test_raw_data_is_checked_remembered_and_told_apart(project: Path, capsys) -> None:
    raw = project / "raw"
    raw.mkdir()
    (raw / "a.txt").write_text("good")
    (raw / "b.txt").write_text("bad")
    status, _, err = run(capsys, "data", "apple", "--raw", raw)
    assert status == 2
    assert "b.txt: bad file" in err
    status, out, err = run(capsys, "data", "apple", "clinic", "--raw", raw, "--skip-bad", "--json")
    assert status == 0
    assert json.loads(out)[0]["skipped"] == ["b.txt: bad file"]
    assert "skipped 1 bad files: b.txt: bad file" in err
    (raw / "b.txt").write_text("fixed")
    status, out, _ = run(capsys, "data", "apple", "--raw", raw)
    assert status == 0
    assert "train: patients 2" in out
    first = json.loads(run(capsys, "replicate", "apple", "paper", "--json")[1])
    (raw / "c.txt").write_text("one more")
    second = json.loads(run(capsys, "replicate", "apple", "paper", "--json")[1])
    assert first["work"] != second["work"]
    manifests = [json.loads((Path(s["work"]) / "data.json").read_text()) for s in (first, second)]
    assert manifests[0]["data"]["content_hash"] != manifests[1]["data"]["content_hash"]
    assert second["comparison"]["incomparable"] == ""
    assert second["comparison"]["numbers"][0]["verdict"]["word"] == "agrees"


def test_what_was_done_by_other_code_is_told(project: Path, capsys) -> None:
    study = project / "papers" / "apple_one" / "study.py"
    assert "other code" not in run(capsys, "replicate", "apple")[2]
    edit(
        study,
        "def render(",
        "# a comment, and an unrelated function\ndef unrelated(): ...\ndef render(",
    )
    edit(study, '"""Add a line', '"""Append a line')
    assert "other code" not in run(capsys, "replicate", "apple")[2]
    edit(study, "0.001 * seed + drift", "0.001 * seed - drift")
    err = run(capsys, "replicate", "apple")[2]
    told = [line for line in err.splitlines() if "done by other code" in line]
    assert [line.partition(":")[0] for line in told] == [f"evaluate seed {n}" for n in range(3)]
    edit(study, "a library speaks", "a library sings")
    err = run(capsys, "replicate", "apple")[2]
    told = [line for line in err.splitlines() if "done by other code" in line]
    assert len(told) == 3 + 9
    assert "train decoder, seed 1: done by other code (commit unknown); delete " in err
    assert len(done(project)) == 9 + 3  # nothing is done again


def test_list_says_what_is_needed(project: Path, capsys) -> None:
    run(capsys, "replicate", "apple")
    status, out, _ = run(capsys, "list", "--json")
    assert status == 0
    apple, apricot = json.loads(out)
    assert [one["name"] for one in apple["experiments"]] == ["demo", "paper", "smoke"]
    demo, paper, _ = apple["experiments"]
    assert demo["results"]["seeds"] == [0, 1, 2]
    assert apricot["experiments"][0]["results"] is None
    assert (demo["raw"], paper["raw"]) == (None, "the clinic's folder of *.txt")
    text = run(capsys, "list")[1]
    assert "demo (default): Demonstration" in text
    assert "about 10 h on one workstation, 3 seeds" in text


def test_other_studies_may_be_absent_or_broken(project: Path, capsys) -> None:
    (project / "papers" / "apricot" / "study.py").write_text("raise RuntimeError")
    assert run(capsys, "replicate", "apple")[0] == 0
    assert run(capsys, "verify", "apple")[0] == 0
    assert "papers.apricot" not in sys.modules


def test_help_is_quick_and_says_the_exit_status(tmp_path: Path) -> None:
    code = (
        "import sys; from papers.__main__ import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'jax', 'numpy', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "exit status:" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_real_study_answers_to_its_prefix() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "papers", "replicate", "camcan", "nothing"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "unknown experiment 'nothing' of camcan_cfg" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [["list"], ["--help"]])
def test_what_computes_nothing_imports_no_library_that_does(command: list[str]) -> None:
    program = (
        "import sys\nfrom papers.__main__ import main\n"
        f"try:\n    main({command!r})\nexcept SystemExit:\n    pass\n"
        "print({'jax', 'nibabel', 'flax', 'matplotlib'} & set(sys.modules), file=sys.stderr)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stderr.splitlines()[-1] == "set()"
