"""What users choose when films are classified or drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from common.study.options import About, Threshold
from common.study.schema import LAST_SEED, Bounds, Share
from papers.rare_disease_controlnet.config import (
    Control,
    Guidance,
    Level,
    SamplerSteps,
    SynthesisConfig,
)
from papers.rare_disease_controlnet.film import Side

Preset = Literal["", "source", "faithful", "marked", "free"]
_AS_SOURCE = ("steps", "guidance", "sampler", "control", "canny_low", "canny_high")
LAST = LAST_SEED
PRESETS: dict[Preset, dict[str, Any]] = {
    "": {},
    "source": {name: getattr(SynthesisConfig(), name) for name in _AS_SOURCE},
    "faithful": {"control": 1.0, "guidance": 3.0},  # the structure above all
    "marked": {"control": 1.0, "guidance": 10.0},  # the finding too
    "free": {"control": 0.0},  # the structure is not followed
}


@dataclass(frozen=True)
class Options:
    """Which classifier looks at films, and what it predicts."""

    classifier: Annotated[
        str, About("its arm and number of rare films, as selected_24; by default that at arms.main")
    ] = ""
    threshold: Threshold = None


@dataclass(frozen=True)
class Sampling:
    """Which films are drawn, how many, and how; what is None is as the experiment has it."""

    label: Annotated[str, About("the finding, or normal; by default the rare finding")] = ""
    side: Annotated[Side, About("the patient's own: left, right or both")] = ""
    extent: Annotated[Share | None, About("of the finding, 0 to 1")] = None
    count: Annotated[int, Bounds(1, 10_000), About("of films")] = 1
    seed: Annotated[int, Bounds(0, LAST), About("of the first film, the next have the next")] = 0
    structure: Annotated[
        str, About("a film whose edges are kept: PNG, JPEG or DICOM; without, no ControlNet")
    ] = ""
    region: Annotated[
        str, About("a mask drawn on that film, white where alone it may change: PNG or JPEG")
    ] = ""
    depth: Annotated[
        str,
        About("a map of depth, near is bright, to be followed by your own ControlNet"),
    ] = ""
    preset: Annotated[
        Preset,
        About(
            "faithful: control 1, guidance 3; marked: control 1, guidance 10; free: control 0; "
            "source: as its worker draws; other flags go before it"
        ),
    ] = ""
    prompt: Annotated[str, About("instead of what is written for label, side and extent")] = ""
    negative: Annotated[str | None, About("a prompt that films are led away from")] = None
    guidance: Annotated[Guidance | None, About("how closely the prompt is kept, 1 to 30")] = None
    steps: Annotated[SamplerSteps | None, About("of the sampler, 10 to 100")] = None
    sampler: Annotated[Literal["unipc", "ddim", "pndm"] | None, About("unipc, ddim or pndm")] = None
    control: Annotated[Control | None, About("how closely the edges are kept, 0 to 2")] = None
    canny_low: Annotated[Level | None, About("gradient above which edges go on")] = None
    canny_high: Annotated[Level | None, About("gradient above which they begin")] = None

    def check(self) -> None:
        """Raise ValueError for choices that do not go together."""
        if self.seed + self.count - 1 > LAST:
            raise ValueError(f"--seed {self.seed}: the last of {self.count} would be above {LAST}")
        edges = self.structure and not self.depth
        needed = {"region": self.structure, "control": self.structure or self.depth}
        for name, there in (needed | {"canny_low": edges, "canny_high": edges}).items():
            if not there and getattr(self, name) not in ("", None):
                flag = f"--{name.replace('_', '-')} {getattr(self, name)}"
                if self.structure:
                    raise ValueError(f"{flag}: --depth is followed, not edges; leave one out")
                raise ValueError(f"{flag}: there is no film to follow; give --structure")
