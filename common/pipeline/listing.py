"""What there is to run: every experiment with its data, time and results."""

from typing import Any

from common.pipeline.plan import resolved
from common.pipeline.timing import duration
from common.results import folder as results
from common.study import experiment as experiments
from common.study.protocol import Study


def describe(study: Study[Any]) -> dict[str, Any]:
    """Return a study with its experiments as plain data."""
    committed = results.committed(study.folder)
    done = {folder.name: results.manifest(folder) for folder in committed}
    described = []
    for name in experiments.names(study.experiments):
        experiment = experiments.load(study.experiments, name)
        dataset = resolved(study, experiment).data.dataset
        info = study.datasets[dataset]
        described.append(
            {
                "name": name,
                "title": experiment.title,
                "scale": experiment.scale,
                "dataset": dataset,
                "stand_in": info.stand_in,
                "raw": (experiment.raw or info.raw) if info.raw else None,
                "seeds": list(experiment.seeds),
                "minutes": experiment.minutes,
                "hardware": experiment.hardware,
                "expected": experiment.expected,
                "command": experiment.command,
                "results": _results(done.get(name)),
                "networks_bytes": sum(file.stat().st_size for file in study.shipped_files(name)),
            }
        )
    return {"study": study.name, "experiments": described}


def text(study: dict[str, Any]) -> str:
    """Return a described study as people read it."""
    lines = [study["study"]]
    for one in study["experiments"]:
        data = f"{one['dataset']} (stand-in)" if one["stand_in"] else one["dataset"]
        seeds = f"{len(one['seeds'])} seed{'s' if len(one['seeds']) > 1 else ''}"
        default = " (default)" if one["name"] == experiments.DEFAULT else ""
        lines += [
            f"  {one['name']}{default}: {one['title']}",
            f"    data: {data}, "
            + (f"--raw DIR: {one['raw']}" if one["raw"] else "nothing to give"),
            f"    time: {duration(one['minutes'])} on {one['hardware']}, {seeds}",
            f"    results: {_state(one['results'])}",
        ]
        if size := one["networks_bytes"]:
            lines.append(f"    networks: shipped, {size / 1e6:.1f} MB")
    return "\n".join(lines)


def _results(manifest: dict[str, Any] | None) -> dict[str, Any] | None:
    if manifest is None:
        return None
    return {"seeds": manifest["seeds"], "commit": manifest["code"]["commit"]}


def _state(done: dict[str, Any] | None) -> str:
    if done is None:
        return "none"
    return f"{len(done['seeds'])} seeds, made at commit {(done['commit'] or 'unknown')[:12]}"
