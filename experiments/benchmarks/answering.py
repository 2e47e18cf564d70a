"""What every side of a benchmark does that runs as a process of its own; imports nothing else."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path


def answer(version: str, actions: Mapping[str, Callable[[], float]]) -> None:
    """Write `version`, then do the action that each line of standard input names.

    The answer is one line: seconds, the action's value, and the process's peak memory in bytes.
    """
    print(version, flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        value = actions[line.strip()]()
        print(time.perf_counter() - start, value, peak_memory(), flush=True)


def peak_memory() -> int:
    """Return this program's largest resident memory in bytes, 0 where the system does not say.

    Not `getrusage`'s, which counts in what the program was started from.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)
