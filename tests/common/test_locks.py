"""A folder's lock, between threads of one process and between processes."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from common.locks import folder_lock, holder, passing_lock, scratch_folder

ROOT = Path(__file__).parents[2]
HOLDING = (
    "import sys, time; from pathlib import Path; from common.locks import folder_lock\n"
    "with folder_lock(Path(sys.argv[1])) as held: print(held, flush=True); time.sleep(600)\n"
)


def other_process(folder: Path) -> subprocess.Popen[str]:
    """Start a process that holds the lock, and return it when it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, folder],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == "True\n"
    return process


def test_a_lock_is_held_by_one_and_free_afterwards(tmp_path):
    folder = tmp_path / "deep" / "folder"  # which the lock makes
    with folder_lock(folder) as held:
        assert held
        assert holder(folder).startswith(f"process {os.getpid()} on ")
        with folder_lock(folder, wait=False) as twice:
            assert not twice
        assert holder(folder).startswith(f"process {os.getpid()} on ")
        with folder_lock(tmp_path / "other", wait=False) as another:
            assert another
    assert holder(folder) == "another process"
    with folder_lock(folder, wait=False) as held:
        assert held


def test_a_lock_is_free_after_an_error_inside(tmp_path):
    try:
        with folder_lock(tmp_path):
            raise RuntimeError
    except RuntimeError:
        pass
    with folder_lock(tmp_path, wait=False) as held:
        assert held


def test_a_killed_process_leaves_a_free_lock(tmp_path):
    process = other_process(tmp_path)
    with folder_lock(tmp_path, wait=False) as held:
        assert not held
    assert holder(tmp_path).startswith(f"process {process.pid} on ")
    process.send_signal(signal.SIGKILL)
    process.wait()
    with folder_lock(tmp_path, wait=False) as held:
        assert held
        assert holder(tmp_path).startswith(f"process {os.getpid()} on ")


def test_waiting_ends_when_the_lock_is_free(tmp_path):
    process, order = other_process(tmp_path), []

    def wait() -> None:
        with folder_lock(tmp_path) as held:
            order.append(held)

    waiting = threading.Thread(target=wait)
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    order.append("killed")
    process.kill()
    process.wait()
    waiting.join(30)
    assert order == ["killed", True]


def test_a_passing_lock_is_waited_for_and_leaves_nothing(tmp_path):
    order = []

    def wait() -> None:
        with passing_lock(tmp_path):
            order.append("second")

    waiting = threading.Thread(target=wait)
    with passing_lock(tmp_path):
        waiting.start()
        waiting.join(0.2)
        order.append("first")
    waiting.join(30)
    assert order == ["first", "second"]
    assert list(tmp_path.iterdir()) == []


def test_what_killed_processes_left_goes_with_the_next_scratch_folder(tmp_path):
    with scratch_folder(tmp_path) as mine:
        (tmp_path / "left").mkdir()
        (tmp_path / "left" / "file").touch()
        with scratch_folder(tmp_path) as other:
            assert {path for path in tmp_path.iterdir() if path.is_dir()} == {mine, other}
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
