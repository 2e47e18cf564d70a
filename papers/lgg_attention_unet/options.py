"""What users choose when tumor is marked in their scans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from common.study.options import About, Probabilities, Threshold


@dataclass(frozen=True)
class Options:
    """Volumes of one patient in place of --input, and what is predicted."""

    flair: Annotated[str, About("FLAIR volume of a patient (NIfTI), in place of --input")] = ""
    pre: Annotated[str, About("its T1 volume before contrast; without it, FLAIR stands in")] = ""
    post: Annotated[str, About("its T1 volume after contrast; without it, FLAIR stands in")] = ""
    threshold: Threshold = None
    probabilities: Probabilities = False

    def check(self) -> None:
        """Raise ValueError for volumes beside which there is no FLAIR."""
        for name in ("pre", "post"):
            if (given := getattr(self, name)) and not self.flair:
                raise ValueError(f"--{name} {given}: give the patient's --flair too")

    @property
    def names_input(self) -> bool:
        """Whether --input is not needed."""
        return bool(self.flair)
