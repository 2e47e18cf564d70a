"""Preparing and loading data of 1, 4 and 16 times a size: seconds, and memory, which stays flat.

    python -m experiments.benchmarks.preparing

Items of noise take the place of what a study reads; they are split, hashed and written, and then
loaded and gone through once, as a training does, each in a process of its own. Memory is the
largest resident size beyond that of the process before it began; of it, only what is not mapped
from disk has to fit into memory. Writes results/benchmarks/preparing.json and preparing.md.
"""

from common import xla

xla.configure()  # before JAX is imported

import argparse  # noqa: E402
import json  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

from common.data.loader import Source  # noqa: E402
from common.data.prepare import prepare  # noqa: E402
from common.data.prepared import Prepared, Reading  # noqa: E402
from common.data.shelf import kept  # noqa: E402
from experiments.benchmarks.report import RESULTS, machine, write  # noqa: E402
from papers.camcan_cfg import data as camcan_data  # noqa: E402
from papers.camcan_cfg import study as camcan  # noqa: E402
from papers.camcan_cfg.layout import SubjectSlices  # noqa: E402
from papers.lgg_attention_unet import data as lgg_data  # noqa: E402
from papers.lgg_attention_unet import study as lgg  # noqa: E402
from papers.lgg_attention_unet.datasets import Stack  # noqa: E402

FACTORS = (1, 4, 16)
BATCH = 16
EVERY = 0.02  # seconds between two looks at the memory


def subjects(count: int) -> Iterator[SubjectSlices]:
    """Yield 40 slices of 96x128 pixels each, float32: 2 MB."""
    for i in range(count):
        random = np.random.default_rng(i)
        images = random.random((40, 96, 128), np.float32)
        yield SubjectSlices(f"S{i:05d}", 20.0 + i % 60, 1 + i % 2, np.arange(40), images)


def patients(count: int) -> Iterator[Stack]:
    """Yield 36 slices of 256x256 pixels each, in three channels of 8 bits, and masks: 9 MB."""
    for i in range(count):
        random = np.random.default_rng(i)
        images = random.integers(0, 256, (36, 256, 256, 3), np.uint8)
        yield Stack(f"P{i:05d}", images, images[..., 0] > 250, 50.0, 1)


def _of_camcan(prepared: Prepared) -> Source:
    return camcan_data.load(prepared, "train").as_source()


def _of_lgg(prepared: Prepared) -> Source:
    config = lgg.STUDY.published.data
    return lgg_data.source(lgg_data.load(prepared, config, 0)["train"], config, "none")


STUDIES: dict[str, tuple[Any, Any, Any, int]] = {  # study, items, training's source, items at once
    "camcan_cfg": (camcan.STUDY, subjects, _of_camcan, 20),
    "lgg_attention_unet": (lgg.STUDY, patients, _of_lgg, 8),
}


class Watch:
    """Seconds and the most memory in bytes that a block takes, beyond what there was before."""

    def __enter__(self) -> "Watch":
        self._before = _resident()
        self.all = self.own = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(EVERY):
            whole, own = (now - then for now, then in zip(_resident(), self._before, strict=True))
            self.all, self.own = max(self.all, whole), max(self.own, own)


def _resident() -> tuple[int, int]:
    """Return bytes in memory, and those of them that no file holds."""
    lines = Path("/proc/self/status").read_text().splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith("kB")}
    return int(sizes["VmRSS"]) << 10, int(sizes["RssAnon"]) << 10


def side(name: str, count: int, folder: Path, action: str) -> dict[str, float]:
    """Prepare `count` items into a folder, or load and go through them; return what it took."""
    study, items, source_of, _ = STUDIES[name]
    config = replace(study.published.data, dataset="simulated")
    dataset = replace(
        study.datasets["simulated"],
        read=lambda raw, config: Reading([kept(item) for item in items(count)]),
    )
    size = 0
    with Watch() as watch:
        prepared = prepare(dataset, config, study.examples, folder, None)
        if action == "load":
            source = source_of(prepared)
            for start in range(0, len(source), BATCH):
                rows = source[np.arange(start, min(start + BATCH, len(source)))]
                size += sum(np.asarray(value).nbytes for value in rows.values())
    return {"seconds": watch.seconds, "all": watch.all, "own": watch.own, "read": size}


def measure(rounds: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, (_, items, _, count) in STUDIES.items():
        one = next(items(1))
        item = sum(value.nbytes for value in vars(one).values() if isinstance(value, np.ndarray))
        rows = []
        for _ in range(rounds):
            for factor in FACTORS:
                row: dict[str, Any] = {"items": factor * count, "bytes": factor * count * item}
                with tempfile.TemporaryDirectory() as scratch:
                    for action in ("prepare", "load"):
                        row[action] = _apart(name, factor * count, Path(scratch) / "data", action)
                print(name, json.dumps(row), flush=True)
                rows.append(row)
        found[name] = rows
    return {"rounds": rounds, "studies": found, "machine": machine()}


def _apart(name: str, count: int, folder: Path, action: str) -> dict[str, float]:
    """Return what `side` returns, in a process of its own."""
    words = [sys.executable, "-m", __spec__.name, "--side", name, str(count), str(folder), action]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def table(result: dict[str, Any]) -> str:
    about = result["machine"]
    lines = [
        "# Preparing and loading as data grows",
        "",
        f"Noise in place of scans; {about['cpu']}, {about['threads']} threads. Preparing: split, "
        "hash and write. Loading: check what was written, load the training part and go through "
        f"it once. Medians of {result['rounds']} rounds, each in a process of its own. Memory is "
        "beyond what the imports take: what has to fit into it, and in brackets with what is "
        "mapped from disk, of which the system takes back what it needs.",
        "",
        "| study | data, MB | preparing, s | MB a s | memory, MB | loading, s | memory, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rows in result["studies"].items():
        for size in sorted({row["bytes"] for row in rows}):
            some = [row for row in rows if row["bytes"] == size]
            cells = [name, f"{size / 1e6:.0f}"]
            for action in ("prepare", "load"):
                seconds, own, whole = (
                    float(np.median([row[action][key] for row in some]))
                    for key in ("seconds", "own", "all")
                )
                cells.append(f"{seconds:.1f}")
                if action == "prepare":
                    cells.append(f"{size / 1e6 / seconds:.0f}")
                cells.append(f"{own / 1e6:.0f} ({whole / 1e6:.0f})")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    about = "what this program starts itself as"
    parser.add_argument("--side", nargs=4, metavar=("STUDY", "N", "DIR", "ACTION"), help=about)
    options = parser.parse_args()
    if options.side:
        name, count, folder, action = options.side
        print(json.dumps(side(name, int(count), Path(folder), action)))
        return
    result = measure(options.rounds)
    write(options.out, "preparing", result, table(result))


if __name__ == "__main__":
    main()
