"""Names that say what data is: digests of settings, files and prepared examples."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.data.shelf import passing
from common.files import sha256


def digest(value: Any) -> str:
    """Return the SHA-256 of a value of plain types (as JSON, keys sorted) in hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def files_digest(files: Iterable[Path]) -> str:
    """Return the digest of the files' names and contents: the same wherever they lie.

    A file that cannot be read counts as such; whoever reads the data set says so.
    """
    return digest(sorted((path.name, _sha256(path)) for path in files))


def content_hash(examples: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the SHA-256 over examples in key order, of each its fields in name order.

    A field is an array, a number or a string; its type and shape count, not only its bytes. The
    order in which the mapping was filled does not matter.
    """
    total = hashlib.sha256()
    for key in passing(sorted(examples)):
        for name, value in sorted(examples[key].items()):
            array = np.asarray(value)
            total.update(f"{key}\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
            total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def _sha256(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
