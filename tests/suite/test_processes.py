"""A command given several times at once: one run of several processes, or runs that share."""

import json
import os
import re
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest

from common.pipeline import stages
from tests.suite.toy_project import NETWORKS, done, edit, finish, run, start, start_together

UNITS = [f"train {name} {seed}" for name in NETWORKS for seed in range(3)]
# Seconds, on a busy machine. Whoever is left alone is ended by JAX after 100, with another status.
LIMIT = 180
RESULTS = ("papers", "apple_one", "results", "demo")


def begun(project: Path, unit: str) -> None:
    """Wait until a unit's training has begun."""
    while not any(line.startswith(f"begin {unit}") for line in done(project, "begin")):
        time.sleep(0.02)


# One run of several processes


def test_two_processes_train_together_and_one_writes(project: Path) -> None:
    first, second = finish(start_together(project, "replicate", "apple"))
    assert (first[0], second[0]) == (0, 0), (first, second)
    manifest = project.joinpath(*RESULTS, "manifest.json")
    assert json.loads(manifest.read_text())["platform"]["processes"] == 2
    assert sorted(done(project, "train")) == sorted(UNITS * 2)  # both took part
    assert "train decoder, seed 2" in first[2]
    assert "train decoder, seed 2" not in second[2]


def test_what_the_first_process_refuses_ends_all(project: Path, capsys) -> None:
    raw = project / "raw"
    raw.mkdir()
    (raw / "a.txt").write_text("bad")
    together = start_together(project, "replicate", "apple", "paper", "--raw", str(raw))
    for status, _, err in finish(together, timeout=LIMIT):
        assert status == 2, err
        assert f"error: --raw {raw}: 1 bad" in err
        assert "a.txt: bad file" in err
        assert "Traceback" not in err


def test_data_that_changed_under_a_run_ends_all(project: Path, capsys) -> None:
    assert run(capsys, "replicate", "apple", "--stage", "train")[0] == 0
    edit(project / "papers" / "apple_one" / "study.py", "made up {i} of", "made up {i} from")
    together = start_together(project, "replicate", "apple", "--stage", "evaluate")
    for status, _, err in finish(together, timeout=LIMIT):
        assert status == 2, err
        assert "error: encoder of seed 0 of apple_one demo has not been" in err
        assert "Traceback" not in err


def test_a_crash_in_the_first_processs_own_part_ends_all(project: Path) -> None:
    raw = project / "raw"
    raw.mkdir()
    (raw / "a.txt").write_text("good")
    command = ("replicate", "apple", "paper", "--raw", str(raw))
    first, second = finish(start_together(project, *command, TOY_CRASH="read"), timeout=LIMIT)
    assert (first[0], second[0]) == (1, 1)
    assert "RuntimeError: crash" in first[2]
    assert "RuntimeError: the first process failed: RuntimeError: crash" in second[2]


def test_what_takes_the_first_process_long_is_waited_for(project: Path) -> None:
    """Collectives of the devices give up after 30 seconds; reading raw files may take an hour."""
    raw = project / "raw"
    raw.mkdir()
    (raw / "a.txt").write_text("good")
    command = ("replicate", "apple", "paper", "--stage", "prepare", "--raw", str(raw))
    for status, _, err in finish(start_together(project, *command, TOY_READS="35"), LIMIT):
        assert status == 0, err


# Runs that share the units


def test_two_commands_share_the_units_and_end_with_the_same_results(project: Path, capsys) -> None:
    command = ("replicate", "apple", "--json")
    both = [start(project, *command, TOY_PROCESSES="2", TOY_SECONDS="0.1") for _ in range(2)]
    first, second = finish(both)
    assert (first[0], second[0]) == (0, 0), (first, second)
    assert json.loads(first[1]) == json.loads(second[1])
    assert sorted(done(project, "train")) == sorted(UNITS)  # each once
    assert sorted(done(project, "evaluate")) == [f"evaluate {seed}" for seed in range(3)]
    workers = {line.split()[-1] for line in done(project, "begin")}
    assert len(workers) == 2  # neither waited for the other to do it all
    results = project.joinpath(*RESULTS)
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    assert run(capsys, "verify", "apple", "--stage", "render")[0] == 0
    assert run(capsys, "replicate", "apple")[0] == 0
    assert before == {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}


