"""The user's own films by a trained classifier: probabilities, and where it looks.

Research code, no medical device: every sheet says so. Films are read into memory; of a DICOM
file's header nothing goes into what is written.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Array, Float, UInt8
from matplotlib.figure import Figure
from tqdm import tqdm

from common import terminal
from common.data.user_files import Kinds, Rows, check_output, shown, write
from common.errors import InputError, nearest
from common.nn.predictor import Predictor
from common.pipeline.trained import Trained, find
from common.results.figures import png, title
from common.text import cells
from papers.rare_disease_controlnet import dicom, gray_film
from papers.rare_disease_controlnet.classifier.arms import Trial
from papers.rare_disease_controlnet.classifier.learning import probabilities
from papers.rare_disease_controlnet.classifier.trained import as_read, is_single, trained_classifier
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.data import findings_of
from papers.rare_disease_controlnet.datasets import DATASETS
from papers.rare_disease_controlnet.heat_map import enlarged, heat_maps
from papers.rare_disease_controlnet.options import Options
from papers.rare_disease_controlnet.prompts import NORMAL

NOTICE = "Research code, no medical device"
TABLE = "predictions.csv"
HEAT_MAP = "_heat_map"  # ends the names of images
KINDS = Kinds(
    gray_film.PNG + gray_film.JPEG + dicom.SUFFIXES, made=(HEAT_MAP,), nameless=dicom.is_dicom
)
_ARM = "classifier_"  # begins the names of networks

Gray = UInt8[np.ndarray, "size size"]


def predict(
    checkpoint: Path,
    source: Path,
    out: Path,
    skip_bad: bool = False,
    options: Options = Options(),  # noqa: B008  # frozen
) -> list[dict[str, Any]]:
    """Write `<name>_heat_map.png` for every film, and `predictions.csv`; return a row for each.

    A row holds `file`, `classifier`, `predicted` (findings, or normal), the probability of each
    class, and `written`. Where films may have several findings, those above the thresholds that
    were chosen on validation films are predicted. Raises `InputError` for what cannot be used or
    would be overwritten.
    """
    trained = find(checkpoint, "rare_disease_controlnet", Config())
    config: Config = trained.config
    arm = classifier_of(trained, options.classifier)
    findings, single = findings_of(trained), is_single(config)
    thresholds = None if single else thresholds_of(trained, arm, findings)
    checked = KINDS.checked(source, lambda file: _read(file, config.data.size), skip_bad)
    films = dict(checked.files)
    targets = {file: KINDS.output(file, source, out, f"{HEAT_MAP}.png") for file in films}
    check_output(source, out, [*targets.values(), out / TABLE])
    folder = trained.folder(_ARM + arm)
    terminal.note(f"classifier: {folder}")
    network = trained_classifier(config, len(findings), folder)
    look = Predictor(network, _looked_at, config.evaluate.batch_size)
    logits, heat = look(np.stack(list(films.values()))[..., None])
    chances = np.asarray(probabilities(jnp.asarray(logits), single))
    rows = []
    each = tqdm(films.items(), "writing", unit="film", delay=2, disable=None)
    for (file, film), chance, maps in zip(each, chances, heat, strict=True):
        predicted = predicted_of(chance, findings, thresholds)
        seen = shown_class(chance, findings, predicted)
        note = f"{file.name}: {', '.join(predicted)} by {arm}, {_learned_from(config)}"
        drawn = sheet(film, enlarged(maps[..., seen - (not single)], len(film)),
                      (NORMAL, *findings), chance, seen, note)  # fmt: skip
        write({targets[file]: png(drawn)})
        rows.append(
            {
                "file": shown(file, source),
                "classifier": arm,
                "predicted": "; ".join(predicted),
                **dict(zip((NORMAL, *findings), map(float, chance), strict=True)),
                "written": [str(targets[file])],
            }
        )
    write({out / TABLE: _table(rows).encode()})
    return Rows(rows, checked.account)


def classifier_of(trained: Trained, wanted: str) -> str:
    """Return the arm that is meant: the one wanted, else "selected", else the only one there.

    Raises `InputError` where it is not there, or none is.
    """
    known = [name.removeprefix(_ARM) for name in trained.folders if name.startswith(_ARM)]
    if not known:
        raise InputError(f"--checkpoint {trained.source}: holds no classifier; train one")
    default = Trial("selected", trained.config.arms.main).name.removeprefix(_ARM)
    arm = wanted.removeprefix(_ARM) or (default if default in known else known[0])
    if arm not in known or (not wanted and arm != default and len(known) > 1):
        choice = nearest(arm, known) if wanted else f"choose one of {', '.join(sorted(known))}"
        raise InputError(f"--option classifier = {wanted!r}: not trained there, {choice}")
    return arm


def thresholds_of(
    trained: Trained, arm: str, findings: Sequence[str]
) -> Float[np.ndarray, " findings"]:
    """Return the thresholds of findings that the evaluation chose; raises `InputError` if none."""
    file = trained.source / "metrics.json"
    try:
        chosen: Mapping[str, float] = json.loads(file.read_text())["classifiers"][arm]["thresholds"]
        return np.array([chosen[finding] for finding in findings], np.float64)
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"--checkpoint {trained.source}: no thresholds of {arm} in metrics.json; give the "
            "folder of a seed that was evaluated"
        ) from None


def predicted_of(
    chance: Float[np.ndarray, " classes"],
    findings: Sequence[str],
    thresholds: Float[np.ndarray, " findings"] | None,
) -> list[str]:
    """Return the likeliest class, or with `thresholds` all findings above theirs; or normal."""
    if thresholds is None:
        return [(NORMAL, *findings)[int(chance.argmax())]]
    above = [name for name, one in zip(findings, chance[1:] > thresholds, strict=True) if one]
    return above or [NORMAL]


def shown_class(
    chance: Float[np.ndarray, " classes"], findings: Sequence[str], predicted: Sequence[str]
) -> int:
    """Return whose map is shown, 1 and on: the likeliest of the predicted findings, or of all."""
    places = [1 + i for i, finding in enumerate(findings) if finding in predicted]
    places = places or list(range(1, 1 + len(findings)))
    return max(places, key=lambda place: chance[place])


def sheet(
    film: Gray,
    heat: Float[np.ndarray, "size size"],
    classes: Sequence[str],
    chance: Float[np.ndarray, " classes"],
    seen: int,
    note: str,
) -> Figure:
    """Return the film, the film with a heat map over it, and the probabilities."""
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.8), layout="constrained")
    for axis in axes[:2]:
        axis.imshow(film, cmap="gray", vmin=0, vmax=255)
        axis.set_axis_off()
    most = max(float(np.abs(heat).max()), 1e-6)
    drawn = axes[1].imshow(heat, cmap="coolwarm", vmin=-most, vmax=most, alpha=0.45)
    axes[1].set_title(f"speaks for {classes[seen]} (red) or against it (blue)", fontsize=8)
    figure.colorbar(drawn, ax=axes[1], shrink=0.7).ax.tick_params(labelsize=7)
    axes[2].barh(range(len(classes)), chance, color="#1f5fa8")
    axes[2].set_yticks(range(len(classes)), classes, fontsize=7)
    axes[2].invert_yaxis()
    axes[2].set_xlim(0, 1)
    axes[2].set_title("probability", fontsize=8)
    axes[2].tick_params(axis="x", labelsize=7)
    title(figure, note)
    figure.supxlabel(NOTICE, fontsize=12, weight="bold", color="#b00020")
    return figure


def _looked_at(network: Any, images: Array) -> tuple[Array, Array]:
    maps = network.maps(as_read(images))
    return network.logits(maps), heat_maps(network, maps)


def _read(file: Path, size: int) -> Gray:
    return gray_film.resized(gray_film.read(file), size)


def _learned_from(config: Config) -> str:
    data = config.data
    return f"learned from {DATASETS[data.dataset].title} of {data.size}x{data.size} pixels"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    columns = [name for name in rows[0] if name != "written"]
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(cells, rows))
    return text.getvalue()
