"""Ctrl-C and SIGTERM, sent to real processes that are at something else."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUSY = {
    "at work": "print('ready', flush=True)\nwhile True: pass",
    "in C": "import hashlib; print('ready', flush=True)\n"
    "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)",
    "where an error would be lost": "import gc, time\n"
    "gc.callbacks.append(lambda *_: print('ready', flush=True) or time.sleep(600))\ngc.collect()",
    "in a thread": "import threading, time; print('ready', flush=True)\n"
    "worker = threading.Thread(target=time.sleep, args=(600,)); worker.start(); worker.join()",
    "in a library that lets signals through": "import signal, time\n"
    "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGTERM])\n"
    "print('ready', flush=True); time.sleep(600)",
}
LINES = {
    signal.SIGINT: (130, "interrupted; the same command resumes from the last checkpoint\n"),
    signal.SIGTERM: (143, "terminated; the same command resumes from the last checkpoint\n"),
}


def start(program: str, before: str = "", **options) -> subprocess.Popen[str]:
    lines = f"from common import interrupts\n{before}\ninterrupts.end_at_once()\n{program}"
    return subprocess.Popen(
        [sys.executable, "-c", lines],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


@pytest.mark.parametrize("number", LINES)
@pytest.mark.parametrize("busy", BUSY)
def test_a_process_ends_at_once_and_says_so_in_a_line(number, busy):
    process = start(BUSY[busy])
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == LINES[number]


def test_a_signal_that_comes_before_it_can_be_heeded_is_heeded_then():
    later = "from common import interrupts; interrupts.end_at_once(); import time; time.sleep(600)"
    before = (
        "import os, signal, sys\n"
        "with interrupts.held_back():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        f"    os.execv(sys.executable, [sys.executable, '-c', {later!r}])"
    )
    process = start("", before)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == LINES[signal.SIGINT]


def test_what_a_script_ignores_in_its_background_stays_ignored():
    program = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('went on')"
    process = start(program, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert process.communicate(timeout=30) == ("went on\n", "")
    assert process.returncode == 0


def test_what_was_started_ends_too():
    program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "interrupts.end_too(child.kill); print('ready', flush=True); time.sleep(600)"
    )
    process = start(program)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)  # which lasts until both are gone: they share their output
    assert process.returncode == 143
