"""Tables and figures of a results folder, from its metrics, manifest and images alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from common.report import reported
from common.results import tables
from common.results.figures import save
from common.results.folder import Contents, contents
from papers.rare_disease_controlnet.compared import (
    ARMS,
    RARE_F1,
    arms_at,
    best_without,
    bound,
    counts,
    dose_scores,
    doses,
    films_at,
    gains,
    main_count,
    scores,
)
from papers.rare_disease_controlnet.figures import classifiers, engine, films

MEASURES = {
    "macro_f1": "macro F1",
    "rare_auroc": "AUROC",
    "rare_sensitivity": "sensitivity at 95% specificity",
    "rare_calibration_error": "calibration error",
}
_QUALITY = {
    "engine.quality.fid2048": "FID-2048 of synthetic to test films",
    "engine.quality.fid768": "FID-768 of synthetic to test films",
    "engine.quality.kid": "KID of synthetic to test films",
    "engine.quality.frechet_classifier": "Fréchet distance by the reviewer's features",
    "engine.quality.n_features": "films of each set in these distances",
    "engine.quality.single.real": "FID of one real film to one real film",
    "engine.quality.single.synthetic": "FID of one synthetic film to one real film",
    "engine.quality.single.auroc": "AUROC of it, synthetic against real",
}
_MEMORIZATION = {
    "engine.memorization.generated_median": "nearest training film, median of synthetic films",
    "engine.memorization.heldout_median": "nearest training film, median of other patients' films",
    "engine.memorization.below_first_percentile": "synthetic films nearer than 1% of these",
    "engine.memorization.membership_auroc": "AUROC of membership by the nearest synthetic film",
}


def render(results: Path) -> None:
    """Write `tables/` and `figures/` of a results folder."""
    found = contents(results)
    config = found.manifest["config"]["data"]
    seeds = [found.seeds[seed] for seed in sorted(found.seeds, key=int)]
    classes = classes_of(seeds, config["findings"])
    rare, note = config["rare"], found.note
    for name, table in make_tables(found.seeds, classes, rare, note).items():
        tables.write(table, results / "tables", name)
    source = reported.read(Path(__file__).with_name("reported.toml"))
    context = {number.id: number.value for number in source.numbers}
    drawn: dict[str, Figure | None] = {
        "arms": classifiers.arms(seeds, rare, note),
        "gains": classifiers.differences(seeds, rare, context, note),
        "reliability": classifiers.reliability(seeds, rare, note),
        "audit": engine.audit(seeds, classes, rare, note),
        "learning_curves": engine.learning(seeds, note),
    }
    if doses(seeds):
        drawn["dose_response"] = classifiers.dose_response(seeds, rare, note)
    if "confusion" in next(iter(seeds[0]["classifiers"].values())):
        drawn["confusion"] = classifiers.confusion(seeds, classes, note)
    drawn |= _sheets(found, classes, rare)
    for name, figure in drawn.items():
        if figure is not None:
            save(figure, results / "figures" / f"{name}.png")


def classes_of(seeds: Sequence[Mapping[str, Any]], findings: Sequence[str]) -> tuple[str, ...]:
    """Return the classes in the order of a confusion matrix: normal, then each finding.

    `findings` are those of the config; none are all of the data set, by name.
    """
    known = next(iter(seeds[0]["classifiers"].values()))["auroc"]
    return ("normal", *(findings or sorted(known)))


def _sheets(found: Contents, classes: Sequence[str], rare: str) -> dict[str, Figure]:
    samples, note = found.samples, found.note
    if not samples:
        return {}
    drawn = {
        "films": films.by_finding(samples, classes, rare, note),
        "lesions": films.lesions(samples, rare, note),
        "control": films.control(samples, found.seeds, note),
        "denoising": films.denoising(samples, note),
        "guidance_and_control": films.scales(samples, note),
        "nearest_films": films.nearest(samples, found.seeds, note),
    }
    if "severity" in samples:
        drawn["severity"] = films.severity(samples, rare, note)
    return drawn


def make_tables(
    by_seed: Mapping[str, Any], classes: Sequence[str], rare: str, note: str
) -> dict[str, tables.Table]:
    """Return arms, their gains, doses, engine and reviewer, over seeds."""
    seeds = [by_seed[seed] for seed in sorted(by_seed, key=int)]
    made = {
        "arms": _arms(seeds, classes, rare, note),
        "gains": _gains(seeds, rare, note),
        "dose_response": _doses(seeds, rare, note),
        "engine": _engine(by_seed, classes, rare, note),
        "reviewer": _reviewer(by_seed, seeds, rare, note),
    }
    return {name: table for name, table in made.items() if table.rows}


def _arms(seeds: list[Any], classes: Sequence[str], rare: str, note: str) -> tables.Table:
    first = next(iter(seeds[0]["classifiers"].values()))
    shown = [name for name in classes if name in first["f1"]]
    measures = [*(f"f1.{name}" for name in shown), *MEASURES]
    return tables.Table(
        f"Classifiers on {first['n']} test films of other patients, {first['n_rare']} with {rare}; "
        f"AUROC, sensitivity and calibration are {rare}'s. {note}",
        (f"real films with {rare}", "arm", *(f"F1 {name}" for name in shown), *MEASURES.values()),
        tuple(
            (count, ARMS[arm], *(tables.spread(scores(seeds, arm, one, count)) for one in measures))
            for count in counts(seeds)
            for arm in arms_at(seeds, count)
        ),
        digits=3,
    )


def _gains(seeds: list[Any], rare: str, note: str) -> tables.Table:
    rows: list[tuple[tables.Cell, ...]] = []
    for count in counts(seeds):
        best = best_without(seeds, count)
        for arm in arms_at(seeds, count):
            cells: list[tables.Cell] = []
            for other in (best, "real"):
                found = gains(seeds, arm, other, count)
                cells += [None, None] if arm == other else [tables.spread(found), bound(found)]
            rows.append((count, ARMS[arm], ARMS[best], *cells))
    return tables.Table(
        f"F1 of {rare} minus that of the best arm without synthetic films, and of real films "
        f"alone, paired by seed; ± of its one-sided 95% bound. {note}",
        (f"real films with {rare}", "arm", "best without", "over the best", "± of its bound",
         "over real alone", "± of that bound"),
        tuple(rows),
        digits=3,
    )  # fmt: skip


def _doses(seeds: list[Any], rare: str, note: str) -> tables.Table:
    measures = (RARE_F1, *MEASURES)
    rows: list[tuple[tables.Cell, ...]] = [
        (0, 0, *(tables.spread(scores(seeds, "augmented", one)) for one in measures))
    ]
    for dose in doses(seeds):
        found = (films_at(seeds, dose), *(dose_scores(seeds, dose, one) for one in measures))
        rows.append((dose, *map(tables.spread, found)))
    return tables.Table(
        f"Selected synthetic films beside {main_count(seeds)} real ones with {rare}; 0: real ones "
        f"repeated. {note}",
        ("synthetic films asked for", "had", f"F1 {rare}", *MEASURES.values()),
        tuple(rows) if len(rows) > 1 else (),
        digits=3,
    )


def _engine(
    by_seed: Mapping[str, Any], classes: Sequence[str], rare: str, note: str
) -> tables.Table:
    measures = {
        **{f"engine.edges.{key}": f"edges kept, {called}" for key, called in engine.EDGES.items()},
        "engine.change.inside": "change by the finding, where it may lie, of 255",
        "engine.change.outside": "change elsewhere, of 255",
        "engine.change.ratio": "elsewhere over where it may lie",
        **{f"engine.as_asked.finding.{name}": f"asked for {name}, shown" for name in classes},
        "engine.as_asked.rare": f"asked for {rare} on test films, shown",
        "engine.as_asked.rare_unasked": f"the same, asked for normal, {rare} shown",
        "engine.as_asked.side": "on the side asked for",
        **_QUALITY,
        **_MEMORIZATION,
    }
    rows = [(called, tables.over_seeds(by_seed, path)) for path, called in measures.items()]
    return tables.Table(
        f"What the engine draws; distances of films are root mean squares of 255. {note}",
        ("measure", "value"),
        tuple(row for row in rows if row[1] is not None),
        digits=3,
    )


def _reviewer(by_seed: Mapping[str, Any], seeds: list[Any], rare: str, note: str) -> tables.Table:
    rows = [
        (
            count,
            *(
                tables.over_seeds(by_seed, f"reviewer.acceptance.{count}.{one}")
                for one in ("drawn", "accepted", "share")
            ),
            tables.over_seeds(by_seed, "reviewer.auroc"),
        )
        for count in counts(seeds)
    ]
    return tables.Table(
        f"The automatic reviewer: synthetic films with {rare} drawn and accepted, and the "
        f"reviewer's own AUROC on test films. {note}",
        (f"real films with {rare}", "drawn", "accepted", "share", "AUROC"),
        tuple(rows),
        digits=3,
    )
