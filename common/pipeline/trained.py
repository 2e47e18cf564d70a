"""What training leaves for prediction: the folder of a network, and a seed's index of networks.

A network's folder holds ``network.json``: its study, name, seed, key, the config it was trained
with, and what is known of the data. A trained seed's folder holds ``networks.json``, which says
where the seed's networks lie, and, once evaluated, ``tuned.json``, the fields of the config that
the evaluation chose for prediction. Shipped networks of a seed are one file instead,
``seed_<n>.safetensors``, which says all of this itself (`common.training.network_files`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from common import paths, sealed, terminal
from common.errors import InputError
from common.files import update, write_atomic
from common.structured import read_json
from common.study import config as configs
from common.study.protocol import SHIPPED, Run, Unit, training_name
from common.training import network_metadata

NETWORK, INDEX, TUNED = "network.json", "networks.json", "tuned.json"
METRICS = "metrics.json"
EVALUATED = "evaluated.json"  # what is known of the evaluation, which says what was tuned

C = TypeVar("C")


@dataclass(frozen=True)
class Trained:
    """Trained networks of one seed: where each lies, and the config to predict with.

    `content_hash` and `parts` are those of the prepared data that they learned from (`Prepared`).
    """

    source: Path
    config: Any
    folders: Mapping[str, Path]
    content_hash: str = ""
    parts: Mapping[str, Any] = field(default_factory=dict)
    scale: str = ""  # of the experiment that trained them

    def folder(self, network: str) -> Path:
        """Return the folder of a network; raises `InputError` where it is not among these."""
        if network not in self.folders:
            known = ", ".join(sorted(self.folders))
            raise InputError(
                f"--checkpoint {self.source}: no network '{network}' there, only {known}; "
                "give the folder of a seed that was trained whole"
            )
        return self.folders[network]

    def training(self, network: str) -> str:
        """Return which training a network came of: `Unit.training`."""
        place = self.folder(network)
        if network_metadata.is_in_file(place):
            training = network_metadata.described(place.parent)["networks"][network]
            return f"{training} in float16"  # another network than that training's own
        described = _read(place / NETWORK)
        return training_name(network, described["key"], described["seed"])

    def metrics(self) -> dict[str, Any]:
        """Return what the evaluation of the seed measured; raises `InputError` if there is none."""
        if self.source.is_file():
            return network_metadata.described(self.source)["metrics"]
        return read_json(self.source / METRICS, "give the folder of a seed that was evaluated")


def save_network(unit: Unit[Any], parts: Mapping[str, Any] | None = None) -> None:
    """Write what a network is beside its checkpoints; `parts` are the prepared data's."""
    described = {
        "study": unit.run.study.name,
        "network": unit.network,
        "seed": unit.seed,
        "scale": unit.run.experiment.scale,
        "key": unit.key,
        "config": asdict(unit.config),
        "data": {"content_hash": unit.content_hash, "parts": dict(parts or {})},
    }
    write_atomic(unit.folder / NETWORK, sealed.seal(described, _dumps))


def save_index(
    run: Run[Any], seed: int, units: list[Unit[Any]], parts: Mapping[str, Any] | None = None
) -> None:
    """Write where the networks of a seed lie, relative to the file, and the run's config."""
    folder = run.seed_folder(seed)
    described = {
        "study": run.study.name,
        "seed": seed,
        "scale": run.experiment.scale,
        "config": asdict(run.config),
        "networks": {
            unit.network: Path(os.path.relpath(unit.folder, folder)).as_posix() for unit in units
        },
        "data": {"content_hash": units[0].content_hash, "parts": dict(parts or {})},
    }
    update(folder / INDEX, sealed.seal(described, _dumps))


def seeds_of(study: str) -> list[Path]:
    """Return the folders of all seeds of a study that are trained here, the newest first.

    Raises:
        InputError: there is none.
    """
    indices = (paths.runs() / study).glob(f"*/seed_*/{INDEX}")
    found = sorted(indices, key=lambda file: (file.stat().st_mtime_ns, file), reverse=True)
    if not found:
        raise InputError(
            f"--checkpoint: nothing of {study} is trained in {paths.runs()}; train it with "
            f"`just replicate {study}`, or give the folder of a seed that was trained elsewhere"
        )
    return [file.parent for file in found]


