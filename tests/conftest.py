"""What holds for all tests."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def _programs_of_this_file_alone() -> Iterator[None]:
    """Drop the compiled programs of each file of tests after it.

    Each holds some hundred memory mappings, of which Linux allows a process 65530: XLA aborts it
    at the first one more.
    """
    yield
    jax.clear_caches()
