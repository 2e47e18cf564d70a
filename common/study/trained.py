"""The folder of a trained network: training leaves there what `predict` builds the network from."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import jax

from common.errors import InputError
from common.files import write_atomic
from common.results import metrics_file
from common.study import config as configs

CONFIG = "config.json"

C = TypeVar("C")


def save_config(folder: Path, config: Any) -> None:
    """Write the config that a network is trained with beside its checkpoints; process 0 does."""
    if jax.process_index() == 0:
        write_atomic(folder / CONFIG, metrics_file.dumps(asdict(config)))


def network_folder(checkpoint: Path) -> Path:
    """Return the folder of a network: `checkpoint`, or the first below it that is one."""
    if not checkpoint.is_dir():
        raise InputError(f"--checkpoint {checkpoint}: no such folder")
    if (checkpoint / CONFIG).is_file():
        return checkpoint
    below = sorted(checkpoint.rglob(CONFIG))
    if not below:
        raise InputError(
            f"--checkpoint {checkpoint}: no network there or below (a folder with {CONFIG}); "
            "give the folder of checkpoints that replicate prints"
        )
    return below[0].parent


def network_config(folder: Path, published: C) -> C:
    """Return the config that a network was trained with; what it leaves out is as published."""
    file = folder / CONFIG
    try:
        values = json.loads(file.read_text())
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; run --stage train first") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as JSON ({error})") from None
    if not isinstance(values, dict):
        raise InputError(f"{file}: not the config of a network; train writes it")
    return configs.override(published, values, str(file))
