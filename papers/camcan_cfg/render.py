"""Tables and figures of a results folder, from its metrics, manifest and images alone."""

from pathlib import Path

from common.report import reported
from common.results import tables
from common.results.figures import save
from common.results.folder import contents
from papers.camcan_cfg import figures
from papers.camcan_cfg.claims import SCALES

BRAIN_AGE = (("mae", "MAE"), ("mse", "MSE"), ("rmse", "RMSE"), ("r", "r"))
QUALITY = (("fid768", "FID-768"), ("kid", "KID"), ("ssim", "SSIM"))


def render(results: Path) -> None:
    """Write `tables/` and `figures/` of a results folder."""
    found = contents(results)
    seeds, samples, note = found.seeds, found.samples, found.note
    source = reported.read(Path(__file__).with_name("reported.toml"))
    for name, table in make_tables(seeds, source, note).items():
        tables.write(table, results / "tables", name)
    for name, figure in {
        "sampling_process": figures.process_figure(samples, note),
        "ages": figures.age_figure(samples, note),
        "guidance_grid": figures.guidance_figure(samples, note),
        "nearest_neighbors": figures.neighbor_figure(samples, note),
        "learning_curves": figures.learning_figure(
            seeds, source, found.manifest["config"]["train"]["prediction"], note
        ),
        "guidance_curves": figures.guidance_curves(seeds, source, note),
    }.items():
        save(figure, results / "figures" / f"{name}.png")


def make_tables(
    seeds: dict[str, dict], source: reported.Reported, note: str
) -> dict[str, tables.Table]:
    """Return the follow-up's tables 1-1, 2 and 3 with ours beside, and what lies beyond it."""
    published = {number.metric: number.value for number in source.numbers}

    def ours(path: str) -> tables.Cell:
        return tables.over_seeds(seeds, path)

    def row(label: str, prefix: str, columns: tuple[tuple[str, str], ...]) -> tuple:
        cells = [(published.get(f"{prefix}.{key}"), ours(f"{prefix}.{key}")) for key, _ in columns]
        return (label, *(cell for pair in cells for cell in pair))

    def header(first: str, columns: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
        return (first, *(f"{name} {who}" for _, name in columns for who in ("reported", "ours")))

    sets = [("real", "real"), *((f"w = {float(w):g}", f"guidance.{w}") for w in SCALES)]
    extra = [f"guidance.{w}" for w in _scales(seeds) if w not in SCALES]
    sets += [(f"w = {float(prefix.split('.', 1)[1]):g}", prefix) for prefix in extra]
    untrained = row("without fine-tuning", "brain_age_without_finetuning", BRAIN_AGE)
    trained = row("trained on real slices", "real.brain_age", BRAIN_AGE)
    age_rows = tuple(row(label, f"{prefix}.brain_age", BRAIN_AGE) for label, prefix in sets)
    return {
        "table_1-1_brain_age_regressor": tables.Table(
            f"Table 1-1: brain age predicted from real slices, years. {note}",
            header("regressor", BRAIN_AGE),
            (untrained, trained),
        ),
        "table_2_quality": tables.Table(
            f"Table 2: quality and diversity. {note}",
            header("set", QUALITY),
            tuple(row(label, prefix, QUALITY) for label, prefix in sets),
        ),
        "table_3_brain_age": tables.Table(
            f"Table 3: brain age predicted from the images, years. {note}",
            header("set", BRAIN_AGE),
            age_rows,
        ),
        "conditions": _conditions(sets, ours, note),
        "leakage": _leakage(ours, note),
        "memorization": _memorization(ours, note),
    }


def _scales(seeds: dict[str, dict]) -> list[str]:
    return sorted(next(iter(seeds.values()))["guidance"], key=float)


def _conditions(sets, ours, note: str) -> tables.Table:
    columns = (
        ("brain_age.skill", "age: variance explained"),
        ("slice.skill", "slice: variance explained"),
        ("slice.mae", "slice: MAE"),
        ("sex.auroc", "sex: AUROC"),
    )
    return tables.Table(
        f"Asked and predicted: age, slice number and sex (ours only). {note}",
        ("set", *(name for _, name in columns)),
        tuple((label, *(ours(f"{prefix}.{key}") for key, _ in columns)) for label, prefix in sets),
    )


def _leakage(ours, note: str) -> tables.Table:
    rows = [
        ("brain-age MAE on held-out slices, years", "brain_age_mae"),
        ("distance of held-out slices to the nearest training slice", "nearest_training"),
        ("held-out slices whose nearest training slice is of the same subject", "same_subject"),
    ]
    return tables.Table(
        f"Leakage: what splitting slices instead of subjects changes (ours only). {note}",
        ("measure", "split by subject", "split by slice"),
        tuple(
            (name, ours(f"leakage.subject.{key}"), ours(f"leakage.slice.{key}"))
            for name, key in rows
        ),
    )


def _memorization(ours, note: str) -> tables.Table:
    rows = [
        ("generated, w = 1: median RMSE to the nearest training slice", "generated_median"),
        ("held out: median RMSE to the nearest training slice", "heldout_median"),
        ("generated closer than 1% of the held-out slices", "generated_below_first_percentile"),
        ("images compared", "n"),
    ]
    return tables.Table(
        f"Memorization audit (ours only). {note}",
        ("measure", "ours"),
        tuple((name, ours(f"memorization.{key}")) for name, key in rows),
    )
