"""What shows the same under two names."""

import hashlib

import numpy as np


class Copies:
    """What was met so far, known by its content."""

    def __init__(self) -> None:
        self._first: dict[bytes, str] = {}

    def first(self, name: str, *arrays: np.ndarray) -> str:
        """Return the name under which these arrays were met first, which may be this one."""
        total = hashlib.blake2b(digest_size=16)
        for array in arrays:
            total.update(f"{array.dtype.str}{array.shape}".encode())
            total.update(np.ascontiguousarray(array).data)
        return self._first.setdefault(total.digest(), name)
