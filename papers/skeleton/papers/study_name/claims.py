"""Tests of the claims in `reported.toml`: metrics of all seeds -> Verdict."""

from collections.abc import Sequence
from typing import Any

from common.report.claims import greater, values
from common.report.verdicts import Verdict

Seeds = Sequence[dict[str, Any]]


def network_beats_brightness(seeds: Seeds) -> Verdict:
    """AUROC of the network is above that of the brightest pixel."""
    ours, bar = (values(seeds, f"{of}.auroc") for of in ("network", "brightest"))
    return greater(ours, bar, "AUROC above that of the brightest pixel")
