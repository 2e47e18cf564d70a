"""What training leaves for prediction: the folder of a network, and a seed's index of networks.

A network's folder holds ``network.json``: its study, name, seed, key and the config it was trained
with. An evaluated seed's folder holds ``networks.json``, which says where the seed's networks lie,
and ``tuned.json``, the fields of the config that the evaluation chose for prediction.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from common.errors import InputError
from common.files import write_atomic
from common.results import metrics_file
from common.study import config as configs
from common.study.protocol import Run, Unit

NETWORK, INDEX, TUNED = "network.json", "networks.json", "tuned.json"

C = TypeVar("C")


@dataclass(frozen=True)
class Trained:
    """Trained networks of one seed: where each lies, and the config to predict with."""

    source: Path
    config: Any
    folders: Mapping[str, Path]

    def folder(self, network: str) -> Path:
        """Return the folder of a network; raises `InputError` where it is not among these."""
        if network not in self.folders:
            known = ", ".join(sorted(self.folders))
            raise InputError(
                f"--checkpoint {self.source}: no network '{network}' there, only {known}; "
                "give the folder of a seed that was trained whole"
            )
        return self.folders[network]


def save_network(unit: Unit[Any]) -> None:
    """Write what a network is beside its checkpoints."""
    described = {
        "study": unit.run.study.name,
        "network": unit.network,
        "seed": unit.seed,
        "key": unit.key,
        "config": asdict(unit.config),
    }
    write_atomic(unit.folder / NETWORK, metrics_file.dumps(described))


def save_index(run: Run[Any], seed: int, units: list[Unit[Any]]) -> None:
    """Write where the networks of a seed lie, relative to the file, and the run's config."""
    folder = run.seed_folder(seed)
    described = {
        "study": run.study.name,
        "seed": seed,
        "config": asdict(run.config),
        "networks": {
            unit.network: Path(os.path.relpath(unit.folder, folder)).as_posix() for unit in units
        },
    }
    write_atomic(folder / INDEX, metrics_file.dumps(described))


def find(checkpoint: Path, study: str, published: C) -> Trained:
    """Return the networks at `checkpoint` or below it, with a config over `published`.

    Args:
        checkpoint: the folder of a run or of one of its seeds (of several the lowest counts), or of
            one network.
        study: the study that the networks must be of.
        published: its config; what the saved one leaves out is as there.

    Raises:
        InputError: no network there, networks of several runs, or of another study.
    """
    if not checkpoint.is_dir():
        raise InputError(f"--checkpoint {checkpoint}: no such folder")
    for name in (INDEX, NETWORK):
        if files := _files(checkpoint, name):
            file = _only(checkpoint, files)
            break
    else:
        raise InputError(
            f"--checkpoint {checkpoint}: no network there or below (a folder with {INDEX} or "
            f"{NETWORK}); give the folder of networks that replicate prints"
        )
    content = _read(file)
    if content.get("study") != study:
        raise InputError(
            f"--checkpoint {checkpoint}: holds networks of {content.get('study')}, not of {study}"
        )
    config = configs.override(published, content["config"], str(file))
    tuned = file.with_name(TUNED)
    if tuned.is_file():
        config = configs.override(config, _read(tuned), str(tuned))
    if file.name == NETWORK:
        folders = {content["network"]: file.parent}
    else:
        folders = {
            name: (file.parent / path).resolve() for name, path in content["networks"].items()
        }
    return Trained(file.parent, config, folders)


def _files(checkpoint: Path, name: str) -> list[Path]:
    """Return the file in the folder itself, or all of that name one or more folders below."""
    own = checkpoint / name
    return [own] if own.is_file() else sorted(checkpoint.rglob(name))


def _only(checkpoint: Path, files: list[Path]) -> Path:
    """Return the file of the lowest seed; raises `InputError` where they are of several runs."""
    owners = sorted({file.parent.parent for file in files})
    if len(files) > 1 and len(owners) > 1:
        names = ", ".join(str(owner.relative_to(checkpoint)) for owner in owners)
        raise InputError(f"--checkpoint {checkpoint}: holds several, choose one of {names}")
    return min(files, key=lambda file: (len(file.parent.name), file.parent.name))


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as JSON ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{file}: not what training writes there; train again")
    return content
