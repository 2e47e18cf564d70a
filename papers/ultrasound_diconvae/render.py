"""Tables and figures of a results folder, from its metrics, manifest and pictures alone."""

from pathlib import Path
from typing import Any

from common.results import tables
from common.results.figures import save
from common.results.folder import contents
from papers.ultrasound_diconvae import figures
from papers.ultrasound_diconvae.picture import CLASSES

Seeds = dict[str, dict[str, Any]]


def render(results: Path) -> None:
    """Write `tables/` and `figures/` of a results folder."""
    found = contents(results)
    seeds, samples, note = found.seeds, found.samples, found.note
    for name, table in make_tables(seeds, note).items():
        tables.write(table, results / "tables", name)
    drawn = {
        "segmentation": figures.segmentation(seeds, note),
        "despeckling": figures.despeckling(seeds, note),
        "causes": figures.causes(seeds, note),
        "learning_curves": figures.learning(seeds, note),
    }
    if samples:
        drawn["cases"] = figures.cases(samples, note)
        drawn["stray_colours"] = figures.stray_colours(samples, note)
    for name, figure in drawn.items():
        save(figure, results / "figures" / f"{name}.png")


def make_tables(seeds: Seeds, note: str) -> dict[str, tables.Table]:
    """Return what each kind of picture is worth, over seeds."""
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
    columns: tuple[str, ...] = ("Dice", "area, found / true", "head circumference, error in mm")
    measures += tuple(f"classes.{name}.{m}" for name in classes for m in ("dice", "hd95"))
    # the circumference is known where the pixel's size is
    unit = "pixels" if first["segmentation"]["raw"]["hc_error_mm"] is None else "mm"
    columns += tuple(f"{name}: {m}" for name in classes for m in ("Dice", f"HD95, {unit}"))
    cleaning = ("speckle_index", "looks", "edge_preservation")
    known = figures.QUALITY if "psnr" in first["cleaning"]["raw"] else {}
    return {
        "segmentation": tables.Table(
            f"SegNet trained and tested on each kind of picture. {note}",
            ("pictures", *columns),
            rows("segmentation", measures),
        ),
        "crossed": tables.Table(
            f"SegNet trained on one kind of picture, tested on another. {note}",
            ("trained on, tested on", *columns),
            rows("crossed", measures),
        ),
        "cleaning": tables.Table(
            f"What is left of speckle and of edges in test pictures. {note}",
            ("pictures", "speckle index", "ENL, even window", "edge preservation", *known.values()),
            rows("cleaning", (*cleaning, *known)),
        ),
        "despeckling": tables.Table(
            f"Test pictures found again under Rayleigh speckle. {note}",
            ("sigma", "pictures", *figures.QUALITY.values()),
            tuple(
                (sigma, *row)
                for sigma in sorted(first["speckle"], key=float)
                for row in rows(f"speckle.{sigma}", tuple(figures.QUALITY))
            ),
        ),
        "stray_colours": tables.Table(
            f"Pixels of no class's colour after colour masks are made smaller by a third. {note}",
            ("interpolation", "share of pixels"),
            tuple(
                (how, tables.over_seeds(seeds, f"stray_colours.{how}"))
                for how in sorted(first["stray_colours"], reverse=True)
            ),
        ),
    }


def _at(metrics: dict[str, Any], section: str) -> dict[str, Any]:
    head, _, rest = section.partition(".")
    return metrics[head][rest] if rest else metrics[head]