def test_a_run_shares_its_units_among_processes_of_its_own(project: Path, capsys) -> None:
    command = ("replicate", "apple", "--processes", "2")
    (ended,) = finish([start(project, *command, TOY_PROCESSES="2", TOY_SECONDS="0.1")])
    assert ended[0] == 0, ended
    assert sorted(done(project, "train")) == sorted(UNITS)  # each once
    assert sorted(done(project, "evaluate")) == [f"evaluate {seed}" for seed in range(3)]
    assert len({line.split()[-1] for line in done(project, "begin")}) == 2
    results = project.joinpath(*RESULTS)
    platform = json.loads((results / "manifest.json").read_text())["platform"]
    assert platform["threads"] == max(1, platform["cores"] // 2)
    shared = (results / "metrics.json").read_bytes()
    shutil.rmtree(project / "home")
    shutil.rmtree(results)
    assert run(capsys, "replicate", "apple")[0] == 0
    assert (results / "metrics.json").read_bytes() == shared


def test_what_was_done_is_told_once_and_needs_no_process(
    project: Path, capsys, monkeypatch
) -> None:
    assert run(capsys, "replicate", "apple", "--stage", "train", "--seeds", "2")[0] == 0
    edit(project / "papers" / "apple_one" / "study.py", 'print("a library speaks")', "print()")
    command = ("replicate", "apple", "--processes", "2")
    (ended,) = finish([start(project, *command, TOY_SECONDS="0.5")])
    assert ended[0] == 0, ended
    assert ended[2].count("done by other code") == 2 * len(NETWORKS)
    counts = []
    monkeypatch.setattr(stages, "share_out", lambda count, *work: counts.append(count))
    status, _, err = run(capsys, *command)
    assert (status, err.count("done by other code")) == (0, 2 * len(NETWORKS))
    assert counts == [0]


def test_processes_end_with_the_run_that_started_them(project: Path) -> None:
    command = ("replicate", "apple", "--processes", "2")
    killed = start(project, *command, TOY_PROCESSES="2", TOY_SECONDS="600")
    while len(workers := {int(line.split()[-1]) for line in done(project, "begin")}) < 2:
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    finish([killed])
    assert killed.pid not in workers
    end = time.monotonic() + LIMIT
    while any(map(_lives, workers)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(_lives, workers))


def _lives(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def test_an_experiment_says_how_many_processes_share(project: Path) -> None:
    experiment = project / "experiments" / "apple_one" / "demo.toml"
    experiment.write_text(f"processes = 2\n{experiment.read_text()}")
    (ended,) = finish([start(project, "replicate", "apple", TOY_SECONDS="0.5")])
    assert ended[0] == 0, ended
    count = min(2, os.cpu_count() or 1)
    assert len({line.split()[-1] for line in done(project, "begin")}) == count


def test_what_a_helping_process_fails_at_is_told_once(project: Path) -> None:
    command = ("replicate", "apple", "--processes", "2", "--set", "train.rate=2e6")
    (ended,) = finish([start(project, *command)])
    assert ended[0] == 3, ended
    assert ended[2].count("error:") == 1


def test_what_another_process_trains_is_waited_for_and_done_if_that_is_killed(
    project: Path,
) -> None:
    command = ("replicate", "apple", "--seeds", "1", "--only", "encoder")
    killed = start(project, *command, TOY_SECONDS="600")
    begun(project, "encoder 0")
    waiting = start(project, *command)
    lines = iter(waiting.stderr.readline, "")  # type: ignore[union-attr]
    told = next(line for line in lines if line.startswith("waiting for"))
    who = f"process {killed.pid} on {re.escape(socket.gethostname())}"
    assert re.match(rf"waiting for {who}, which holds .*encoder-\w+/seed_0", told)
    time.sleep(0.3)
    assert waiting.poll() is None
    assert done(project, "train") == []
    os.kill(killed.pid, signal.SIGKILL)
    (ended,) = finish([waiting], timeout=LIMIT)
    assert ended[0] == 0, ended
    assert finish([killed])[0][0] == -signal.SIGKILL
    assert done(project, "train") == ["train encoder 0"]


def test_a_killed_process_leaves_a_free_lock(project: Path, capsys) -> None:
    killed = start(project, "replicate", "apple", TOY_SECONDS="600")
    begun(project, "encoder 0")
    os.kill(killed.pid, signal.SIGKILL)
    finish([killed])
    status, _, err = run(capsys, "replicate", "apple")
    assert status == 0
    assert "waiting" not in err
    assert sorted(done(project, "train")) == sorted(UNITS)


@pytest.mark.parametrize("order", [("decoder", "encoder"), ("encoder", "decoder")])
def test_what_a_network_learns_from_is_trained_first_whoever_does_it(
    order: tuple[str, str], project: Path
) -> None:
    """The toy's decoder reads the encoder's weights and would crash without them."""
    commands = [("replicate", "apple", "--seeds", "2", "--only", name) for name in order]
    ended = finish([start(project, *command, TOY_SECONDS="0.2") for command in commands])
    assert [one[0] for one in ended] == [0, 0], ended
    both = [f"train {name} {seed}" for name in ("encoder", "decoder") for seed in range(2)]
    assert sorted(done(project, "train")) == sorted(both)
