"""Tables and figures of a results folder, from its metrics, manifest and images alone."""

from pathlib import Path
from typing import Any

from common.results import tables
from common.results.figures import save
from common.results.folder import contents
from papers.ultrasound_diconvae import figures
from papers.ultrasound_diconvae.image import CLASSES

Seeds = dict[str, dict[str, Any]]


def render(results: Path) -> None:
    """Write `tables/` and `figures/` of a results folder."""
    found = contents(results)
    seeds, samples, note = found.seeds, found.samples, found.note
    for name, table in make_tables(seeds, note).items():
        tables.write(table, results / "tables", name)
    drawn = {
        "segmentation": figures.segmentation(seeds, note),
        "simulated_speckle": figures.simulated_speckle(seeds, note),
        "causes": figures.causes(seeds, note),
        "learning_curves": figures.learning(seeds, note),
    }
    if samples:
        drawn["cases"] = figures.cases(samples, note)
        drawn["off_palette_colors"] = figures.off_palette_colors(samples, note)
    for name, figure in drawn.items():
        save(figure, results / "figures" / f"{name}.png")


def make_tables(seeds: Seeds, note: str) -> dict[str, tables.Table]:
    """Return what each input variant is worth, over seeds."""
    first = next(iter(seeds.values()))

    def rows(section: str, measures: tuple[str, ...]) -> tuple[tuple[tables.Cell, ...], ...]:
        return tuple(
            (
                figures.words(name),
                *(tables.over_seeds(seeds, f"{section}.{name}.{m}") for m in measures),
            )
            for name in figures.in_order(_at(first, section))
        )

    shown = first["segmentation"]["raw"]["classes"]
    classes = [name for name in CLASSES if name in shown]
    measures: tuple[str, ...] = ("dice", "area_ratio", "hc_error_mm")
    columns: tuple[str, ...] = ("Dice", "area, predicted / true", "head circumference, error in mm")
    measures += tuple(f"classes.{name}.{m}" for name in classes for m in ("dice", "hd95"))
    # the circumference is known where the pixel's size is
    unit = "pixels" if first["segmentation"]["raw"]["hc_error_mm"] is None else "mm"
    columns += tuple(f"{name}: {m}" for name in classes for m in ("Dice", f"HD95, {unit}"))
    cleanness = ("speckle_index", "enl", "edge_preservation")
    known = figures.QUALITY if "psnr" in first["despeckling"]["raw"] else {}
    return {
        "segmentation": tables.Table(
            f"SegNet trained and tested on each input variant. {note}",
            ("images", *columns),
            rows("segmentation", measures),
        ),
        "train_test_mismatch": tables.Table(
            f"SegNet trained on one input variant, tested on another. {note}",
            ("trained on, tested on", *columns),
            rows("train_test_mismatch", measures),
        ),
        "despeckling": tables.Table(
            f"What is left of speckle and of edges in test images. {note}",
            ("images", "speckle index", "ENL, even window", "edge preservation", *known.values()),
            rows("despeckling", (*cleanness, *known)),
        ),
        "simulated_speckle": tables.Table(
            f"Test images recovered from Rayleigh speckle. {note}",
            ("sigma", "images", *figures.QUALITY.values()),
            tuple(
                (sigma, *row)
                for sigma in sorted(first["simulated_speckle"], key=float)
                for row in rows(f"simulated_speckle.{sigma}", tuple(figures.QUALITY))
            ),
        ),
        "off_palette_colors": tables.Table(
            f"Pixels of no class's color after color masks are made smaller by a third. {note}",
            ("interpolation", "share of pixels"),
            tuple(
                (how, tables.over_seeds(seeds, f"off_palette_colors.{how}"))
                for how in sorted(first["off_palette_colors"], reverse=True)
            ),
        ),
    }


def _at(metrics: dict[str, Any], section: str) -> dict[str, Any]:
    head, _, rest = section.partition(".")
    return metrics[head][rest] if rest else metrics[head]
