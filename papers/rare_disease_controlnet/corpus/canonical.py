"""JSON in one form only: equal values have equal bytes, and so one SHA-256."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from common.errors import InputError


def canonical(value: Any, what: str) -> str:
    """Return JSON with sorted keys, no spaces, and floats by their shortest exact form.

    Raises:
        InputError: `what` holds something that JSON has no word for, such as NaN.
    """
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        text.encode()
    except (TypeError, ValueError) as error:  # of text that is none: half a surrogate pair
        raise InputError(f"{what}: cannot be kept as JSON ({error})") from None
    return text


def digest(content: str | bytes) -> str:
    """Return the SHA-256 of bytes, or of a text's UTF-8, in hexadecimal."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
