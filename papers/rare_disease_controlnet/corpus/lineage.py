"""The lineage of a synthetic film: everything that makes it again, and what it must become.

Written as canonical JSON beside the film or in its row. Where a film drawn again is another one,
`Lineage.differences` names every input that is not what it was.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from common.errors import InputError, nearest
from common.study.config import checked
from common.study.schema import Bounds, Count, Share, Whole
from papers.rare_disease_controlnet.corpus.canonical import canonical, digest
from papers.rare_disease_controlnet.corpus.store import is_sha256
from papers.rare_disease_controlnet.film import Side

FORMAT = 1
IMAGES = ("structure", "region", "depth")  # of a `Spec`: files that the film was drawn after
_SHOWN = 12  # digits of a hash in a message

T = TypeVar("T")


@dataclass(frozen=True)
class _Hash:
    """The bound of a text that is a SHA-256 in hexadecimal."""

    def refusal(self, value: Any) -> str | None:
        """Return what is expected instead of `value`, None where it is admitted."""
        return None if is_sha256(value) else "expected a SHA-256 of 64 hexadecimal digits"


Sha256 = Annotated[str, _Hash()]
Seed = Annotated[int, Bounds(0, 2**32 - 1)]


class _Checked:
    """Values that are checked when they are made, whole numbers among them made floats."""

    def __post_init__(self) -> None:
        for name, kind in _fields(type(self)).items():
            if not _nested(kind):
                object.__setattr__(self, name, _admitted(getattr(self, name), kind, name))


@dataclass(frozen=True)
class Spec(_Checked):
    """What was asked for: one film."""

    label: str  # the finding, or "normal"
    side: Side
    extent: Share | None  # None: not asked for
    prompt: str
    negative: str
    guidance: float
    steps: Count
    sampler: str
    seed: Seed
    control: Literal["none", "canny", "depth"]
    strength: float  # what the ControlNet's residuals are multiplied by
    canny_low: float
    canny_high: float
    structure: Sha256 | None  # the film that is followed; of its PNG file
    region: Sha256 | None  # the mask of where the film may differ from it; None: everywhere
    size: Count  # pixels, height and width
    batch_size: Count  # films drawn at once: one program, whose rounding is its own
    depth: Sha256 | None = None  # the map that is followed in place of the film's edges


@dataclass(frozen=True)
class Network(_Checked):
    """A trained network: which training it came of, and its weights."""

    name: str
    key: str
    weights: Sha256


@dataclass(frozen=True)
class Engine(_Checked):
    """What drew the film: networks, trained on these data."""

    study: str
    data: str  # the content hash
    networks: tuple[Network, ...]


@dataclass(frozen=True)
class Code(_Checked):
    """What the engine ran: the digest of all code that drawing depends on, and the lock file."""

    digest: Sha256
    lock: Sha256 | None

    @classmethod
    def of(cls, recorded: Mapping[str, Any]) -> Code:
        """Return what `common.results.manifest.code` tells of it."""
        return cls(recorded["source_sha256"], recorded["lock_sha256"])


@dataclass(frozen=True)
class Platform(_Checked):
    """Where it ran, as far as bits depend on that."""

    system: str
    processor: str
    cores: Whole
    threads: Count  # of XLA, on which the last bits of sums depend
    backend: str
    device: str
    devices: Count
    driver: str | None  # of a GPU, as is the next
    cudnn: str | None
    python: str
    jax: str
    jaxlib: str
    xla_flags: str
    matmul_precision: str

    @classmethod
    def of(cls, recorded: Mapping[str, Any]) -> Platform:
        """Return what `common.results.manifest.platform` tells of it."""
        own: dict[str, Any] = {name: recorded.get(name) for name in _fields(cls)}
        own |= {"processor": recorded["cpu"]}
        own |= {name: recorded["versions"][name] for name in ("jax", "jaxlib")}
        own["matmul_precision"] = recorded["matmul_precision"] or "default"
        return cls(**own)


@dataclass(frozen=True)
class Lineage(_Checked):
    """Everything that makes a film again, and the SHA-256 of the PNG file that comes out."""

    spec: Spec
    engine: Engine
    code: Code
    platform: Platform
    output: Sha256
    format: Annotated[int, Bounds(FORMAT, FORMAT)] = FORMAT

    def dumps(self) -> str:
        """Return canonical JSON."""
        return canonical(dataclasses.asdict(self), "lineage")

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON."""
        return digest(self.dumps())

    def differences(self, now: Lineage) -> list[str]:
        """Return a line for every input that differs: what it was, and what it is now."""
        before, after = dict(_inputs(self)), dict(_inputs(now))
        return [
            f"{name}: {_shown(before.get(name))}, now {_shown(after.get(name))}"
            for name in before | after
            if before.get(name, ...) != after.get(name, ...)
        ]


