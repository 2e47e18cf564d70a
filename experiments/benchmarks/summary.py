"""All rows against PyTorch in one table: which are no slower, which are not and by how much.

    python -m experiments.benchmarks.summary

Reads what the other benchmarks wrote and writes results/benchmarks/summary.md.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from common.files import write_atomic
from common.results import tables

RESULTS = Path(__file__).parents[2] / "results" / "benchmarks"
GOAL = 1.0  # of PyTorch eager's time
SIZES = ("channels", "filters", "width", "loss", "model", "shape", "side", "batch")
STEP = ("step", "train")
LEVELS = ("sizes", "rows", "actions", "features", "losses", "against", "PyTorch")  # need no word


class Row(NamedTuple):
    """A time of ours over PyTorch's, of one network and action."""

    file: str
    what: str
    ratio: float

    @property
    def is_step(self) -> bool:
        """Whether it is a training step."""
        return any(word in self.what.split() for word in STEP)


def rows(folder: Path) -> list[Row]:
    """Return the rows of all benchmarks in a folder that name a ratio of times."""
    found = []
    for file in sorted(folder.glob("*.json")):
        for names, ratio in _ratios(json.loads(file.read_text()), ()):
            found.append(Row(file.stem, " ".join(names), ratio))
    return found


def _ratios(content: Any, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield ratios with the names that lead to them: keys, and sizes of what lies in lists."""
    if isinstance(content, list):
        for one in content:
            yield from _ratios(one, names)
    elif isinstance(content, Mapping):
        sizes = tuple(_shown(content[name]) for name in SIZES if _is_size(content.get(name)))
        if "ratio" in content and ("torch" in content["seconds"] or names[-1] == "PyTorch"):
            yield tuple(name for name in (*names, *sizes) if name not in LEVELS), content["ratio"]
        elif "ratio" not in content:
            for name, inner in content.items():
                yield from _ratios(inner, (*names, *sizes, name))


def _is_size(value: Any) -> bool:
    return isinstance(value, int | str | list)


def _shown(size: Any) -> str:
    if not isinstance(size, list):
        return str(size)
    return f"{size[0]}–{size[-1]}" if len(size) > 2 else "x".join(map(str, size))


def table(found: Sequence[Row]) -> str:
    """Return the table as Markdown."""
    met = sum(row.ratio <= GOAL for row in found)
    steps = [row.ratio for row in found if row.is_step]
    slower = [row for row in found if row.ratio > GOAL]
    lines = [
        "# Times of ours over PyTorch's",
        "",
        f"A ratio below 1 means that JAX is faster. The goal, {GOAL:g} at most, is met by {met} of "
        f"{len(found)} rows; of the {len(slower)} others {sum(row.is_step for row in slower)} are "
        f"training steps, which take {min(steps):.2f} to {max(steps):.2f} of PyTorch's time. What "
        "they lose are passes over activations that XLA leaves between its products. Where and "
        "how each was measured is said in the file that it is from.",
        "",
    ]
    cells = tuple(
        (row.file, row.what, row.ratio, "met" if row.ratio <= GOAL else "no")
        for row in sorted(found, key=lambda row: row.ratio)
    )
    body = tables.Table("", ("from", "what", "ratio", "goal"), cells, digits=3)
    return "\n".join(lines) + "\n" + tables.printed(body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    text = table(rows(options.out))
    write_atomic(options.out / "summary.md", text)
    print(text)


if __name__ == "__main__":
    main()
