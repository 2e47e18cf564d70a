"""What is printed: in any terminal, into any pipe, without any stream."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOW = "from common import terminal; terminal.prepare(); terminal."


def python(code: str, shell: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a program, by a shell where streams are to be redirected."""
    words = ["sh", "-c", f'"$0" -c "$1" {shell}', sys.executable, code]
    where = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(words, env=where, capture_output=True, check=False)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8:strict", "cp1252"])
def test_a_terminal_that_lacks_a_character_is_shown_its_escape(encoding: str) -> None:
    done = python(f"{SHOW}show('a \\u2265 \\udcfc \\u00b1')", PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    assert rb"\udcfc" in done.stdout
    assert (rb"\u2265" in done.stdout) == (not encoding.startswith("utf-8"))


def test_nothing_that_is_printed_controls_the_terminal() -> None:
    code = (
        f"{SHOW}show('a\\x1b[31m\\nb'); terminal.note('c\\nd'); terminal.refuse('e\\rf\\n  g\\nh')"
    )
    done = python(code)
    assert done.stdout == b"a\\x1b[31m\nb\n"
    assert done.stderr == b"c\\nd\nerror: e\\rf\n  g\\nh\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_leads_nowhere_and_to_no_file(closed: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    code = (
        f"{SHOW}show('out'); terminal.note('note'); import os, sys\n"
        f"kept = os.open({str(file)!r}, os.O_CREAT | os.O_WRONLY)\n"
        "assert kept > 2; os.write(1, b'x'); os.write(2, b'y'); sys.stdin.read(0)"
    )
    done = python(code, closed)
    assert done.returncode == 0, done.stderr
    assert file.read_bytes() == b""


@pytest.mark.parametrize(
    ("words", "streams", "status"),
    [
        ("weights", ("stdout",), 0),  # the work is done, and the reader has seen enough
        ("weights", ("stdout", "stderr"), 0),
        ("replicate pear", ("stdout", "stderr"), 141),  # as of a program that SIGPIPE ends
    ],
)
def test_a_pipe_that_nobody_reads_is_no_fault(
    words: str, streams: tuple[str, ...], status: int, tmp_path: Path
) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "papers", *words.split()],
            cwd=ROOT,
            env={**os.environ, "REPLICATIONS_HOME": str(tmp_path)},
            check=False,
            **({"stderr": subprocess.PIPE} | dict.fromkeys(streams, write)),
        )
    finally:
        os.close(write)
    assert done.returncode == status
    assert not done.stderr
