"""What holds of all five studies on one GPU: values, speed against PyTorch, and what the card can.

    python -m experiments.benchmarks.gpu --torch-python PATH

One command for one GPU of 80 GB, below 8 minutes: what matters most is done first, what there is
no time for is listed, and everything found is written after each part, so that nothing is lost
where the time ends. What fails is recorded with its reason, and the rest goes on.

Wheels of ours: those of the lock with `--extra cuda` (`jax[cuda12]` or `jax[cuda13]`, 0.10.2 to
0.12, with flax and optax), and pytest, as golden values are compared by what the tests make. Of
PATH's interpreter, this one by default: torch, numpy; `monai==1.4.0` and, without its
dependencies, `monai-generative==0.2.3` for the U-Net; torchvision for the classifier; diffusers,
transformers and accelerate for Stable Diffusion. A row whose wheel is missing says so, and ours is
measured alone. Reads and fetches nothing else: all images are random.

1. The card: products of 8192x8192 matrices, and copies of 1 GiB.
2. Correctness: each network against its golden values in float32, two calls bit by bit, and
   bfloat16 against float32.
3. Training steps at published sizes, against PyTorch eager and compiled: both sides begin with the
   same weights, and take steps in turn without waiting in between. Our step may not exchange
   anything with the host (JAX's transfer guard), and is compared with itself bit by bit. Networks
   whose training no benchmark has in PyTorch are in 2 alone.
4. Stable Diffusion 1.5 with ControlNet: `latent_diffusion_gpu`, as far as it comes.
5. camcan's published network, by the study's own step on new batches, for as long as is left.

Writes results/benchmarks/gpu.json and gpu.md. --tiny tries everything on a CPU in small; it needs
--out, for its figures mean nothing.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.files import write_atomic
from experiments.benchmarks.gpu_sides import Clock, FailedError, Side
from experiments.benchmarks.gpu_table import table
from experiments.benchmarks.gpu_turns import Sides, measured

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "results" / "benchmarks"
NETWORKS = (  # those that matter most first
    "unet", "attention_unet", "stargan", "segmenter", "denoiser", "cyclegan", "pix2pix",
    "starganv2", "classifier",
)  # fmt: skip
PARTS = ("checks", *NETWORKS, "sampling", "long")
FIRST_CHECKS = 8  # of whole networks; the others come after the steps in bfloat16
STARTING, CHECK, ROW, SAMPLING = 120, 60, 100, 110  # seconds at most
LONG, LAST = 75, 10  # seconds kept for the last part, and in it for its answer


@dataclass(frozen=True)
class Job:
    """Something to measure: where it is kept, how long at most, and what does it in that time."""

    part: str
    name: str
    seconds: float
    do: Callable[[Clock], Any]


def jobs(options: argparse.Namespace, sides: Sides, found: dict[str, Any]) -> Iterator[Job]:
    """Return what there is to do, what matters most first."""
    ours = sides.ours
    asked = "checks" in options.only
    names = ours.ask(STARTING, "checks", options.tiny)["names"] if asked else []
    networks = [name for name in NETWORKS if name in options.only]

    def checks(names: list[str]) -> Iterator[Job]:
        for name in names:
            do = lambda clock, name=name: ours.ask(clock.left(), "check", name)  # noqa: E731
            yield Job("checks", name, CHECK, do)

    def steps(networks: list[str], dtype: str) -> Iterator[Job]:
        for name in networks:
            do = lambda clock, name=name: measured(  # noqa: E731
                sides, name, dtype, options, clock, found["ceilings"]
            )
            yield Job("rows", f"{name} {dtype}", ROW, do)

    yield from checks(names[:FIRST_CHECKS])
    yield from steps(networks[:1], "bfloat16")
    if "sampling" in options.only:
        yield Job(
            "sampling", "latent_diffusion_gpu", SAMPLING, lambda c: sampled(c, options, sides)
        )
    yield from steps(networks[1:], "bfloat16")
    yield from checks(names[FIRST_CHECKS:])
    yield from steps(networks, "float32")


def sampled(clock: Clock, options: argparse.Namespace, sides: Sides) -> dict[str, Any]:
    """Return the rows of `latent_diffusion_gpu`, those that it has finished in time."""
    sides.drop(clock)
    with tempfile.TemporaryDirectory() as folder:
        module = "experiments.benchmarks.latent_diffusion_gpu"
        command = [sys.executable, "-m", module, "--out", folder, "--rounds", "2"]
        command += ["--torch-python", options.torch_python, *["--tiny"] * options.tiny]
        environment = sides.ours.environment
        with subprocess.Popen(command, env=environment, start_new_session=True) as started:
            try:
                started.wait(clock.left())
            except subprocess.TimeoutExpired:
                os.killpg(started.pid, signal.SIGKILL)
        file = Path(folder) / "latent_diffusion_gpu.json"
        if not file.exists():
            raise FailedError("no row in its time, or it failed: see standard error")
        return json.loads(file.read_text())


def run(options: argparse.Namespace, sides: Sides) -> None:
    """Do everything in turn, writing what there is after each."""
    clock = Clock(60 * options.minutes)
    kept = min(LONG, 10 * options.minutes) * ("long" in options.only)
    about = sides.ours.ask(STARTING, "about")
    if about["backend"] == "cpu" and not options.tiny:
        raise SystemExit(
            "JAX has only a CPU here: install its CUDA plugin (just install --extra cuda), or try "
            "this out with --tiny --out FOLDER"
        )
    found: dict[str, Any] = {"jax": about, "tiny": options.tiny, "minutes": options.minutes}
    found |= {"rounds": options.rounds, "checks": {}, "rows": {}, "sampling": {}, "long": None}
    found |= {"failed": {}, "left_out": [], "torch": sides.about(STARTING)}
    found["ceilings"] = sides.ours.ask(STARTING, "ceilings", options.tiny)
    for job in jobs(options, sides, found):
        do(job, found, clock, kept)
        wrote(options.out, found, clock)
    if "long" in options.only:
        do(Job("long", "camcan", 600.0, lambda c: endured(c, options, sides)), found, clock, 0.0)
        wrote(options.out, found, clock)
    print(table(found))


def endured(clock: Clock, options: argparse.Namespace, sides: Sides) -> dict[str, Any]:
    """Return what a training gives that takes the rest of the time."""
    seconds = min(clock.left(LAST), 5.0 if options.tiny else 600.0)
    return sides.ours.ask(clock.left(), "endure", seconds, options.tiny)


def do(job: Job, found: dict[str, Any], clock: Clock, kept: float) -> None:
    """Do a job within its time; note where there is none left for it, or why it failed."""
    name = f"{job.part}: {job.name}"
    print(f"{clock.used():5.0f} s  {name}", flush=True)
    left = clock.left(kept)
    if not found["tiny"]:  # a slow CPU may take all the time for one
        left = min(left, job.seconds)
    if left < min(10.0, job.seconds):
        found["left_out"].append(name)
        return
    try:
        found[job.part] = {**(found[job.part] or {}), job.name: job.do(Clock(left))}
    except FailedError as error:
        found["failed"][name] = str(error)


def wrote(out: Path, found: dict[str, Any], clock: Clock) -> None:
    """Write what there is."""
    found["seconds"] = round(clock.used())
    write_atomic(out / "gpu.json", json.dumps(found, indent=1) + "\n")
    write_atomic(out / "gpu.md", table(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--torch-python", default=sys.executable, help="interpreter with PyTorch")
    parser.add_argument("--minutes", type=float, default=7.5, help="of all; default: 7.5")
    parser.add_argument("--rounds", type=int, default=5, help="of every row's steps in turn")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS, help="these parts alone")
    parser.add_argument("--tiny", action="store_true", help="tiny networks, to try this out")
    parser.add_argument("--out", type=Path, help="folder; default: results/benchmarks")
    options = parser.parse_args()
    if options.tiny and options.out is None:
        parser.error("--tiny: give --out FOLDER as well, for its figures mean nothing")
    if shutil.which(options.torch_python) is None:
        parser.error(f"--torch-python {options.torch_python}: no such program; correct the path")
    options.out = options.out or RESULTS
    with tempfile.TemporaryDirectory() as folder:
        cache = {"JAX_COMPILATION_CACHE_DIR": str(Path(folder) / "compilation")}
        environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false", **cache}
        ours = [sys.executable, "-m", "experiments.benchmarks.gpu_jax"]
        theirs = [options.torch_python, str(HERE / "gpu_torch.py")]
        sides = Sides(
            Side("our side", ours, environment), Side("PyTorch's side", theirs, environment)
        )
        try:
            with closing(sides):
                run(options, sides)
        except FailedError as error:  # our side itself: rows keep their reasons
            raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
