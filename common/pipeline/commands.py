"""What the commands do: each takes studies and values, and returns what is to be printed."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from common.errors import InputError
from common.study.experiment import DEFAULT
from common.study.protocol import Study

AnyStudy = Study[Any]
SAMPLE = ("--checkpoint", "--device", "--json", "--out")  # flags besides the study's
PREDICT = (*SAMPLE, "--csv", "--input", "--skip-bad")


class Outcome(NamedTuple):
    """Exit status, what ``--json`` prints, and what people read."""

    status: int
    plain: Any
    text: str


def list_studies(studies: Sequence[AnyStudy]) -> Outcome:
    """Return all studies with their experiments."""
    from common.pipeline import listing

    described = [listing.describe(study) for study in studies]
    return Outcome(0, described, "\n\n".join(listing.text(study) for study in described))


def prepare_data(
    study: AnyStudy, data: str | None, raw: Path | None = None, skip_bad: bool = False
) -> Outcome:
    """Prepare the data of one experiment, or of all that use a data set."""
    from common.pipeline import stages
    from common.pipeline.plan import for_data, plan

    done, lines = [], []
    for experiment in for_data(study, data):
        run = plan(study, experiment, raw=raw, skip_bad=skip_bad)
        prepared = stages.prepare(run)
        done.append(
            {
                "experiment": experiment,
                "dataset": prepared.dataset,
                "folder": str(run.data_folder),
                "content_hash": prepared.content_hash,
                "skipped": list(prepared.skipped),
                "absent": list(prepared.absent),
                "ignored": list(prepared.ignored),
                "files": prepared.files,
                "description": prepared.description,
                "sizes": dict(prepared.sizes),
                "parts": {name: dict(part) for name, part in prepared.parts.items()},
            }
        )
        lines.append(f"{prepared.dataset} for {experiment}, in {run.data_folder}")
        lines.append(f"  {prepared.description}")
        lines += [f"  {prepared.account}"] if prepared.files else []
        for name, part in prepared.parts.items():
            lines.append(f"  {name}: " + ", ".join(f"{key} {value}" for key, value in part.items()))
    return Outcome(0, done, "\n".join(lines))


def replicate(
    study: AnyStudy,
    experiment: str,
    stage: Any = "all",
    only: str | None = None,
    dry: bool = False,
    sure: bool = False,
    **options: Any,
) -> Outcome:
    """Run one experiment, or one stage or network of it; `options` are those of `plan`.

    If `dry`, only say what would be done; if `sure`, begin what takes a CPU weeks.
    """
    from common.pipeline import preview, stages
    from common.pipeline.plan import plan
    from common.pipeline.timing import duration
    from common.report.compare import compare
    from common.report.comparison import markdown
    from common.results.folder import held
    from common.training.mesh import initialize_distributed
    from common.training.processes import log

    initialize_distributed()
    start, run = time.monotonic(), plan(study, experiment, **options)
    if dry:
        return Outcome(0, preview.described(run, only), preview.text(run, only))
    if stage in ("all", "train") and not sure:
        preview.check_hardware(run)
    for line in preview.opening(run, remembered=options.get("raw") is None):
        log(line)
    summary = {
        "study": study.name,
        "experiment": run.experiment.name,
        "seeds": list(run.seeds),
        "work": str(run.work),
        "out": str(run.out),
    }
    if stages.execute(run, stage, only) is None:
        return Outcome(0, summary, f"{only or stage} is done")
    with held(run.out):  # else another process may be drawing the same results just now
        comparison = compare(study, run.out)
    took = duration((time.monotonic() - start) / 60)
    text = f"{markdown(comparison)}\nResults: {run.out}\nTime: {took}"
    return Outcome(0, {**summary, "comparison": dataclasses.asdict(comparison)}, text)


def settings_of_corpus(
    study: AnyStudy, others: Callable[[], Sequence[AnyStudy]], where: str | None
) -> list[str]:
    """Return the settings that let a study learn from images that people judged; none without."""
    if where is None:
        return []
    if study.corpus is None:
        raise _not_offered("corpus", study, others())
    return study.corpus(where)


def compare_results(studies: Sequence[AnyStudy], suite: bool) -> Outcome:
    """Write comparison tables again, of these studies and, where asked, of the whole suite."""
    from common.report.compare import all_of, write_suite
    from common.report.comparison import markdown, write_tables

    comparisons = []
    for study in studies:
        for one in all_of(study):
            write_tables(one, study.results(one.experiment) / "tables")
            comparisons.append(one)
    if suite and studies:
        write_suite(comparisons, studies[0].root)
    text = "\n".join(markdown(one) for one in comparisons)
    names = ", ".join(study.name for study in studies)
    text = text or f"no results yet of {names}: run replicate first"
    return Outcome(0, [dataclasses.asdict(one) for one in comparisons], text)


def verify_results(
    study: AnyStudy, experiment: str = DEFAULT, stage: Any = "all", raw: Path | None = None
) -> Outcome:
    """Verify the committed results of one experiment."""
    from common.pipeline.verify import verify

    report = verify(study, experiment, stage, raw)
    what = "everything" if report.level == "all" else "tables and figures"
    how = "to the bit" if report.exact else "within tolerances"
    lines = [f"{report.study} {report.experiment}: {what} regenerated, compared {how}"]
    lines += [report.note] if report.note else []
    lines += [f"differs: {difference}" for difference in report.differences] or ["nothing differs"]
    return Outcome(int(bool(report.differences)), dataclasses.asdict(report), "\n".join(lines))


def render_results(study: AnyStudy, experiment: str) -> Outcome:
    """Draw the tables and figures of one experiment again."""
    from common.pipeline.draw import render

    folder = render(study, study.results(experiment))
    return Outcome(0, {"out": str(folder)}, f"Results: {folder}")


def export_networks(
    study: AnyStudy,
    experiment: str,
    seeds: Sequence[int] | None = None,
    raw: Path | None = None,
    out: Path | None = None,
    most: float | None = None,
) -> Outcome:
    """Write trained networks of a replicated experiment into the project; `most` is in MB."""
    from common.pipeline.export import MOST, export
    from common.pipeline.plan import plan

    done = export(plan(study, experiment, raw=raw), seeds, out, MOST if most is None else most)
    lines = [
        f"{one.file}: {one.bytes / 1e6:.2f} MB, {', '.join(one.networks)}; largest differences to "
        + "float32: " + ", ".join(f"{name} {value:.2g}" for name, value in one.differences.items())
        for one in done
    ]  # fmt: skip
    lines.append(f"{sum(one.bytes for one in done) / 1e6:.2f} MB of {study.name} {experiment}")
    return Outcome(0, [dataclasses.asdict(one) for one in done], "\n".join(lines))


def predict(
    study: AnyStudy,
    others: Callable[[], Sequence[AnyStudy]],
    checkpoint: Path | None,
    source: Path | None,
    out: Path,
    skip_bad: bool = False,
    flags: Sequence[str] = (),
    table: Path | None = None,
    device: str | None = None,
) -> Outcome:
    """Run a study's trained networks on the user's own scans; `flags` are those of the study."""
    from common import devices, outputs
    from common.data import user_files
    from common.pipeline.shipped import checkpoint_of
    from common.study.options import flagged

    if study.predict is None:
        raise _not_offered("predict", study, others())
    if flags and study.options is None:
        raise InputError(f"{flags[0]}: no such flag; predict {study.name} has none of its own")
    choice = () if study.options is None else (flagged(study.options, flags, PREDICT),)
    if source is None and not any(getattr(one, "names_input", False) for one in choice):
        raise InputError("--input: is missing; give a scan, or a folder of them")
    if table is not None:
        user_files.check_table(table)
    devices.use(device)
    found = checkpoint_of(study, checkpoint)
    rows = study.predict(found, source, out, skip_bad, *choice)
    if table is not None:
        outputs.write({table: user_files.as_csv(rows)})
    return _written(study, out, rows)


def sample(
    study: AnyStudy,
    others: Callable[[], Sequence[AnyStudy]],
    checkpoint: Path | None,
    out: Path,
    flags: Sequence[str] = (),
    device: str | None = None,
) -> Outcome:
    """Draw images with a study's trained model; `flags` are those that the study offers."""
    from common import devices
    from common.pipeline.shipped import checkpoint_of
    from common.study.options import flagged

    if study.sample is None:
        raise _not_offered("sample", study, others())
    choice = flagged(study.sampling, flags, SAMPLE)
    devices.use(device)
    return _written(study, out, study.sample(checkpoint_of(study, checkpoint), out, choice))


