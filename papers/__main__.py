"""The command line: ``python -m papers list | data | replicate | compare | verify | …``."""

import argparse
import contextlib
import dataclasses
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from common import xla
from common.errors import InputError, nearest
from common.study import experiment as experiments
from common.training.finite import Diverged
from papers import studies

STAGES = ("all", "prepare", "train", "evaluate", "render")
EPILOG = """\
exit status:
  0    done
  1    a check found a difference, or something broke that should not
  2    bad input: one line names it
  3    training diverged: step and last good checkpoint are named
  130  interrupted: the same command goes on from the last checkpoint

A study answers to any beginning of its name that no other has. Prepared data, weights, checkpoints
and compiled programs lie in the folder named by REPLICATIONS_HOME, else in the user's cache folder.
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **options,
        )

    def error(self, message: str) -> NoReturn:
        """Raise what `main` prints."""
        raise InputError(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        options = parse(arguments)
        if getattr(options, "study", None):
            options.study = studies.resolve(options.study)
        if "experiment" in options:
            experiments.load(options.study, options.experiment)  # before anything slow is imported
        prepare_process()
        with contextlib.redirect_stdout(sys.stderr):  # what libraries print is not our output
            status, plain, text = options.command(options)
        text = json.dumps(plain, indent=1, ensure_ascii=False) if options.json else text
        print(text, flush=True)
        return status
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3 if isinstance(error, Diverged) else 2
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from where a training was", file=sys.stderr)
        return 130


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed arguments; an optional position may also come after the flags."""
    whole = parser()
    options, left = whole.parse_known_args(arguments)
    late = [name for name in ("experiment", "data") if getattr(options, name, "") is None]
    if left and late and not left[0].startswith("-"):
        setattr(options, late[0], left.pop(0))
    if left:
        whole.error(f"unrecognized arguments: {' '.join(left)}")
    if getattr(options, "experiment", "") is None:
        options.experiment = experiments.DEFAULT
    return options


def prepare_process() -> None:
    """Set what must be set before JAX starts, and silence the libraries' chatter."""
    xla.configure()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    for name in ("absl", "orbax", "tensorflow_datasets", "jax._src.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    whole = Parser(
        prog="python -m papers",
        description="Replicate published studies and hold what they report against what comes out.",
    )
    commands = whole.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(run: Callable, name: str, about: str, *, experiment: bool = False) -> Any:
        command = commands.add_parser(name, help=about, description=about)
        command.set_defaults(command=run)
        command.add_argument("--json", action="store_true", help="print JSON")
        if experiment:
            command.add_argument("study", metavar="STUDY")
            command.add_argument(
                "experiment", metavar="EXPERIMENT", nargs="?",
                help=f"see list; by default {experiments.DEFAULT}",
            )  # fmt: skip
        return command

    add(
        list_studies, "list", "Studies and experiments: the data each needs, its time, its results."
    )

    data = add(prepare_data, "data", "Check and prepare a data set.")
    data.add_argument("study", metavar="STUDY")
    about = "data set or experiment; by default the data of the source"
    data.add_argument("data", metavar="DATA", nargs="?", help=about)
    _data_options(data)

    about = "Prepare, train, evaluate, render; then compare with what is reported."
    replicate = add(replicate_experiment, "replicate", about, experiment=True)
    about = "change a field of the config; C as in TOML, or a bare word; may be repeated"
    replicate.add_argument("--set", metavar="A.B=C", action="append", default=[], help=about)
    _data_options(replicate)
    about = "how many seeds, or a list of them such as 0,2,5"
    replicate.add_argument("--seeds", metavar="N", type=_seeds, help=about)
    about = "results folder; by default the study's own, for a variant one in the cache folder"
    replicate.add_argument("--out", metavar="DIR", type=Path, help=about)
    _stage(replicate, STAGES)

    about = "Reported numbers and claims beside ours; without STUDY the suite's page as well."
    compare = add(compare_results, "compare", about)
    compare.add_argument("study", metavar="STUDY", nargs="?")

    about = "Regenerate committed results in a scratch folder and name what differs."
    verify = add(verify_results, "verify", about, experiment=True)
    verify.add_argument("--raw", metavar="DIR", type=Path, help="folder of the raw data")
    _stage(verify, ("all", "render"))

    add(
        render_results,
        "render",
        "Tables and figures again, from committed metrics.",
        experiment=True,
    )

    predict = add(predict_scans, "predict", "Run trained networks on scans of your own.")
    predict.add_argument("study", metavar="STUDY")
    about = "a folder of trained networks, or one above it as replicate prints it"
    predict.add_argument("--checkpoint", metavar="DIR", type=Path, required=True, help=about)
    about = "a picture, a volume, a DICOM file, or a folder of them; the study card says which"
    predict.add_argument("--input", metavar="PATH", type=Path, required=True, help=about)
    about = "folder for what is found, named as the input is"
    predict.add_argument("--out", metavar="DIR", type=Path, required=True, help=about)
    predict.add_argument("--skip-bad", action="store_true", help="go on without bad files")

    weights = add(show_weights, "weights", "Pretrained weights: what is here, fetch, verify.")
    about = "fetch one set, or all, unless they are here"
    weights.add_argument("--fetch", metavar="NAME", nargs="?", const="all", help=about)
    about = "check what is here against the published SHA-256"
    weights.add_argument("--verify", action="store_true", help=about)
    return whole


