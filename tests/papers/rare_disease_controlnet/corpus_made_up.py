"""What tests of the corpus share: a PostgreSQL of their own, films with made-up lineages."""

import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.corpus import Corpus, keep
from papers.rare_disease_controlnet.corpus.lineage import (
    Code,
    Engine,
    Lineage,
    Network,
    Platform,
    Spec,
)
from papers.rare_disease_controlnet.corpus.queue import Claim, claim, enqueue

SPEC = Spec(
    label="pneumothorax",
    side="left",
    extent=0.25,
    prompt="frontal chest X-ray showing small pneumothorax on the left",
    negative="blurry, “low” quality",
    guidance=7.5,
    steps=20,
    sampler="unipc",
    seed=2**32 - 1,
    control="canny",
    strength=0.8,
    canny_low=100.0,
    canny_high=200.0,
    structure=None,
    region=None,
    size=8,
    batch_size=8,
)
PLATFORM = Platform(
    system="Linux x86_64",
    processor="a processor",
    cores=2,
    threads=2,
    backend="cpu",
    device="cpu",
    devices=1,
    driver=None,
    cudnn=None,
    python="3.11.9",
    jax="0.10.2",
    jaxlib="0.10.2",
    xla_flags="",
    matmul_precision="float32",
)
NETWORKS = (
    Network("denoiser", "denoiser-1", "1a" * 32),
    Network("controlnet", "controlnet-1", "2b" * 32),
)
ENGINE = Engine("rare_disease_controlnet", "3c" * 32, NETWORKS)
LINEAGE = Lineage(SPEC, ENGINE, Code("4d" * 32, None), PLATFORM, output="5e" * 32)


def film(number: int) -> tuple[bytes, Lineage]:
    """Return a film, another one for each number, and its lineage."""
    image = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
    content = png.encoded(image)
    spec = replace(SPEC, seed=SPEC.seed - number)
    return content, replace(LINEAGE, spec=spec, output=digest(content))


def taken(corpus: Corpus) -> Claim:
    """Return the claim of a new job."""
    with corpus.write() as session:
        enqueue(session, {"label": "pneumothorax"}, asked_by="test")
    with corpus.write() as session:
        claimed = claim(session, "worker")
    assert claimed
    return claimed


def filled(corpus: Corpus, count: int) -> list[int]:
    """Keep so many films of one job; return their keys."""
    claimed = taken(corpus)
    return [keep(corpus, claimed, number, *film(number)) for number in range(count)]


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL of our own, reached by a socket in a folder; yield the folder.

    Skips the tests where there is no server program, or no driver.
    """
    pytest.importorskip("psycopg", reason="PostgreSQL: no driver, install psycopg[binary]")
    folder, programs = Path(tempfile.mkdtemp(prefix="pg")), _programs()
    data, log = folder / "data", folder / "log"
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    if os.getuid() == 0:  # whom the server refuses to run for
        shutil.chown(folder, "postgres")
    try:
        _run(programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync")
        _run(programs / "pg_ctl", "-D", data, "-o", options, "-l", log, "-w", "start")
        try:
            yield str(folder)
        finally:
            _run(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def new_database(folder: str) -> str:
    """Return the address of an empty schema of the server in `folder`: a database costs seconds."""
    import psycopg

    name = f"corpus_{uuid.uuid4().hex}"
    with psycopg.connect(host=folder, user="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"postgresql+psycopg://postgres@/postgres?host={folder}&options=-csearch_path%3D{name}"


def _programs() -> Path:
    found = shutil.which("initdb")
    places = [Path(found)] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not places:
        pytest.skip("PostgreSQL: no initdb, install the server")
    if os.getuid() == 0 and "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        pytest.skip("PostgreSQL: no user postgres, as whom root must start it")
    return places[-1].parent


def _run(*command: object) -> None:
    words = [str(word) for word in command]
    if os.getuid() == 0:
        words = ["su", "postgres", "-c", shlex.join(words)]
    subprocess.run(words, check=True, cwd="/", stdout=subprocess.DEVNULL)
