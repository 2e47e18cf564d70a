"""Reported against replicated: every number and claim of a source beside ours, with a verdict."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError, nearest
from common.files import write_atomic
from common.report import page, reported
from common.report.comparison import ClaimRow, Comparison, NumberRow, markdown
from common.report.reported import Number, Reported
from common.report.verdicts import Verdict, judge, too_few
from common.results import folder as results
from common.results import metrics_file
from common.study import config as configs
from common.study.protocol import Study


def compare(study: Study[Any], folder: Path) -> Comparison:
    """Compare the results in `folder` with the study's ``reported.toml``.

    Raises:
        InputError: no results there, or a ``reported.toml`` that does not follow the schema.
    """
    manifest = results.manifest(folder)
    source = reported.read(study.folder / "reported.toml")
    seeds = metrics_file.load(folder / "metrics.json")
    refused = too_few(len(seeds))
    if manifest["scale"] == "smoke":
        refused = Verdict("no verdict", "a smoke run never gives one")
    reason = reported.incomparable(source, dict(configs.leaves(manifest["config"])))
    dataset = manifest["dataset"]
    return Comparison(
        study=study.name,
        experiment=manifest["experiment"],
        title=manifest["title"],
        scale=manifest["scale"],
        dataset=dataset["name"],
        description=dataset["description"],
        stand_in=dataset["stand_in"],
        seeds=tuple(manifest["seeds"]),
        source=source.source,
        source_dataset=source.dataset,
        incomparable=reason,
        numbers=tuple(_number(number, seeds, refused, reason) for number in source.numbers),
        claims=_claims(study, source, seeds, refused),
        absent=source.absent,
        deviations=tuple(
            (entry["field"], configs.toml(entry["published"]), configs.toml(entry["ours"]))
            for entry in manifest["differences"]
        ),
    )


def _number(
    number: Number, seeds: Sequence[Any], refused: Verdict | None, reason: str
) -> NumberRow:
    found = [metrics_file.value_at(seed, number.metric) for seed in seeds]
    ours = tuple(value for value in found if value is not None)
    if len(ours) < len(found):
        return NumberRow(number, (), Verdict("not comparable", "not measured here"))
    if number.context:
        return NumberRow(number, ours, Verdict("context", number.context))
    if refused or reason:
        return NumberRow(number, ours, refused or Verdict("not comparable", reason))
    return NumberRow(number, ours, judge(ours, number.value, number.margin, number.better))


def _claims(
    study: Study[Any], source: Reported, seeds: Sequence[Any], refused: Verdict | None
) -> tuple[ClaimRow, ...]:
    rows = []
    for claim in source.claims:
        if claim.not_testable:
            verdict = Verdict("not testable", claim.not_testable)
        else:
            tests = vars(study.claims)
            if claim.test not in tests:
                known = nearest(claim.test, [name for name in tests if name[0] != "_"])
                raise InputError(
                    f"papers/{study.name}/reported.toml: claim {claim.id}: claims.py has no "
                    f"function '{claim.test}', {known}"
                )
            verdict = refused or tests[claim.test](seeds)
        rows.append(ClaimRow(claim.id, claim.text, claim.source, verdict))
    return tuple(rows)


def all_of(study: Study[Any]) -> list[Comparison]:
    """Return the comparison of every committed result of a study, smoke runs left out."""
    comparisons = [compare(study, folder) for folder in results.committed(study.folder)]
    return [comparison for comparison in comparisons if comparison.scale != "smoke"]


def write_suite(comparisons: Sequence[Comparison], root: Path) -> list[Path]:
    """Write ``results/comparison.json``, ``.md`` and ``index.html`` below the project's folder."""
    folder = root / "results"
    plain = {"comparisons": [dataclasses.asdict(comparison) for comparison in comparisons]}
    body = "\n".join(markdown(comparison) for comparison in comparisons)
    files = {
        "comparison.json": metrics_file.dumps(plain),
        "comparison.md": f"# Reported and replicated\n\n{body}",
        "index.html": page.suite(comparisons, folder),
    }
    for name, content in files.items():
        write_atomic(folder / name, content)
    return [folder / name for name in files]