def _data_options(command: argparse.ArgumentParser) -> None:
    about = "folder of the raw data in its published layout; remembered once prepared"
    command.add_argument("--raw", metavar="DIR", type=Path, help=about)
    about = "go on without bad raw files, and say how many"
    command.add_argument("--skip-bad", action="store_true", help=about)


def _stage(command: argparse.ArgumentParser, stages: Sequence[str]) -> None:
    def known(name: str) -> str:
        if name not in stages:
            raise InputError(f"--stage {name}: no such stage, {nearest(name, stages)}")
        return name

    about = f"one of {', '.join(stages)}; by default %(default)s"
    command.add_argument("--stage", metavar="STAGE", type=known, default="all", help=about)


def _seeds(text: str) -> tuple[int, ...]:
    try:
        numbers = [int(number) for number in text.strip("[]").split(",") if number.strip()]
    except ValueError:
        raise InputError(f"--seeds {text}: give a count, or a list such as 0,2,5") from None
    listed = "," in text or "[" in text
    return experiments.seeds(numbers if listed else (numbers or [0])[0], "--seeds")


Outcome = tuple[int, Any, str]  # exit status, what --json prints, what people read


def list_studies(options: argparse.Namespace) -> Outcome:
    """Return all studies with their experiments."""
    from common.pipeline import listing

    found = [listing.describe(study) for study in studies.names()]
    return 0, found, "\n\n".join(listing.text(study) for study in found)


def prepare_data(options: argparse.Namespace) -> Outcome:
    """Prepare the data of one experiment, or of all that use a data set."""
    from common.pipeline import stages
    from common.pipeline.plan import for_data, plan

    done, lines = [], []
    for experiment in for_data(options.study, options.data):
        run = plan(options.study, experiment, raw=options.raw, skip_bad=options.skip_bad)
        prepared = stages.prepare(run)
        done.append(
            {
                "experiment": experiment,
                "dataset": prepared.dataset,
                "folder": str(run.data_folder),
                "content_hash": prepared.content_hash,
                "skipped": list(prepared.skipped),
                "description": prepared.description,
                "sizes": dict(prepared.sizes),
                "parts": {name: dict(part) for name, part in prepared.parts.items()},
            }
        )
        lines.append(f"{prepared.dataset} for {experiment}, in {run.data_folder}")
        lines.append(f"  {prepared.description}")
        for name, part in prepared.parts.items():
            lines.append(f"  {name}: " + ", ".join(f"{key} {value}" for key, value in part.items()))
    return 0, done, "\n".join(lines)


