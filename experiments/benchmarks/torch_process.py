"""A program in its own environment, asked line by line, and what all sides depend on."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np


@contextmanager
def torch_process(
    python: str, script: str, *arguments: Path | str
) -> Iterator[tuple[str, Callable[[str], list[float]]]]:
    """Start `script` with the interpreter `python`; yield its PyTorch's version and a question.

    `arguments` are the script's. The question sends a line and returns the numbers of the line that
    is the answer.
    """
    command = [python, Path(__file__).with_name(script), *arguments]
    with process(command, "PyTorch's side") as started:
        yield started


@contextmanager
def process(
    command: Sequence[str | Path], name: str
) -> Iterator[tuple[str, Callable[[str], list[float]]]]:
    """Start a side of a benchmark; yield its first line and a question, as `torch_process`.

    Raises SystemExit where the side ends before it answers.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as started:
        assert started.stdin
        assert started.stdout
        version = started.stdout.readline().strip()
        if not version:
            raise SystemExit(f"{name} ended: run {' '.join(map(str, command))} to see why")

        def ask(line: str) -> list[float]:
            print(line, file=started.stdin, flush=True)
            if not (answer := started.stdout.readline()):
                raise SystemExit(f"{name} ended at {line!r}: its last words are above")
            return [float(number) for number in answer.split()]

        yield version, ask
        started.stdin.close()


def in_turn(ours: Callable, theirs: Callable[[], float], rounds: int, name: str = "torch") -> dict:
    """Return the seconds of both sides in turn, and the median of the ratio within a round.

    `ours` is timed and must wait for its result; `theirs`, of that name, returns its seconds.
    """
    seconds: dict[str, list[float]] = {"jax": [], name: []}
    for _ in range(rounds):
        start = time.perf_counter()
        ours()
        seconds["jax"].append(time.perf_counter() - start)
        seconds[name].append(theirs())
    ratios = np.divide(seconds["jax"], seconds[name])
    return {"seconds": seconds, "ratio": float(np.median(ratios))}


def compared(
    ours: Callable[[], float], ask: Callable[[str], list[float]], action: str, rounds: int
) -> dict:
    """Return `in_turn`'s times of an action, and how the first values of both sides differ.

    Our first call, which compiles, is timed alone; the difference is relative to theirs.
    """
    start = time.perf_counter()
    value = ours()
    first, expected = time.perf_counter() - start, ask(action)[1]
    return {
        **in_turn(ours, lambda: ask(action)[0], rounds),
        "first_call_seconds": first,
        "relative_difference": abs(value - expected) / abs(expected),
    }


def gemm_rate(size: int = 2048, rounds: int = 5) -> float:
    """Return operations per second of a float32 matrix product: what the machine can do."""
    matrix = np.random.default_rng(0).random((size, size), np.float32)
    product = jax.jit(lambda a: a @ a)
    product(matrix).block_until_ready()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        product(matrix).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / float(np.median(seconds))