def find(checkpoint: Path, study: str, published: C) -> Trained:
    """Return the networks at `checkpoint` or below it, with a config over `published`.

    Args:
        checkpoint: the folder of a run or of one of its seeds (of several the lowest counts), or of
            one network; or a file of shipped networks, or the folder of such files.
        study: the study that the networks must be of.
        published: its config; what the saved one leaves out is as there.

    Raises:
        InputError: no network there, networks of several runs, or of another study.
    """
    found = _described(_by_seed(checkpoint)[0], checkpoint, study, published)
    _warn(found)
    return found


def find_seeds(checkpoint: Path, study: str, published: C) -> list[Trained]:
    """Return the networks of every seed at `checkpoint` or below it, by seed; else as `find`."""
    files = _by_seed(checkpoint)
    found = [_described(file, checkpoint, study, published) for file in files]
    _warn(found[0])
    return found


def _warn(found: Trained) -> None:
    if found.source.is_file():
        terminal.note(_told(found.source))
    if found.scale == "smoke":
        terminal.note(
            f"warning: {found.source} comes of a smoke run, which trains for seconds to test "
            "commands; nothing that it predicts means anything"
        )


def _told(file: Path) -> str:
    """Return a line on shipped networks: whose they are, what they learned from, its license."""
    its = network_metadata.described(file)
    data = its["data"]
    stand_in = ", a stand-in" if data["stand_in"] else ""
    return (
        f"shipped networks: {file}, {its['study']} {its['experiment']} ({its['scale']}), learned "
        f"from {data['title']}{stand_in}; license of the data: {data['license']}"
    )


def _described(file: Path, checkpoint: Path, study: str, published: C) -> Trained:
    """Return what an index, the record of a network, or a shipped file says."""
    if shipped := file.suffix == network_metadata.SUFFIX:
        content = network_metadata.described(file)
    else:
        content = _read(file)
    if content.get("study") != study:
        raise InputError(
            f"--checkpoint {checkpoint}: holds networks of {content.get('study')}, not of {study}"
        )
    config = configs.override(published, content["config"], str(file))
    data = content.get("data", {})
    known = data.get("content_hash", ""), data.get("parts", {}), content.get("scale", "")
    if shipped:
        return Trained(file, config, {name: file / name for name in content["networks"]}, *known)
    tuned = file.with_name(TUNED)
    if tuned.is_file() or file.with_name(EVALUATED).is_file():
        config = configs.override(config, _read(tuned), str(tuned))
    if file.name == NETWORK:
        folders = {content["network"]: file.parent}
    else:
        folders = {
            name: (file.parent / path).resolve() for name, path in content["networks"].items()
        }
    return Trained(file.parent, config, folders, *known)


def _by_seed(checkpoint: Path) -> list[Path]:
    """Return the index, the record of a network, or the shipped file of every seed, in order."""
    if checkpoint.is_file() and checkpoint.suffix == network_metadata.SUFFIX:
        return [checkpoint]
    if not checkpoint.is_dir():
        raise InputError(f"--checkpoint {checkpoint}: no such folder")
    for name in (INDEX, NETWORK):
        if files := _files(checkpoint, name):
            return _of_one_run(checkpoint, files, lambda file: file.parent)
    if files := sorted(checkpoint.rglob(SHIPPED)):
        return _of_one_run(checkpoint, files, lambda file: file)
    raise InputError(
        f"--checkpoint {checkpoint}: no network there or below (a folder with {INDEX} or "
        f"{NETWORK}, or a file {SHIPPED}); give the folder of networks that replicate prints"
    )


def _files(checkpoint: Path, name: str) -> list[Path]:
    """Return the file in the folder itself, or all of that name one or more folders below."""
    own = checkpoint / name
    return [own] if own.is_file() else sorted(checkpoint.rglob(name))


def _of_one_run(checkpoint: Path, files: list[Path], seed: Callable[[Path], Path]) -> list[Path]:
    """Return the files, the lowest seed's first; raises `InputError` where several runs' are there.

    `seed` gives the folder or file that is named by the seed.
    """
    owners = sorted({seed(file).parent for file in files})
    if len(files) > 1 and len(owners) > 1:
        names = ", ".join(str(owner.relative_to(checkpoint)) for owner in owners)
        raise InputError(f"--checkpoint {checkpoint}: holds several, choose one of {names}")
    return sorted(files, key=lambda file: (len(seed(file).name), seed(file).name))


def _dumps(described: Mapping[str, Any]) -> str:
    """Return JSON that keeps the order of names, which is that of the data's classes."""
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


def _read(file: Path) -> dict[str, Any]:
    return sealed.read(file, "train again, or take it anew from where it was trained")
