"""Tables and figures of a results folder, from its metrics, manifest and images alone."""

from pathlib import Path
from typing import Any

from common.results import tables
from common.results.figures import save
from common.results.folder import contents
from papers.lgg_attention_unet import figures
from papers.lgg_attention_unet.config import SIZES
from papers.lgg_attention_unet.figures import NAMES, per_patient

SEGMENTATION = (
    ("patient.dice", "Dice, patients"),
    ("patient.dice_median", "median"),
    ("patient.iou", "IoU"),
    ("patient.precision", "precision"),
    ("patient.recall", "recall"),
    ("slice.dice", "Dice, slices"),
    ("slice.hd95", "HD95, pixels"),
    ("slice.fnr", "slices with tumor missed"),
    ("slice.fpr", "tumor-free slices marked"),
    ("published.soft_iou", "soft IoU as published"),
)
DETECTION = (
    ("auroc", "AUROC"),
    ("f1", "F1"),
    ("f1_always", "F1 of always yes"),
    ("positive", "with tumor"),
    ("n", "n"),
)
Seeds = dict[str, dict[str, Any]]


def render(results: Path) -> None:
    """Write `tables/` and `figures/` of a results folder."""
    found = contents(results)
    seeds, samples, note = found.seeds, found.samples, found.note
    for name, table in make_tables(seeds, note).items():
        tables.write(table, results / "tables", name)
    drawn = {
        "patients": figures.patients(seeds, note),
        "learning_curves": figures.learning(seeds, note),
    }
    for kind, what in (("typical", "Typical test patients"), ("worst", "Failures: the worst ones")):
        if f"{kind}_image" in samples:
            title = f"{what}, the slice with most tumor: truth green, predicted red\n{note}"
            drawn[f"{kind}_cases"] = figures.cases(samples, kind, title)
    for name, figure in drawn.items():
        save(figure, results / "figures" / f"{name}.png")


def make_tables(seeds: Seeds, note: str) -> dict[str, tables.Table]:
    """Return the measures of every network over seeds, and every test patient's Dice."""
    shown = [name for name in NAMES if all(name in seed for seed in seeds.values())]

    def ours(path: str) -> tables.Cell:
        return tables.over_seeds(seeds, path)

    def by_network(title: str, columns: tuple[tuple[str, str], ...]) -> tables.Table:
        rows = [(NAMES[n], *(ours(f"{n}.{path}") for path, _ in columns)) for n in shown]
        return tables.Table(f"{title}. {note}", ("", *(c for _, c in columns)), tuple(rows))

    of_slices, of_patients = (
        tuple((f"detection.{what}.{key}", column) for key, column in DETECTION)
        for what in ("slice", "patient")
    )
    dice = {name: per_patient(seeds, name) for name in shown}
    return {
        "segmentation": by_network("Segmentation of test patients", SEGMENTATION),
        "by_size": by_network(
            "Dice of slices by the share of the slice that is tumor: up to 1%, up to 3%, more",
            tuple(
                (f"size.{size}.{key}", f"{size}{', n' * (key == 'n')}")
                for size in SIZES
                for key in ("dice", "n")
            ),
        ),
        "detection_slices": by_network("Telling slices with tumor from others", of_slices),
        "detection_patients": by_network("Telling patients with tumor from others", of_patients),
        "patients": tables.Table(
            f"Dice of every test patient's volume. {note}",
            ("patient", *(NAMES[name] for name in shown)),
            tuple((one, *(dice[n].get(one) for n in shown)) for one in sorted(dice[shown[0]])),
        ),
    }