def read(path: Path) -> Lineage:
    """Return the lineage in a file, which may be a film's metadata in an export too.

    Raises:
        InputError: no such file, no JSON, another format, or a field that is missing, unknown or
            of the wrong type.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text; give the JSON file of a lineage") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return loads(text, str(path))


def loads(text: str, where: str) -> Lineage:
    """Return the lineage in a JSON text; `where` begins the line of an `InputError`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}); give the file of a lineage") from None
    if isinstance(value, dict) and isinstance(value.get("lineage"), dict):
        value = value["lineage"]
    found = value.get("format") if isinstance(value, dict) else None
    if found != FORMAT or type(found) is not int:
        raise InputError(
            f"{where}: format {json.dumps(found)}, expected {FORMAT}; give the file of a lineage "
            "that this version of the project wrote"
        )
    return _built(Lineage, value, f"{where}: ")


def _built(kind: type[T], value: Any, where: str) -> T:
    """Return the dataclass `kind` with the fields of a JSON object."""
    if not isinstance(value, dict):
        raise InputError(f"{where.removesuffix('.')}: expected an object of {kind.__name__}")
    kinds = _fields(kind)
    if unknown := sorted(value.keys() - kinds.keys()):
        raise InputError(f"{where}{unknown[0]}: no such field, {nearest(unknown[0], kinds)}")
    if missing := [name for name in kinds if name not in value]:
        raise InputError(f"{where}{missing[0]}: missing; give a lineage that is whole")
    values: dict[str, Any] = {}
    for name, inner in kinds.items():
        if dataclasses.is_dataclass(inner):
            values[name] = _built(inner, value[name], f"{where}{name}.")  # type: ignore[arg-type]
        elif _nested(inner):
            values[name] = _listed(get_args(inner)[0], value[name], f"{where}{name}")
        else:
            values[name] = _admitted(value[name], inner, f"{where}{name}")
    return kind(**values)


def _listed(kind: type[T], value: Any, where: str) -> tuple[T, ...]:
    if not isinstance(value, list):
        raise InputError(f"{where}: expected a list, each of {kind.__name__}")
    return tuple(_built(kind, one, f"{where}.{index}.") for index, one in enumerate(value))


def _fields(kind: type) -> dict[str, Any]:
    """Return the types of a dataclass's fields, in order, with their bounds."""
    kinds = get_type_hints(kind, include_extras=True)
    return {field.name: kinds[field.name] for field in dataclasses.fields(kind)}


def _nested(kind: Any) -> bool:
    """Return whether a field holds dataclasses: one, or a tuple of them."""
    inner = get_args(kind)[0] if get_origin(kind) is tuple else kind
    return dataclasses.is_dataclass(inner)


def _admitted(value: Any, kind: Any, where: str) -> Any:
    """Return `value` as a field's type; None where that is admitted."""
    if get_origin(kind) in (Union, types.UnionType):
        if value is None:
            return None
        kind = get_args(kind)[0]
    return checked(value, kind, where)


def _inputs(lineage: Lineage) -> Iterator[tuple[str, Any]]:
    """Yield every input by the name that people give it."""
    for name, value in dataclasses.asdict(lineage.spec).items():
        yield name.replace("_", " "), value
    engine = lineage.engine
    yield "study", engine.study
    yield "data", engine.data
    for network in sorted(engine.networks, key=lambda network: network.name):
        yield f"training of {network.name}", network.key
        yield f"weights of {network.name}", network.weights
    yield "code", lineage.code.digest
    yield "lock file", lineage.code.lock
    for name, value in dataclasses.asdict(lineage.platform).items():
        yield f"platform: {name.replace('_', ' ')}", value


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return f"{value[:_SHOWN]}…" if is_sha256(value) else json.dumps(value, ensure_ascii=False)
    return f"{value:g}" if isinstance(value, float) else str(value)
