"""The user's own films by a trained classifier: probabilities, and where it looks.

Research code, no medical device: every sheet says so. Films are read into memory; of a DICOM
file's header nothing goes into what is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Array, Float, UInt8
from matplotlib.figure import Figure
from tqdm import tqdm

from common import outputs, terminal
from common.data.user_files import Kinds, Rows, as_csv, check_output, shown
from common.errors import InputError, nearest
from common.nn.predictor import Predictor
from common.pipeline.trained import Trained, find_seeds
from common.results.figures import png, title
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
    were chosen on validation films are predicted, or above `options.threshold`. Of several seeds
    the means count. Raises `InputError` for what cannot be used or would be overwritten.
    """
    seeds = find_seeds(checkpoint, "rare_disease_controlnet", Config())
    trained = seeds[0]
    config: Config = trained.config
    arm = classifier_of(trained, options.classifier)
    findings, single = findings_of(trained), is_single(config)
    thresholds = _thresholds(seeds, arm, findings, single, options.threshold)
    checked = KINDS.checked(source, lambda file: _read(file, config.data.size), skip_bad)
    films = dict(checked.files)
    targets = {file: KINDS.output(file, source, out, f"{HEAT_MAP}.png") for file in films}
    check_output(source, out, [*targets.values(), out / TABLE])
    images = np.stack(list(films.values()))[..., None]
    looks = [_look(one, _ARM + arm, len(findings), images) for one in seeds]
    chances, heat = (np.mean(part, 0) for part in zip(*looks, strict=True))
    rows = []
    each = tqdm(films.items(), "writing", unit="film", delay=2, disable=None)
    for (file, film), chance, maps in zip(each, chances, heat, strict=True):
        predicted = predicted_of(chance, findings, thresholds)
        seen = shown_class(chance, findings, predicted)
        note = f"{file.name}: {', '.join(predicted)} by {arm}, {_learned_from(config)}"
        drawn = sheet(film, enlarged(maps[..., seen - (not single)], len(film)),
                      (NORMAL, *findings), chance, seen, note)  # fmt: skip
        outputs.write({targets[file]: png(drawn)})
        rows.append(
            {
                "file": shown(file, source),
                "classifier": arm,
                "predicted": "; ".join(predicted),
                **dict(zip((NORMAL, *findings), map(float, chance), strict=True)),
                "written": [str(targets[file])],
            }
        )
    outputs.write({out / TABLE: as_csv(rows)})
    return Rows(rows, checked.account)


def _look(
    trained: Trained, name: str, findings: int, images: UInt8[np.ndarray, "films size size 1"]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities that a seed's classifier gives, and its heat maps."""
    folder = trained.folder(name)
    terminal.note(f"classifier: {folder}")
    network = trained_classifier(trained.config, findings, folder)
    logits, heat = Predictor(network, _looked_at, trained.config.evaluate.batch_size)(images)
    chances = probabilities(jnp.asarray(logits), is_single(trained.config))
    return np.asarray(chances), heat


def _thresholds(
    seeds: Sequence[Trained], arm: str, findings: Sequence[str], single: bool, given: float | None
) -> Float[np.ndarray, " findings"] | None:
    """Return from which probability each finding is predicted, None where the likeliest class is.

    Raises `InputError` for one that is given in vain.
    """
    if single and given is not None:
        raise InputError(
            f"--threshold {given:g}: of films with one finding at most the likeliest class is "
            "predicted; leave it out"
        )
    if single:
        return None
    if given is not None:
        return np.full(len(findings), given)
    return np.mean([thresholds_of(one, arm, findings) for one in seeds], 0)


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
        raise InputError(f"--classifier {wanted}: not trained there, {choice}")
    return arm


def thresholds_of(
    trained: Trained, arm: str, findings: Sequence[str]
) -> Float[np.ndarray, " findings"]:
    """Return the thresholds of findings that the evaluation chose; raises `InputError` if none."""
    try:
        chosen: Mapping[str, float] = trained.metrics()["classifiers"][arm]["thresholds"]
        return np.array([chosen[finding] for finding in findings], np.float64)
    except (ValueError, KeyError, TypeError):
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
