"""Simulated operations on the user's own photos, by a trained model.

What comes out shows what a model learnt from its data, at the size that it learnt it, and promises
nothing; every sheet says so. Photos are read into memory, and nothing is written but what is made
of the face: no copy of a photo, and nothing of its header.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from common import outputs, terminal
from common.data.user_files import Kinds, Rows, check_output, encoded, shown
from common.errors import InputError, nearest
from common.pipeline.trained import Trained, find
from common.results.figures import png, title
from papers.surgical_vision.config import Config
from papers.surgical_vision.data import Images
from papers.surgical_vision.datasets import DATASETS
from papers.surgical_vision.framing import Face, framer
from papers.surgical_vision.image import SUFFIXES, read_photo
from papers.surgical_vision.options import Options
from papers.surgical_vision.pair import DOMAINS
from papers.surgical_vision.train import load_model, translated
from papers.surgical_vision.variants import MODELS

KINDS = Kinds(SUFFIXES, made=("_simulated", "_sheet"))
NOTICE = "Simulation, not a promise of a result"
DEFAULT = "stargan"  # of the models that are told what to operate, the plainest
CELL = 1.9  # inches, of a face in a sheet, where its pixels do not need more
DOTS = 110  # of a sheet, an inch


@dataclass(frozen=True)
class Operation:
    """What a model is asked for: domains, none where it knows one operation only, and a share."""

    domains: tuple[str, ...]
    strength: float

    @property
    def title(self) -> str:
        """Return it in words."""
        what = " + ".join(self.domains) or "simulated"
        return what if self.strength == 1 else f"{what}, {100 * self.strength:g}%"

    @property
    def ending(self) -> str:
        """Return how the names of files end that show it."""
        percent = "" if self.strength == 1 else f"{100 * self.strength:g}"
        return "_".join(filter(None, ("+".join(self.domains), percent, "simulated")))


def predict(
    checkpoint: Path,
    source: Path,
    out: Path,
    skip_bad: bool = False,
    options: Options = Options(),  # noqa: B008  # frozen
) -> list[dict[str, Any]]:
    """Write what a model makes of every photo's face, and a sheet; return a row for each photo.

    `<name>_<model>_<domains>_simulated.png` has the study's size; `<name>_<model>_sheet.png` shows
    it beside the face before. A row holds `file`, `model`, `operations`, `change`, the mean
    absolute difference to the face before, 0 to 255, and `written`. What is made of a photo does
    not depend on the others. Raises `InputError` for what cannot be used or would be overwritten.
    """
    trained = find(checkpoint, "surgical_vision", Config())
    model = model_of(trained, options.model)
    asked = operations(model, options, trained)
    config: Config = trained.config
    recipe, weights = load_model(model, config, trained.folder)
    cut_out = framer(config.data)
    checked = KINDS.checked(source, lambda file: cut_out(read_photo(file)), skip_bad)
    faces = checked.files
    targets = {file: _targets(file, source, out, model, asked) for file, _ in faces}
    check_output(source, out, [target for each in targets.values() for target in each])
    terminal.note(f"model: {trained.folder(model)}")
    rows = []
    for file, face in tqdm(faces, "simulating", unit="photo", delay=2, disable=None):
        labels = [label_of(model, operation) for operation in asked]
        made = np.concatenate(
            [translated(recipe, weights, face[None], x[None], options.seed, 1) for x in labels]
        )
        note = f"{file.name}: {MODELS[model].title}, learnt from {_learnt_from(config)}"
        drawn = png(sheet(face, made, asked, note))
        outputs.write(dict(zip(targets[file], [*map(encoded, made), drawn], strict=True)))
        rows.append(
            {
                "file": shown(file, source),
                "model": model,
                "operations": "; ".join(operation.title for operation in asked),
                "change": float(np.abs(made.astype(np.float32) - face).mean()),
                "written": [str(target) for target in targets[file]],
            }
        )
    return Rows(rows, checked.account)


def model_of(trained: Trained, wanted: str) -> str:
    """Return the model that is meant: the one wanted, else the default one, else the first there.

    Raises `InputError` where it is not there, or none is.
    """
    known = [name for name in MODELS if name in trained.folders]
    if not known:
        raise InputError(f"--checkpoint {trained.source}: holds none of the models; train one")
    if wanted and wanted not in known:
        raise InputError(f"--model {wanted}: not trained there, {nearest(wanted, known)}")
    return wanted or (DEFAULT if DEFAULT in known else known[0])


def operations(model: str, options: Options, trained: Trained) -> list[Operation]:
    """Return what the model is asked for; raises `InputError` for what it does not know."""
    if options.domains and not _is_told(model):
        able = [name for name in MODELS if name in trained.folders and _is_told(name)]
        known = ", ".join(able) or "none is there"
        raise InputError(
            f"--domains {','.join(options.domains)}: {model} takes none, it learnt one operation; "
            f"leave it out, or choose a model that is told what to operate ({known})"
        )
    partial = [strength for strength in options.strengths if strength != 1]
    if partial and not _takes_shares(model):
        able = [name for name in MODELS if name in trained.folders and _takes_shares(name)]
        raise InputError(
            f"--strengths {partial[0]:g}: {model} knows the whole operation only; give 1, "
            f"or choose a model that takes shares ({', '.join(able) or 'none is there'})"
        )
    chosen = options.domains or (DOMAINS if _is_told(model) else ())
    parts = dict.fromkeys(_domains(text) for text in chosen) or {(): None}
    return [Operation(one, s) for s in dict.fromkeys(options.strengths) for one in parts]


def label_of(model: str, operation: Operation) -> np.ndarray:
    """Return what the model is told: of each domain 0 or 1, and to a StarGAN the share."""
    label = np.array([name in operation.domains for name in DOMAINS])
    if _takes_shares(model):
        return (operation.strength * label).astype(np.float32)
    return label.astype(np.uint8)


def sheet(face: Face, made: Images, asked: Sequence[Operation], note: str) -> Figure:
    """Return the face before and what was made of it, a row for each strength."""
    rows = len({operation.strength for operation in asked})
    columns = 1 + len(asked) // rows
    cell = max(CELL, len(face) / DOTS)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(max(cell * columns, 4.2), (cell + 0.25) * rows + 0.9),
        squeeze=False,
        layout="constrained",
    )
    for i, line in enumerate(axes):
        own = slice(i * (columns - 1), (i + 1) * (columns - 1))
        titles = ["before", *(operation.title for operation in asked[own])]
        for axis, image, name in zip(line, [face, *made[own]], titles, strict=True):
            axis.imshow(image)
            axis.set_title(name, fontsize=8)
            axis.set_axis_off()
    title(figure, note)
    figure.supxlabel(NOTICE, fontsize=12, weight="bold", color="#b00020")
    return figure


def _is_told(model: str) -> bool:
    """Return whether a model is told what to operate, by labels or by a prompt."""
    variant = MODELS[model]
    return variant.family in ("stargan", "starganv2", "diffusion") and not variant.lora


def _takes_shares(model: str) -> bool:
    """Return whether a model's labels may lie between 0 and 1: planes beside the image."""
    return MODELS[model].family == "stargan"


def _domains(text: str) -> tuple[str, ...]:
    """Return the domains of nose+chin in their order."""
    parts = [part.strip() for part in text.split("+")]
    for part in parts:
        if part not in DOMAINS:
            raise InputError(f"--domains {text}: {part!r}? {nearest(part, DOMAINS)}")
    return tuple(name for name in DOMAINS if name in parts)


def _learnt_from(config: Config) -> str:
    data = config.data
    return f"{DATASETS[data.dataset].title} of {data.size}x{data.size} pixels"


def _targets(
    file: Path, source: Path, out: Path, model: str, asked: Sequence[Operation]
) -> tuple[Path, ...]:
    """Return where what is simulated goes, and the sheet."""
    endings = [*(operation.ending for operation in asked), "sheet"]
    return tuple(KINDS.output(file, source, out, f"_{model}_{end}.png") for end in endings)
