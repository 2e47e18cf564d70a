"""Milliseconds that the review desk's pages take while 41 people use it beside a working engine.

    python -m experiments.benchmarks.review_desk [--seconds 60]

Thirty readers, ten researchers, each with the live page of an open job besides, and an admin, as
threads that speak HTTP with the desk in a process of its own; in a third one an engine that takes
all cores. Writes results/benchmarks/review_desk.json and review_desk.md: percentiles over answers.
"""

from common import xla

xla.configure()  # before JAX is imported

import argparse  # noqa: E402
import os  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from sqlalchemy import func, select  # noqa: E402

from common.provenance import ROOT  # noqa: E402
from experiments.benchmarks.report import RESULTS, machine, write  # noqa: E402
from experiments.benchmarks.review_desk_content import (  # noqa: E402
    fill,
    settings_of,
    write_engine,
)
from experiments.benchmarks.review_desk_visitors import Told, visit  # noqa: E402
from papers.rare_disease_controlnet.desk.opening import open_desk  # noqa: E402
from papers.rare_disease_controlnet.desk.tables import (  # noqa: E402
    Answer,
    Presentation,
    Reader,
    User,
)

READERS, RESEARCHERS, JOBS, FILMS = 30, 10, 30, 8
ARRIVING = 10  # seconds that do not count
GOAL = 200  # milliseconds, the 95th percentile of a page
NICE = "an engine that takes all cores, at the priority that the desk gives it"


@contextmanager
def beside(folder: Path) -> Iterator[str]:
    """Run the pages and an engine as processes; yield the pages' address."""
    command = [sys.executable, "-m", "experiments.benchmarks.review_desk_sides"]
    pages = subprocess.Popen(
        [*command, "pages", str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    engine = subprocess.Popen([*command, "engine", str(folder)], cwd=ROOT)
    try:
        assert pages.stdout is not None
        yield f"http://127.0.0.1:{int(pages.stdout.readline())}"
    finally:
        for process in (engine, pages):
            process.terminate()
        for process in (engine, pages):
            process.wait(60)


def kept(folder: Path) -> dict[str, int]:
    """Return how many films each reader has answered to the end, as the database has it."""
    query = (
        select(User.name, func.count())
        .join(Reader, Reader.user_id == User.id)
        .join(Presentation, Presentation.reader_id == Reader.id)
        .join(Answer, Answer.presentation_id == Presentation.id)
        .where(Answer.origin.is_not(None))
        .group_by(User.name)
    )
    with open_desk(settings_of(folder)).read() as session:
        return dict(session.execute(query).all())


def percentiles(told: Told) -> dict[str, dict[str, float]]:
    """Return count, median, 95th percentile and maximum by what was asked for, and of all."""
    everything = [one for some in told.milliseconds.values() for one in some]
    named = dict(sorted(told.milliseconds.items())) | {"all": everything}
    return {
        name: {
            "count": len(some),
            "p50": float(np.percentile(some, 50)),
            "p95": float(np.percentile(some, 95)),
            "max": max(some),
        }
        for name, some in named.items()
    }


def table(result: dict) -> str:
    nice, machine = result["nice"], result["machine"]
    shared = f", all at niceness {nice} since other programs ran" if nice else ""
    lines = [
        "# The review desk under load\n",
        f"{READERS} readers, {RESEARCHERS} researchers, each with the live page of an open job "
        f"besides, and an admin for {result['seconds']:g} seconds; the corpus has "
        f"{JOBS * FILMS} films and {JOBS} jobs. Beside the pages {NICE}. The visitors run on the "
        f"same machine: {machine['cpu']}, {machine['threads']} threads{shared}. "
        f"{result['answers']} films were answered, {result['lost']} answers lost, "
        f"{len(result['wrong'])} requests went wrong.\n",
        "| page | requests | median, ms | 95%, ms | longest, ms |",
        "|---|---|---|---|---|",
    ]
    for name, one in result["milliseconds"].items():
        lines.append(
            f"| {name} | {one['count']} | {one['p50']:.0f} | {one['p95']:.0f} | {one['max']:.0f} |"
        )
    slow = [
        name for name, one in result["milliseconds"].items() if one["p95"] >= GOAL and name != "all"
    ]
    verdict = f"missed by: {', '.join(slow)}" if slow else "met by all"
    return "\n".join([*lines, f"\nThe goal, 95% below {GOAL} ms, is {verdict}.\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["REPLICATIONS_HOME"] = home
        write_engine()
        folder = Path(home) / "desk"
        sizes = {"readers": READERS, "researchers": RESEARCHERS, "jobs": JOBS, "films": FILMS}
        content = fill(folder, **sizes)
        with beside(folder) as address:
            told = visit(address, content, ARRIVING, options.seconds)
        there = kept(folder)
    result = {
        "seconds": options.seconds,
        "milliseconds": percentiles(told),
        "answers": sum(there.values()),
        "lost": sum(count - there.get(name, 0) for name, count in told.given.items()),
        "wrong": told.wrong,
        "nice": os.nice(0),
        "machine": machine(),
    }
    write(options.out, "review_desk", result, table(result))


if __name__ == "__main__":
    main()