def replicate_experiment(options: argparse.Namespace) -> Outcome:
    """Run one experiment, or one stage of it."""
    from common.pipeline import stages
    from common.pipeline.plan import plan
    from common.report import compare
    from common.report.comparison import markdown
    from common.training.mesh import initialize_distributed

    initialize_distributed()
    run = plan(
        options.study,
        options.experiment,
        settings=options.set,
        seeds=options.seeds,
        raw=options.raw,
        out=options.out,
        skip_bad=options.skip_bad,
    )
    for difference in run.differences:
        print(f"deviation: {difference}", file=sys.stderr)
    print(f"checkpoints: {run.work}\nresults: {run.out}", file=sys.stderr)
    summary = {
        "study": run.study,
        "experiment": run.experiment.name,
        "seeds": list(run.seeds),
        "work": str(run.work),
        "out": str(run.out),
    }
    if stages.execute(run, options.stage) is None:
        return 0, summary, f"{options.stage} is done"
    comparison = compare.compare(run.study, run.out)
    text = f"{markdown(comparison)}\nResults: {run.out}"
    return 0, {**summary, "comparison": dataclasses.asdict(comparison)}, text


def compare_results(options: argparse.Namespace) -> Outcome:
    """Write comparison tables again, of one study or of the suite."""
    from common.report import compare
    from common.report.comparison import markdown, write_tables
    from common.results import folder as results

    chosen = [options.study] if options.study else studies.names()
    comparisons = [comparison for study in chosen for comparison in compare.all_of(study)]
    for one in comparisons:
        write_tables(one, results.folder(one.study, one.experiment) / "tables")
    if not options.study:
        compare.write_suite(comparisons)
    text = "\n".join(markdown(one) for one in comparisons)
    text = text or f"no results yet of {', '.join(chosen)}: run replicate first"
    return 0, [dataclasses.asdict(one) for one in comparisons], text


def verify_results(options: argparse.Namespace) -> Outcome:
    """Verify the committed results of one experiment."""
    from common.pipeline.verify import verify

    report = verify(options.study, options.experiment, options.stage, options.raw)
    what = "everything" if report.level == "all" else "tables and figures"
    how = "to the bit" if report.exact else "within tolerances"
    lines = [f"{report.study} {report.experiment}: {what} regenerated, compared {how}"]
    lines += [report.note] if report.note else []
    lines += [f"differs: {difference}" for difference in report.differences] or ["nothing differs"]
    return int(bool(report.differences)), dataclasses.asdict(report), "\n".join(lines)


def render_results(options: argparse.Namespace) -> Outcome:
    """Draw the tables and figures of one experiment again."""
    from common.pipeline.draw import render
    from common.results import folder as results

    folder = render(options.study, results.folder(options.study, options.experiment))
    return 0, {"out": str(folder)}, f"Results: {folder}"


def predict_scans(options: argparse.Namespace) -> Outcome:
    """Run a study's trained network on the user's scans."""
    from common.results.tables import Table, markdown

    predict = getattr(studies.load(options.study), "predict", None)
    if predict is None:
        able = studies.offering("predict")
        others = f"{', '.join(able)} offers it" if able else "none does"
        raise InputError(f"predict {options.study}: not offered by this study; {others}")
    rows = predict(options.checkpoint, options.input, options.out, options.skip_bad)
    columns = tuple(name for name in rows[0] if name != "written")
    cells = tuple(tuple(row[name] for name in columns) for row in rows)
    text = f"{markdown(Table('', columns, cells))}\nWritten: {options.out}"
    return 0, {"study": options.study, "out": str(options.out), "files": rows}, text


def show_weights(options: argparse.Namespace) -> Outcome:
    """Fetch pretrained weights where asked, and return what there is of every set."""
    from common.pretrained import weights

    if options.fetch:
        wanted = weights.SETS if options.fetch == "all" else (options.fetch,)
        for one in [weights.published(name) for name in wanted]:
            weights.weights_path(one)
    found = [weights.stored(one, verify=options.verify) for one in weights.SETS.values()]
    lines = [
        f"{one.name}: {one.state}, {one.size / 1e6:.0f} MB"
        + (f", {one.path}" if one.path else f"; --fetch {one.name}, or set {one.variable}")
        for one in found
    ]
    differs = any(one.state == "differs" for one in found)
    return int(differs), [dataclasses.asdict(one) for one in found], "\n".join(lines)


if __name__ == "__main__":
    xla.restart_with_huge_pages()
    sys.exit(main())
