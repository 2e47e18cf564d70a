"""JSON records of the program's own that tell damage: each holds a digest of the rest of it."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.structured import read_json

DIGEST = "digest"


def digest(record: Mapping[str, Any]) -> str:
    """Return the digest of a record of plain types, but for the field that holds it."""
    rest = {name: value for name, value in record.items() if name != DIGEST}
    text = json.dumps(rest, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _dumps(record: Mapping[str, Any]) -> str:
    return json.dumps(record, indent=1) + "\n"


def seal(record: Mapping[str, Any], dumps: Callable[[Any], str] = _dumps) -> str:
    """Return a record as JSON with its digest; `dumps` says how JSON is written."""
    plain = json.loads(dumps(record))  # as it will be read
    return dumps(plain | {DIGEST: digest(plain)})


def read(file: Path, remedy: str) -> dict[str, Any]:
    """Return a sealed record without its digest.

    Args:
        file: of the record.
        remedy: what the user can do about a damaged one.

    Raises:
        InputError: the file is not there, cannot be read, or is not as it was written.
    """
    record = read_json(file, remedy)
    if record.pop(DIGEST, None) != digest(record):
        raise InputError(f"{file}: damaged, or of another version; {remedy}")
    return record
