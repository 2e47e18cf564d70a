"""What a run is about to do, told before it begins."""

from __future__ import annotations

import dataclasses
from typing import Any

from common.errors import InputError
from common.pipeline import units
from common.pipeline.plan import resolved
from common.pipeline.timing import duration
from common.study import config as configs
from common.study.protocol import Run


def opening(run: Run[Any], remembered: bool) -> list[str]:
    """Return what people want to know of a run that begins, a line each.

    `remembered` says that the folder of raw data was given with an earlier command.
    """
    where = f" in {run.raw}" if run.raw else ""
    where += " (remembered)" if run.raw and remembered else ""
    lines = [f"data: {run.data.dataset}{where}", f"device: {_device()}"]
    if run.experiment.minutes:
        seeds = len(run.experiment.seeds)
        lines.append(
            f"time: {duration(run.experiment.minutes)} on {run.experiment.hardware}, as "
            f"{run.experiment.name} stands, {seeds} seed{'s' if seeds > 1 else ''}"
        )
    if count := len(run.differences):
        lines.append(f"deviations: {count} from the published configuration (--dry-run lists them)")
    return [*lines, f"work: {run.work}", f"results: {run.out}"]


def check_hardware(run: Run[Any]) -> None:
    """Raise `InputError` for an experiment as it stands that needs a GPU, where there is none."""
    import jax

    needed = run.experiment.hardware
    as_it_stands = run.config == resolved(run.study, run.experiment)
    if "GPU" in needed and as_it_stands and jax.default_backend() == "cpu":
        raise InputError(
            f"{run.study.name} {run.experiment.name}: takes "
            f"{duration(run.experiment.minutes)} on {needed}, and JAX finds only a CPU here; "
            "give --yes to begin all the same, or make it smaller by --set"
        )


def described(run: Run[Any], only: str | None = None) -> dict[str, Any]:
    """Return what a run would do as plain data: its config, networks, seeds and folders."""
    return {
        "study": run.study.name,
        "experiment": run.experiment.name,
        "config": dataclasses.asdict(run.config),
        "differences": [str(difference) for difference in run.differences],
        "seeds": list(run.seeds),
        "networks": units.names(run, only),
        "raw": str(run.raw) if run.raw else None,
        "work": str(run.work),
        "out": str(run.out),
    }


def text(run: Run[Any], only: str | None = None) -> str:
    """Return what a run would do as people read it, the config as TOML."""
    lines, section = [], ""
    for name, value in configs.flatten(run.config).items():
        table, _, field = name.rpartition(".")
        if table != section:
            lines += ["", f"[config.{table}]"]
            section = table
        lines.append(f"{field} = {configs.toml(value)}")
    networks = units.names(run, only)
    count = len(networks) * len(run.seeds)
    seeds = ", ".join(map(str, run.seeds))
    return "\n".join(
        [
            *lines[1:],
            "",
            *(f"deviation: {difference}" for difference in run.differences),
            f"to be trained unless it is there: {', '.join(networks)}",
            f"seeds: {seeds}; {count} trainings in all, fewer where seeds share one",
            f"work: {run.work}",
            f"results: {run.out}",
            "nothing was done, as --dry-run asks",
        ]
    )


def _device() -> str:
    """Return what is computed on."""
    import jax

    from common import xla

    devices = jax.devices()
    if devices[0].platform == "cpu":
        return f"cpu, {xla.cores()} cores"
    return f"{len(devices)} {devices[0].platform} ({devices[0].device_kind})"
