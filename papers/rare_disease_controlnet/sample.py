"""Films drawn by a trained engine as its user asks, each with what makes it again beside it.

Every film is a PNG file with its lineage (`.json`). The film or map that was followed and the
region lie beside them, named by their hashes, as pixels alone: nothing of a header.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from matplotlib.figure import Figure
from tqdm import tqdm

from common import outputs, terminal
from common.data.raw import BadFile
from common.errors import InputError, nearest
from common.pipeline.trained import Trained, find, seeds_of
from common.provenance import ROOT
from common.results import figures
from papers.rare_disease_controlnet import gray_film
from papers.rare_disease_controlnet.config import Config, SynthesisConfig
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.data import findings_of
from papers.rare_disease_controlnet.engine.assembly import engine_of
from papers.rare_disease_controlnet.engine.drawing import Films, Gray, Request, draw
from papers.rare_disease_controlnet.engine.maker import STUDY, Maker, keys_of
from papers.rare_disease_controlnet.options import PRESETS, Sampling
from papers.rare_disease_controlnet.prompts import NORMAL

NOTICE = "Synthetic films: research code, no medical device"
SHOWN = 24  # films of a sheet, at most
MIDDLE = 127  # gray value above which a mask is white


def sample(checkpoint: Path | None, out: Path, choice: Sampling) -> list[dict[str, Any]]:
    """Write films, their lineages, what they follow, and a sheet; return a row for each film.

    A row holds `film`, `seed`, `sha256` and `written`. Without a checkpoint the engine is that of
    the run that was trained last, of its lowest seed. Raises `InputError` for what cannot be asked
    of it, and where a file would be overwritten.
    """
    trained = find(checkpoint or seeds_of(STUDY)[0].parent, STUDY, Config())
    config: Config = trained.config
    config = replace(config, synthesis=asked(config.synthesis, choice))
    requests = requests_of(choice, config, findings_of(trained))
    names = [_name(request) for request in requests]
    sheet_file = out / f"{names[0]}_sheet.png"
    targets = [out / f"{name}{end}" for name in names for end in (".png", ".json")]
    outputs.check_new(out, [*targets, sheet_file])
    terminal.note(f"engine: {trained.source}")
    maker = maker_of(trained, config, config.arms.main)
    prompt = choice.prompt or None
    films = _drawn(maker, requests, prompt)
    outputs.write({out / name: content for name, content in followed(requests[0]).items()})
    rows = []
    for name, request, film in zip(names, requests, films, strict=True):
        content = png.encoded(film)
        lineage = maker.lineage(request, content, prompt)
        files = {
            out / f"{name}.png": content,
            out / f"{name}.json": f"{lineage.dumps()}\n".encode(),
        }
        outputs.write(files)
        rows.append(
            {
                "film": f"{name}.png",
                "seed": request.seed,
                "sha256": lineage.output,
                "written": [str(file) for file in files],
            }
        )
    outputs.write({sheet_file: figures.png(sheet(requests, films, lineage.spec.prompt))})
    return rows


def asked(options: SynthesisConfig, choice: Sampling) -> SynthesisConfig:
    """Return how films are drawn: as the experiment has it, then the preset, then the flags."""
    names = ("negative", "guidance", "steps", "sampler", "control", "canny_low", "canny_high")
    given = {name: getattr(choice, name) for name in names}
    chosen = {name: value for name, value in given.items() if value is not None}
    return replace(options, **PRESETS[choice.preset] | chosen)


def requests_of(choice: Sampling, config: Config, findings: Sequence[str]) -> list[Request]:
    """Return what is asked for, film by film.

    Raises `InputError` for a label that the engine does not know, a side or an extent of a normal
    film, and files that cannot be read.
    """
    known = {name.lower(): name for name in (NORMAL, *findings)}
    label = (choice.label or config.data.rare).lower()
    if label not in known:
        raise InputError(f"--label {choice.label}: not learned, {nearest(label, known)}")
    if label == NORMAL and (choice.side or choice.extent is not None):
        flag = f"--side {choice.side}" if choice.side else f"--extent {choice.extent:g}"
        raise InputError(f"{flag}: a normal film has no finding; leave it out, or --label normal")
    structure = region = depth = None
    if choice.structure:
        structure, side = structure_of(choice.structure, config.data.size)
        if choice.region:
            region = region_of(choice.region, side, config.data.size)
    if choice.depth:
        if not config.engine.weights:
            raise InputError(
                f"--depth {choice.depth}: the ControlNet of this engine learned edges; draw with "
                "weights of your own whose engine.controlnet learned depth, or give --structure"
            )
        depth, _ = structure_of(choice.depth, config.data.size, "--depth")
    request = Request(
        () if label == NORMAL else (known[label],),
        choice.side,
        nan if choice.extent is None else choice.extent,
        choice.seed,
        structure,
        region,
        depth,
    )
    return [replace(request, seed=choice.seed + number) for number in range(choice.count)]


def structure_of(path: str, size: int, flag: str = "--structure") -> tuple[Gray, int]:
    """Return the film or map of a file as the study has films, and its side in the file."""
    try:
        whole = gray_film.read(_existing(path, flag))
    except BadFile as reason:
        raise InputError(f"{flag} {path}: {reason}") from None
    return gray_film.resized(whole, size), len(whole)


def region_of(path: str, side: int, size: int) -> Bool[np.ndarray, "size size"]:
    """Return the mask of a file, drawn on a film of this side or on one as the study has it."""
    try:
        mask = gray_film.square(gray_film.read_gray(_existing(path, "--region")))
    except BadFile as reason:
        raise InputError(f"--region {path}: {reason}") from None
    if len(mask) not in (side, size):
        raise InputError(f"--region {path}: not of the film's size; draw it on --structure")
    inside = gray_film.resized(mask, size) > MIDDLE
    if not inside.any():
        raise InputError(f"--region {path}: nothing is white, so that nothing may change")
    return inside


def maker_of(trained: Trained, config: Config, count: int) -> Maker:
    """Return the engine that was adapted to `count` rare films, drawing as `config` says."""
    pipeline = engine_of(config, findings_of(trained), trained.folder, count)
    keys = keys_of(config, count, trained.training)
    return Maker.of(pipeline, config, ROOT, trained.content_hash, keys)


def followed(request: Request) -> dict[str, bytes]:
    """Return name and content of the files that a film's lineage refers to."""
    images = {"structure": request.structure, "depth": request.depth}
    if request.region is not None:
        images["region"] = np.uint8(255) * request.region
    contents = {name: png.encoded(one) for name, one in images.items() if one is not None}
    return {f"{name}_{digest(one)[:12]}.png": one for name, one in contents.items()}


