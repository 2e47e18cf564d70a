"""What tests of retraining share: a process that trains nothing, and workers that watch it."""

import os
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.release import retraining

QUICK = timedelta(seconds=2)  # a lease
# the process as it is, but for what it trains: it writes who it is, waits until it is let go on,
# and says what came of it
CHILD = """
import os, sys, time
from pathlib import Path
from papers.rare_disease_controlnet.desk.release import training
folder = Path(sys.argv[1])
def train(checkpoint, content):
    print("pending", 2, file=sys.stderr, flush=True)
    print("train classifier_a, seed 0", file=sys.stderr, flush=True)
    (folder / "pid").write_text(str(os.getpid()))
    while not (folder / "go").exists():
        time.sleep(0.02)
    if (folder / "refuse").exists():
        raise training.UserError("the data is gone; bring it back")
    with (folder / "done").open("a") as file:
        file.write("x")
    return {"content": content}
training.train = train
sys.exit(training.main("checkpoint", "some content"))
"""


def child(folder: Path):
    """Return what to run in place of the training."""
    return lambda *_: [sys.executable, "-c", CHILD, str(folder)]


def until(true, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def begun(folder: Path) -> int:
    """Return the process that trains, once it does."""
    until(lambda: (folder / "pid").exists() and (folder / "pid").read_text())
    return int((folder / "pid").read_text())


class Working(threading.Thread):
    """A worker that does one retraining in a thread."""

    def __init__(self, desk: Desk, folder: Path, name: str = "w1", **options):
        super().__init__(daemon=True)
        self.desk, self.name_, self.did = desk, name, None
        self.options = {"command": child(folder), "lease": QUICK, "pulse": 0.1} | options
        self.start()

    def run(self):
        self.did = retraining.work_once(self.desk, self.name_, **self.options)

    def ended(self) -> bool:
        self.join(60)
        assert not self.is_alive()
        return self.did
