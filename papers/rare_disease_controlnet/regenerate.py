"""A film drawn again from its lineage: the same to the byte, or which of its inputs differ."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from common import terminal, xla
from common.errors import InputError
from common.pipeline.shipped import seeds_to_use
from common.pipeline.trained import Trained, find
from common.study.protocol import Regenerated
from papers.rare_disease_controlnet import study
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.corpus import lineage as lineages
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.corpus import FILMS
from papers.rare_disease_controlnet.corpus.export import FOLLOWED, IMAGES
from papers.rare_disease_controlnet.corpus.lineage import Lineage, Spec, read
from papers.rare_disease_controlnet.data import findings_of
from papers.rare_disease_controlnet.desk.settings import Settings
from papers.rare_disease_controlnet.engine.drawing import Gray, Request, draw
from papers.rare_disease_controlnet.engine.maker import STUDY
from papers.rare_disease_controlnet.networks import adaptation, synthesis
from papers.rare_disease_controlnet.prompts import NORMAL
from papers.rare_disease_controlnet.sample import maker_of
from papers.rare_disease_controlnet.synthesis import CORPUS


def regenerate(file: Path, checkpoint: Path | None = None) -> Regenerated:
    """Draw the film again, alone in a batch of its batch size, and compare the PNG files' hashes.

    The structure and the region are found by their hashes: beside the file, in the corpus or export
    that it lies in, in those of the engine's run, or at the desk. Without a checkpoint the engine
    is that whose training the lineage names, here or shipped, or else that of the run that was
    trained last. Raises
    `InputError` where one of these cannot be found, or the file is no lineage of this study.
    """
    lineage = read(file)
    if lineage.engine.study != STUDY:
        raise InputError(f"{file}: a lineage of {lineage.engine.study}, not of {STUDY}")
    os.environ.setdefault(
        xla.THREADS, str(lineage.platform.threads)
    )  # sums' last bits depend on it
    trained, count = engine_behind(lineage, checkpoint)
    terminal.note(f"engine: {trained.source}")
    config: Config = trained.config
    if lineage.spec.size != config.data.size:
        raise InputError(
            f"{file}: a film of {lineage.spec.size} pixels, the engine in {trained.source} draws "
            f"{config.data.size}; give the engine's own folder by --checkpoint"
        )
    places = [*_near(file.absolute()), *_corpora(trained), Settings().folder / FILMS]
    request = _request(lineage.spec, findings_of(trained), file, places)
    maker = maker_of(trained, as_then(config, lineage.spec), count)
    (film,) = draw(maker.pipeline, maker.config, [request], prompt=lineage.spec.prompt)
    now = maker.lineage(request, png.encoded(film), lineage.spec.prompt)
    differences = tuple(lineage.differences(now))
    note = ""
    if now.output != lineage.output:
        note = _note(differences, film, _found(lineage.output, places))
    return Regenerated(lineage.output, now.output, differences, note)


def engine_behind(lineage: Lineage, checkpoint: Path | None) -> tuple[Trained, int]:
    """Return the networks of the seed that a lineage names, and how many rare films they know."""
    if checkpoint is not None:
        candidates = [find(checkpoint, STUDY, Config())]
    else:
        candidates = [find(folder, STUDY, Config()) for folder in seeds_to_use(study.STUDY)]
    wanted = {network.name: network.key for network in lineage.engine.networks}.get("unet")
    for trained in candidates:
        for count in trained.config.arms.rare:
            name = adaptation(count)
            if name in trained.folders and trained.training(name) == wanted:
                return trained, count
    return candidates[0], candidates[0].config.arms.main


def as_then(config: Config, spec: Spec) -> Config:
    """Return the config with which the engine draws as it was told to."""
    told: dict[str, Any] = {
        "steps": spec.steps,
        "guidance": spec.guidance,
        "sampler": spec.sampler,
        "control": spec.strength,
        "canny_low": int(spec.canny_low),
        "canny_high": int(spec.canny_high),
        "negative": spec.negative,
        "batch_size": spec.batch_size,
    }
    return replace(config, synthesis=replace(config.synthesis, **told))


def _request(spec: Spec, findings: tuple[str, ...], file: Path, places: list[Path]) -> Request:
    """Return the film as it was asked for."""
    images = {}
    for name in lineages.IMAGES:
        sha256 = getattr(spec, name)
        images[name] = None if sha256 is None else _found(sha256, places)
        if sha256 is not None and images[name] is None:
            raise InputError(
                f"{file}: its {name}, of SHA-256 {sha256}, is not there; put the PNG file beside it"
            )
    known = spec.label in findings
    labels = (spec.label,) if known else tuple(spec.label.split(" and "))
    region = images["region"]
    return Request(
        () if spec.label == NORMAL else labels,
        spec.side,
        nan if spec.extent is None else spec.extent,
        spec.seed,
        images["structure"],
        None if region is None else region > 0,
        images["depth"],
    )


def _note(differences: tuple[str, ...], film: Gray, before: Gray | None) -> str:
    """Return how much another film differs where all that differs is the platform, if anything."""
    if any(not line.startswith("platform: ") for line in differences):
        return ""
    what = "only the platform differs" if differences else "nothing differs that a lineage tells of"
    if before is None:
        return f"{what}; the film itself is not beside its lineage, to be compared with"
    largest = int(np.abs(film.astype(int) - before).max())
    return f"{what}; the largest difference is {largest} of 255 gray levels"


def _near(file: Path) -> list[Path]:
    """Return the folders that films may lie in: the file's own, a corpus's, an export's."""
    above = [file.parent, *list(file.parent.parents)[:2]]
    names = (FILMS, IMAGES, FOLLOWED)
    return [file.parent, *(folder / name for folder in above for name in names)]


def _corpora(trained: Trained) -> Iterator[Path]:
    for count in trained.config.arms.rare:
        if (name := synthesis(count)) in trained.folders:
            yield trained.folders[name] / CORPUS / FILMS


def _found(sha256: str, places: list[Path]) -> Gray | None:
    """Return the image of the PNG file with this hash, None where there is none."""
    for place in places:
        likely = [place / sha256[:2] / f"{sha256}.png", place / f"{sha256}.png"]
        for file in (*likely, *sorted(place.glob("*.png"))):
            if file.is_file() and digest(content := file.read_bytes()) == sha256:
                return png.decoded(content, str(file))
    return None
