"""What a file of trained networks says of itself; see `network_files`. Imports no JAX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common import sealed
from common.errors import InputError
from common.pretrained.tensor_files import TensorFile, open_tensors

SUFFIX = ".safetensors"
ARRAYS, KEPT = "arrays", "kept"  # digests of all arrays; which parts of each network are there
REMEDY = "fetch it again, or export it anew"


def is_in_file(place: Path) -> bool:
    """Return whether the place of a network is in a file, and not a folder of checkpoints."""
    return place.parent.suffix == SUFFIX and not place.parent.is_dir()


def described(file: Path) -> dict[str, Any]:
    """Return what `save` was told of the networks; raises `InputError` for any other file."""
    with open_tensors(file) as opened:
        record = record_of(opened)
    return {name: value for name, value in record.items() if name not in (ARRAYS, KEPT)}


def record_of(file: TensorFile) -> dict[str, Any]:
    """Return the metadata of a file, checked by its digest."""
    texts = dict(file.metadata)
    known = texts.pop(sealed.DIGEST, None)
    if not {ARRAYS, KEPT} <= set(texts):
        raise InputError(f"{file.path}: not a file of networks that was exported here")
    if known != sealed.digest(texts):
        raise InputError(f"{file.path}: what it says of itself is damaged; {REMEDY}")
    return {name: json.loads(text) for name, text in texts.items()}
