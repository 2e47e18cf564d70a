"""What a job asks of the engine, checked by the same bounds as the command line's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from math import nan
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from common.errors import InputError, nearest
from common.study.config import checked, toml
from common.study.schema import Bounds, Count, Share
from papers.rare_disease_controlnet.config import Control, Guidance, Level, SamplerSteps
from papers.rare_disease_controlnet.corpus.lineage import Seed, Sha256
from papers.rare_disease_controlnet.film import Side
from papers.rare_disease_controlnet.options import LAST
from papers.rare_disease_controlnet.prompts import NORMAL, prompt_of

LONGEST = 500  # characters of a prompt
_SHOWN = 40  # characters of what is no number
Sampler = Literal["unipc", "ddim", "pndm"]
Followed = Literal["none", "canny", "depth"]


@dataclass(frozen=True)
class _Text:
    """The bound of a text of one line that every database can hold."""

    longest: int = LONGEST

    def refusal(self, value: Any) -> str | None:
        """Return what is expected instead of `value`, None where it is admitted."""
        if len(value) <= self.longest and value.isprintable():
            return None
        return f"expected one line of at most {self.longest} characters"


Text = Annotated[str, _Text()]


@dataclass(frozen=True)
class Asked:
    """Films that are asked for, and how they are drawn: the spec of a job.

    Bounds are checked where it is read; what goes with what, whenever it is made.
    """

    label: Text  # a finding, or "normal"
    prompt: Text
    side: Side = ""
    extent: Share | None = None
    negative: Text = ""
    guidance: Guidance = 7.5
    steps: SamplerSteps = 30
    sampler: Sampler = "unipc"
    seed: Seed = 0  # of the first film, the next have the next
    count: Count = 1
    control: Followed = "none"
    strength: Control = 1.0
    canny_low: Level = 100
    canny_high: Level = 200
    structure: Sha256 | None = None  # the film or map to follow, in the store

    def __post_init__(self) -> None:
        if self.seed + self.count - 1 > LAST:
            raise InputError(f"seed {self.seed}: the last of {self.count} would be above {LAST}")
        if self.label == NORMAL and (self.side or self.extent is not None):
            value = f"side {self.side}" if self.side else f"extent {self.extent:g}"
            raise InputError(f"{value}: a normal film has no finding; leave it out")
        if not self.prompt.strip():
            raise InputError("prompt: is empty; say what the film shows")
        if (self.control == "none") != (self.structure is None):
            hint = "choose or upload a film" if self.structure is None else "leave the film out"
            raise InputError(f"control {self.control}: {hint}, or choose another control")

    @property
    def findings(self) -> tuple[str, ...]:
        """Return the findings that a film shows; none if it is normal."""
        return () if self.label == NORMAL else (self.label,)

    def spec(self) -> dict[str, Any]:
        """Return what is kept of it as a job's spec."""
        return asdict(self)


def of_spec(spec: Mapping[str, Any]) -> Asked:
    """Return what a job's spec asks for; raises `InputError` for one that is no desk's."""
    names = [field.name for field in fields(Asked)]
    if unknown := sorted(spec.keys() - set(names)):
        raise InputError(f"{unknown[0]}: the desk knows no such wish, {nearest(unknown[0], names)}")
    if missing := [name for name in ("label", "prompt") if name not in spec]:
        raise InputError(f"{missing[0]}: missing; ask for the films anew")
    return _made(spec)


def of_form(form: Mapping[str, str], seed: int, structure: str | None) -> Asked:
    """Return what the fields of a form ask for; an empty one is as `Asked` has it.

    Args:
        form: texts by the names of `Asked`; `seeding` is "new" where `seed` is to be taken.
        seed: a new one.
        structure: the SHA-256 of the film that the form names.

    Raises:
        InputError: a field that is none, out of its bounds, or does not go with another.
    """
    values: dict[str, Any] = {}
    for name, kind in kinds().items():
        text = " ".join(form.get(name, "").split())
        if not text or name == "structure":  # which a form has by a key of its own
            continue
        if len(text) > LONGEST:
            raise InputError(f"{name}: {len(text)} characters, expected at most {LONGEST}")
        values[name] = _read(text, _present(kind), name)
    if form.get("seeding") == "new":
        values["seed"] = seed
    if not (label := values.get("label")):
        raise InputError(f"label: missing; choose a finding, or {NORMAL}")
    values = _admitted(values)
    prompt = suggested(label, values.get("side", ""), values.get("extent"))
    followed = structure if values.get("control", "none") != "none" else None
    return _made({"prompt": prompt} | values | {"structure": followed})


def suggested(label: str, side: Side = "", extent: float | None = None, word: bool = True) -> str:
    """Return the prompt for a label, with the finding's learned `word` where an engine has one."""
    findings = () if label == NORMAL else (label,)
    return prompt_of(findings, side, nan if extent is None else extent, word)


@cache
def kinds() -> dict[str, Any]:
    """Return the types of what can be asked, with their bounds."""
    return get_type_hints(Asked, include_extras=True)


def bounds(name: str) -> tuple[int | float, int | float]:
    """Return the least and the greatest number that a wish admits."""
    (found,) = (one for one in get_args(_present(kinds()[name]))[1:] if isinstance(one, Bounds))
    return found.low, found.high


def _made(values: Mapping[str, Any]) -> Asked:
    """Return what these values ask for, each checked by its bounds."""
    return Asked(**_admitted(values))


def _admitted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as they are admitted; raises `InputError` for one that is not."""
    admitted: dict[str, Any] = {}
    for name, value in values.items():
        kind = kinds()[name]
        absent = value is None and _is_optional(kind)
        admitted[name] = None if absent else checked(value, _present(kind), name)
    return admitted


def _read(text: str, kind: Any, name: str) -> Any:
    """Return a form's text as the number, or the text, that a wish is."""
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    try:
        return plain(text) if plain in (int, float) else text
    except ValueError:
        what = "a whole number" if plain is int else "a number"
        raise InputError(f"{name} = {toml(text[:_SHOWN])}: must be {what}") from None


def _present(kind: Any) -> Any:
    """Return a type without None."""
    return get_args(kind)[0] if _is_optional(kind) else kind


def _is_optional(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)
