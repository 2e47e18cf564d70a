"""The command line: ``python -m papers list | data | replicate | compare | verify | …``."""

from __future__ import annotations

from common import interrupts

if __name__ == "__main__":
    interrupts.end_at_once()  # before other imports, which take their time

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common import terminal, xla
from common.errors import InputError, UserError, nearest, of_system
from common.pipeline import commands, weights
from common.pipeline.commands import Outcome
from common.pipeline.process import prepare_process
from common.structured import dumps
from common.study import experiment as experiments
from papers import arguments, new, studies
from papers.arguments import Parser


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    terminal.prepare()
    try:
        return _run(words)
    except BrokenPipeError:  # nobody reads what the command says of its work, or why it ends
        return terminal.hang_up()


def _run(words: Sequence[str] | None) -> int:
    try:
        options = parse(words)
        if getattr(options, "study", None) is not None:
            options.study = studies.load(options.study)
        if "experiment" in options:
            experiments.load(options.study.experiments, options.experiment)
        prepare_process()
        with contextlib.redirect_stdout(sys.stderr):  # what libraries print is not our output
            outcome = options.command(options)
        _show(outcome, options.json)
        return outcome.status
    except UserError as error:
        terminal.refuse(error)
        return error.status
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        terminal.note("interrupted; the same command resumes from the last checkpoint")
        return 130
    except Exception as error:
        if (refused := xla.of_platform(error) or of_system(error)) is None:
            raise
        terminal.refuse(refused)
        return refused.status


def _show(outcome: Outcome, as_json: bool) -> None:
    try:
        terminal.show(dumps(outcome.plain) if as_json else outcome.text)
    except BrokenPipeError:  # the reader, such as head, has seen enough; the work is done
        terminal.hang_up()


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed arguments; an optional position may also come after the flags."""
    whole = parser()
    options, left = whole.parse_known_args(words)
    if "flags" in options:  # the study's own, which it reads
        options.flags, left = left, []
    late = [name for name in ("experiment", "data") if getattr(options, name, "") is None]
    if left and late and not left[0].startswith("-"):
        setattr(options, late[0], left.pop(0))
    if left:
        whole.error(f"unrecognized arguments: {' '.join(left)}")
    if "stage" in options and options.stage not in options.stages:
        known = nearest(options.stage, options.stages)
        raise InputError(f"--stage {options.stage}: no such stage, {known}")
    if getattr(options, "seeds", None) is not None:
        options.seeds = _seeds(options.seeds)
    if getattr(options, "processes", None) is not None and not 1 <= options.processes <= 4096:
        raise InputError(f"--processes {options.processes}: give a count above 0, at most 4096")
    if getattr(options, "experiment", "") is None:
        options.experiment = experiments.DEFAULT
    return options


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    whole = Parser(
        prog="python -m papers",
        description="Replicate published studies and hold what they report against what comes out.",
    )
    group = whole.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(
        name: str, about: str, run: Callable[[argparse.Namespace], Outcome], **options: Any
    ) -> Parser:
        command = group.add_parser(name, help=about, description=about, **options)
        command.set_defaults(command=run)
        command.add_argument("--json", action="store_true", help="print JSON")
        return command

    add(
        "list",
        "Studies and experiments: the data each needs, its time, its results.",
        lambda _: commands.list_studies(studies.load_all()),
    )
    arguments.data(add("data", "Check and prepare a data set.", _run_data))
    about = "Prepare, train, evaluate, render; then compare with what is reported."
    arguments.replicate(add("replicate", about, _run_replicate))
    about = "Reported numbers and claims beside ours; without STUDY the suite's page as well."
    add("compare", about, _run_compare).add_argument("study", metavar="STUDY", nargs="?")
    about = "Regenerate committed results in a scratch folder and name what differs."
    arguments.verify(add("verify", about, _run_verify))
    about = "Tables and figures again, from committed metrics."
    arguments.experiment(
        add("render", about, lambda o: commands.render_results(o.study, o.experiment))
    )
    about = "Trained networks of a replicated experiment into the project, to be used by anybody."
    arguments.export(add("export", about, _run_export))
    about = "Run trained networks on scans of your own."
    arguments.predict(add("predict", about, _run_predict, add_help=False))
    about = "Draw new images with a trained model; beside each lies what makes it again."
    arguments.sample(add("sample", about, _run_sample, add_help=False))
    about = "Draw an image again from its lineage: the same to the byte, or which input differs."
    arguments.regenerate(add("regenerate", about, _run_regenerate))
    about = "Write a new study that runs: its package, experiments and tests, to be changed."
    arguments.new(add("new", about, lambda o: new.write(o.name)))
    about = "Pretrained weights: what is here, fetch, verify; register your own."
    arguments.weights(add("weights", about, _run_weights))
    return whole


def _run_data(options: argparse.Namespace) -> Outcome:
    return commands.prepare_data(options.study, options.data, options.raw, options.skip_bad)


def _run_replicate(options: argparse.Namespace) -> Outcome:
    judged = commands.settings_of_corpus(options.study, studies.load_all, options.corpus)
    return commands.replicate(
        options.study,
        options.experiment,
        options.stage,
        options.only,
        options.dry_run,
        options.yes,
        settings=[*options.set, *judged],
        seeds=options.seeds,
        raw=options.raw,
        out=options.out,
        skip_bad=options.skip_bad,
        processes=options.processes,
    )


def _run_compare(options: argparse.Namespace) -> Outcome:
    chosen = [options.study] if options.study else studies.load_all()
    return commands.compare_results(chosen, suite=not options.study)


def _run_verify(options: argparse.Namespace) -> Outcome:
    return commands.verify_results(options.study, options.experiment, options.stage, options.raw)


def _run_export(options: argparse.Namespace) -> Outcome:
    what = (options.study, options.experiment, options.seeds)
    return commands.export_networks(*what, options.raw, options.out, options.most)


def _run_predict(options: argparse.Namespace) -> Outcome:
    where = (options.checkpoint, options.input, options.out, options.skip_bad)
    how = (options.flags, options.csv, options.device)
    return commands.predict(options.study, studies.load_all, *where, *how)


def _run_sample(options: argparse.Namespace) -> Outcome:
    where = (options.checkpoint, options.out)
    return commands.sample(options.study, studies.load_all, *where, options.flags, options.device)


def _run_regenerate(options: argparse.Namespace) -> Outcome:
    where = (options.lineage, options.checkpoint)
    return commands.regenerate(studies.load, studies.load_all, *where)


def _run_weights(options: argparse.Namespace) -> Outcome:
    add = (options.add[0], Path(options.add[1])) if options.add else None
    return weights.show(options.fetch, options.verify, add, options.remove)


def _seeds(text: str) -> tuple[int, ...]:
    """Return the seeds meant; not as a `type` of argparse, which takes away ValueErrors' words."""
    try:
        numbers = [int(number) for number in text.strip("[]").split(",") if number.strip()]
    except ValueError:
        raise InputError(f"--seeds {text}: give a count, or a list such as 0,2,5") from None
    listed = "," in text or "[" in text
    return experiments.seeds(numbers if listed else (numbers or [0])[0], "--seeds")


if __name__ == "__main__":
    terminal.prepare()
    xla.restart_with_huge_pages()
    sys.exit(main())