def regenerate(
    load: Callable[[str], AnyStudy],
    others: Callable[[], Sequence[AnyStudy]],
    lineage: Path,
    checkpoint: Path | None = None,
) -> Outcome:
    """Draw an image again from the file of its lineage, which names its study, and compare."""
    study = load(_study_of(lineage))
    if study.regenerate is None:
        raise _not_offered("regenerate", study, others())
    found = study.regenerate(lineage, checkpoint)
    same = found.before == found.now
    head = "the same film to the byte" if same else f"another film: {found.before}, now {found.now}"
    lines = [f"{lineage}: {head}", *(f"differs: {one}" for one in found.differences)]
    lines += [found.note] if found.note else []
    return Outcome(int(not same), {**dataclasses.asdict(found), "same": same}, "\n".join(lines))


def _study_of(lineage: Path) -> str:
    """Return the name of the study in a lineage, or in what a file says of an image with it."""
    try:
        content = json.loads(lineage.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{lineage}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        content = None
    try:
        return str(content.get("lineage", content)["engine"]["study"])
    except (AttributeError, KeyError, TypeError):
        raise InputError(f"{lineage}: not a lineage; give the JSON file beside an image") from None


def _written(study: AnyStudy, out: Path, rows: list[dict[str, Any]]) -> Outcome:
    """Return what was written: a table of the rows, without the files of each."""
    from common.data.user_files import Rows
    from common.results.tables import Table, printed

    columns = tuple(name for name in rows[0] if name != "written")
    cells = tuple(tuple(row[name] for name in columns) for row in rows)
    text = f"{printed(Table('', columns, cells))}\nWritten: {out}"
    plain: dict[str, Any] = {"study": study.name, "out": str(out), "files": rows}
    if isinstance(rows, Rows):
        plain["input"] = dataclasses.asdict(rows.account)
    return Outcome(0, plain, text)


def _not_offered(what: str, study: AnyStudy, others: Sequence[AnyStudy]) -> InputError:
    able = [other.name for other in others if getattr(other, what)]
    offered = f"{', '.join(able)} offers it" if able else "none does"
    return InputError(f"{what} {study.name}: not offered by this study; {offered}")


def list_flags(study: AnyStudy) -> str:
    """Return what a study's `sample` lets the user choose, with the defaults."""
    from common.study.options import described_flags

    if study.sample is None:
        return f"sample is not offered by {study.name}"
    return f"flags of sample {study.name}:\n{described_flags(study.sampling)}"


def list_options(study: AnyStudy) -> str:
    """Return what a study's `predict` lets the user choose, with the defaults."""
    from common.study.options import described_flags

    if study.options is None:
        return f"predict {study.name} has no flags of its own"
    return f"flags of predict {study.name}:\n{described_flags(study.options)}"