def sheet(requests: Sequence[Request], films: Films, prompt: str) -> Figure:
    """Return what was followed, if anything, and the first films that were drawn."""
    shown = {"structure": requests[0].structure, "depth": requests[0].depth}
    images = [(name, image) for name, image in shown.items() if image is not None]
    images += [(f"seed {one.seed}", film) for one, film in zip(requests, films, strict=True)]
    figure, axes = figures.image_axes(len(images[:SHOWN]), 1.0)
    for axis, (name, image) in zip(axes, images, strict=False):
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
        axis.set_title(name, fontsize=8)
        axis.set_axis_off()
    figures.title(figure, prompt)
    figure.supxlabel(NOTICE, fontsize=8, weight="bold", color="#b00020")
    return figure


def _drawn(maker: Maker, requests: Sequence[Request], prompt: str | None) -> Films:
    """Return all films, a batch at a time."""
    size = maker.config.synthesis.batch_size
    batches = [requests[row : row + size] for row in range(0, len(requests), size)]
    each = tqdm(batches, "drawing", unit="batch", delay=2, disable=None)
    return np.concatenate([draw(maker.pipeline, maker.config, one, prompt=prompt) for one in each])


def _name(request: Request) -> str:
    """Return how a film's files are called: by label, side and seed."""
    label = " ".join(request.findings) or NORMAL
    words = [re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-"), request.side, request.seed]
    return "_".join(str(word) for word in words if word != "")


def _existing(path: str, flag: str) -> Path:
    if not Path(path).is_file():
        raise InputError(f"{flag} {path}: no such file")
    return Path(path)
