"""The command line: ``python -m papers list | data | replicate | compare | verify | …``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from common import xla
from common.errors import InputError, UserError, nearest
from common.pipeline import commands
from common.pipeline.commands import Outcome
from common.pipeline.process import prepare_process
from common.study import experiment as experiments
from papers import studies

STAGES = ("all", "prepare", "train", "evaluate", "render")
EPILOG = """\
exit status:
  0    done
  1    a check found a difference, or something broke that should not
  2    bad input: one line names it
  3    training diverged: step and last good checkpoint are named
  130  interrupted: the same command resumes from the last checkpoint

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


class Help(argparse.Action):
    """Help, with the options of the study that is named before it."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *_: Any
    ) -> None:
        """Print it and end the command."""
        parser.print_help()
        if namespace.study is not None:
            print(f"\n{commands.list_options(studies.load(namespace.study))}")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        options = parse(arguments)
        if getattr(options, "study", None):
            options.study = studies.load(options.study)
        if "experiment" in options:
            experiments.load(options.study.experiments, options.experiment)
        prepare_process()
        with contextlib.redirect_stdout(sys.stderr):  # what libraries print is not our output
            outcome = options.command(options)
        if options.json:
            print(json.dumps(outcome.plain, indent=1, ensure_ascii=False), flush=True)
        else:
            print(outcome.text, flush=True)
        return outcome.status
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("interrupted; the same command resumes from the last checkpoint", file=sys.stderr)
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
    if "stage" in options and options.stage not in options.stages:
        known = nearest(options.stage, options.stages)
        raise InputError(f"--stage {options.stage}: no such stage, {known}")
    if getattr(options, "seeds", None) is not None:
        options.seeds = _seeds(options.seeds)
    if getattr(options, "processes", None) is not None and options.processes < 1:
        raise InputError(f"--processes {options.processes}: give a count above 0")
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
    _data(add("data", "Check and prepare a data set.", _run_data))
    about = "Prepare, train, evaluate, render; then compare with what is reported."
    _replicate(add("replicate", about, _run_replicate))
    about = "Reported numbers and claims beside ours; without STUDY the suite's page as well."
    add("compare", about, _run_compare).add_argument("study", metavar="STUDY", nargs="?")
    about = "Regenerate committed results in a scratch folder and name what differs."
    _verify(add("verify", about, _run_verify))
    about = "Tables and figures again, from committed metrics."
    _experiment(add("render", about, lambda o: commands.render_results(o.study, o.experiment)))
    about = "Run trained networks on scans of your own."
    _predict(add("predict", about, _run_predict, add_help=False))
    about = "Pretrained weights: what is here, fetch, verify; register your own."
    _weights(add("weights", about, _run_weights))
    return whole


def _run_data(options: argparse.Namespace) -> Outcome:
    return commands.prepare_data(options.study, options.data, options.raw, options.skip_bad)


def _run_replicate(options: argparse.Namespace) -> Outcome:
    return commands.replicate(
        options.study,
        options.experiment,
        options.stage,
        options.only,
        settings=options.set,
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


def _run_predict(options: argparse.Namespace) -> Outcome:
    where = (options.checkpoint, options.input, options.out, options.skip_bad)
    return commands.predict(options.study, studies.load_all, *where, options.option)


def _run_weights(options: argparse.Namespace) -> Outcome:
    add = (options.add[0], Path(options.add[1])) if options.add else None
    return commands.show_weights(options.fetch, options.verify, add, options.remove)


def _experiment(command: Parser) -> None:
    command.add_argument("study", metavar="STUDY")
    about = f"see list; by default {experiments.DEFAULT}"
    command.add_argument("experiment", metavar="EXPERIMENT", nargs="?", help=about)


def _data(command: Parser) -> None:
    command.add_argument("study", metavar="STUDY")
    about = "data set or experiment; by default the data of the source"
    command.add_argument("data", metavar="DATA", nargs="?", help=about)
    _raw_options(command)


def _replicate(command: Parser) -> None:
    _experiment(command)
    about = "change a field of the config; C as in TOML, or a bare word; may be repeated"
    command.add_argument("--set", metavar="A.B=C", action="append", default=[], help=about)
    _raw_options(command)
    about = "how many seeds, or a list of them such as 0,2,5"
    command.add_argument("--seeds", metavar="N", help=about)
    about = "results folder; by default the study's own, for a variant one in the cache folder"
    command.add_argument("--out", metavar="DIR", type=Path, help=about)
    about = "share the work among N processes; by default as many as the experiment says"
    command.add_argument("--processes", metavar="N", type=int, help=about)
    about = "train this network alone, with what it learns from"
    command.add_argument("--only", metavar="NETWORK", help=about)
    _stage(command, STAGES)


def _verify(command: Parser) -> None:
    _experiment(command)
    command.add_argument("--raw", metavar="DIR", type=Path, help="folder of the raw data")
    _stage(command, ("all", "render"))


def _predict(command: Parser) -> None:
    command.add_argument("study", metavar="STUDY")
    about = "a folder of trained networks, or one above it as replicate prints it"
    command.add_argument("--checkpoint", metavar="DIR", type=Path, required=True, help=about)
    about = "an image, a volume, a DICOM file, or a folder of them; the study card says which"
    command.add_argument("--input", metavar="PATH", type=Path, required=True, help=about)
    about = "folder for what is predicted, named as the input is"
    command.add_argument("--out", metavar="DIR", type=Path, required=True, help=about)
    command.add_argument("--skip-bad", action="store_true", help="skip bad files")
    about = "choose what the study offers: see predict STUDY --help; may be repeated"
    command.add_argument("--option", metavar="NAME=C", action="append", default=[], help=about)
    about = "show this help, and what the study offers"
    command.add_argument("-h", "--help", action=Help, nargs=0, help=about)


def _weights(command: Parser) -> None:
    command.description = (
        "Pretrained weights: what is here, fetch, verify; register your own. Weights behind a "
        "license to agree to, as Stable Diffusion's, are never fetched: bring your own, and --add "
        "registers them where they lie."
    )
    one = command.add_mutually_exclusive_group()
    about = "fetch one published set, or all, unless they are here"
    one.add_argument("--fetch", metavar="NAME", nargs="?", const="all", help=about)
    about = "register a folder in diffusers' layout, a checkpoint, a LoRA or an embedding as NAME"
    one.add_argument("--add", metavar=("NAME", "PATH"), nargs=2, help=about)
    about = "forget registered weights; the files stay"
    one.add_argument("--remove", metavar="NAME", help=about)
    about = "check what is here against its SHA-256, published or registered"
    command.add_argument("--verify", action="store_true", help=about)


def _raw_options(command: Parser) -> None:
    about = "folder of the raw data in its published layout; remembered once prepared"
    command.add_argument("--raw", metavar="DIR", type=Path, help=about)
    about = "skip bad raw files, and say how many"
    command.add_argument("--skip-bad", action="store_true", help=about)


def _stage(command: Parser, stages: Sequence[str]) -> None:
    command.set_defaults(stages=stages)
    about = f"one of {', '.join(stages)}; by default %(default)s"
    command.add_argument("--stage", metavar="STAGE", default="all", help=about)


def _seeds(text: str) -> tuple[int, ...]:
    """Return the seeds meant; not as a `type` of argparse, which takes away ValueErrors' words."""
    try:
        numbers = [int(number) for number in text.strip("[]").split(",") if number.strip()]
    except ValueError:
        raise InputError(f"--seeds {text}: give a count, or a list such as 0,2,5") from None
    listed = "," in text or "[" in text
    return experiments.seeds(numbers if listed else (numbers or [0])[0], "--seeds")


if __name__ == "__main__":
    xla.restart_with_huge_pages()
    sys.exit(main())
