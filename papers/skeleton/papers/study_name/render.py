"""Tables and figures of a results folder, from its metrics, manifest and images alone."""

from pathlib import Path

from common.results import tables
from common.results.figures import save
from common.results.folder import contents
from papers.study_name import figures

ROWS = {"network": "the network", "brightest": "the brightest pixel"}


def render(results: Path) -> None:
    """Write `tables/` and `figures/` of a results folder."""
    found = contents(results)
    rows = tuple((ROWS[of], tables.over_seeds(found.seeds, f"{of}.auroc")) for of in ROWS)
    table = tables.Table(f"Telling images with a spot. {found.note}", ("", "AUROC"), rows)
    tables.write(table, results / "tables", "detection")
    save(figures.learning(found.seeds, found.note), results / "figures" / "learning_curves.png")
    if "images" in found.samples:
        save(figures.cases(found.samples, found.note), results / "figures" / "cases.png")
