"""What the commands of the command line take: their flags, and help."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from common.errors import InputError
from common.pipeline import commands
from common.study import experiment as experiments
from papers import studies

CHECKPOINT = (
    "folder of trained networks, or one above it as replicate prints it, or a file of shipped "
    "ones; by default those shipped with the study, or else the run that was trained last here"
)
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


def path(text: str) -> Path:
    """Return the path that is meant; raises what argparse prints where there is none."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; give a path, or . for the folder here")
    return Path(text)


class Help(argparse.Action):
    """Help, with what the study offers that is named before it."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *_: Any
    ) -> None:
        """Print it and end the command."""
        parser.print_help()
        if namespace.study is not None:
            print(f"\n{namespace.offered(studies.load(namespace.study))}")
        parser.exit()


def experiment(command: Parser) -> None:
    """Add study and experiment."""
    command.add_argument("study", metavar="STUDY")
    about = f"see list; by default {experiments.DEFAULT}"
    command.add_argument("experiment", metavar="EXPERIMENT", nargs="?", help=about)


def data(command: Parser) -> None:
    """Add what `data` takes."""
    command.add_argument("study", metavar="STUDY")
    about = "data set or experiment; by default the data of the source"
    command.add_argument("data", metavar="DATA", nargs="?", help=about)
    _raw_options(command)


def replicate(command: Parser) -> None:
    """Add what `replicate` takes."""
    experiment(command)
    about = "change a field of the config; C as in TOML, or a bare word; may be repeated"
    command.add_argument("--set", metavar="A.B=C", action="append", default=[], help=about)
    _raw_options(command)
    about = "how many seeds, or a list of them such as 0,2,5"
    command.add_argument("--seeds", metavar="N", help=about)
    about = "results folder; by default the study's own, for a variant one in the cache folder"
    command.add_argument("--out", metavar="DIR", type=path, help=about)
    about = "share the work among N processes; by default as many as the experiment says"
    command.add_argument("--processes", metavar="N", type=int, help=about)
    about = "learn from images that people judged: a review desk's folder or an export of it"
    command.add_argument("--corpus", metavar="DESK", help=about)
    about = "train this network alone, with what it learns from"
    command.add_argument("--only", metavar="NETWORK", help=about)
    about = "print the whole config and what would be trained, and do nothing"
    command.add_argument("--dry-run", action="store_true", help=about)
    about = "begin what is meant for a GPU on a CPU as well"
    command.add_argument("--yes", action="store_true", help=about)
    _stage(command, STAGES)


def verify(command: Parser) -> None:
    """Add what `verify` takes."""
    experiment(command)
    command.add_argument("--raw", metavar="DIR", type=path, help="folder of the raw data")
    _stage(command, ("all", "render"))


def export(command: Parser) -> None:
    """Add what `export` takes."""
    experiment(command)
    about = "how many seeds, or a list of them such as 0,2; by default the experiment's first"
    command.add_argument("--seeds", metavar="N", help=about)
    command.add_argument("--raw", metavar="DIR", type=path, help="folder of the raw data")
    about = "folder for them; by default the study's own for networks that are shipped"
    command.add_argument("--out", metavar="DIR", type=path, help=about)
    about = "how much all networks of the study may take; by default 8"
    command.add_argument("--most", metavar="MB", type=float, help=about)


def predict(command: Parser) -> None:
    """Add what `predict` takes, besides the flags of the study."""
    command.set_defaults(flags=[])
    command.usage = (
        "%(prog)s STUDY [--checkpoint PATH] --input PATH --out DIR [--csv FILE] [--device NAME] "
        "[--skip-bad] [--json] [flags of the study]"
    )
    about = "first of all; its own flags are shown by predict STUDY --help"
    command.add_argument("study", metavar="STUDY", help=about)
    command.add_argument("--checkpoint", metavar="PATH", type=path, help=CHECKPOINT)
    about = "an image, a volume, a DICOM file, or a folder of them; the study card says which"
    command.add_argument("--input", metavar="PATH", type=path, help=about)
    about = "folder for what is predicted, named as the input is"
    command.add_argument("--out", metavar="DIR", type=path, required=True, help=about)
    about = "write the table that is printed to this file too"
    command.add_argument("--csv", metavar="FILE", type=path, help=about)
    _device(command)
    command.add_argument("--skip-bad", action="store_true", help="skip bad files")
    _help(command, commands.list_options)


def sample(command: Parser) -> None:
    """Add what `sample` takes, besides the flags of the study."""
    command.set_defaults(flags=[])
    command.usage = "%(prog)s STUDY [--checkpoint PATH] --out DIR [--json] [flags of the study]"
    about = "first of all; its own flags are shown by sample STUDY --help"
    command.add_argument("study", metavar="STUDY", help=about)
    command.add_argument("--checkpoint", metavar="PATH", type=path, help=CHECKPOINT)
    about = "folder for the images; none that is there is overwritten"
    command.add_argument("--out", metavar="DIR", type=path, required=True, help=about)
    _device(command)
    _help(command, commands.list_flags)


def regenerate(command: Parser) -> None:
    """Add what `regenerate` takes."""
    about = "the JSON file that lies beside an image"
    command.add_argument("lineage", metavar="LINEAGE", type=path, help=about)
    about = "folder of the trained seed that drew it; by default it is looked for"
    command.add_argument("--checkpoint", metavar="DIR", type=path, help=about)


def _device(command: Parser) -> None:
    about = "cpu, gpu, or cuda:N for the N-th GPU from 0; by default what JAX finds fastest"
    command.add_argument("--device", metavar="NAME", help=about)


def _help(command: Parser, offered: Callable[[Any], str]) -> None:
    command.set_defaults(offered=offered)
    about = "show this help, and what the study offers"
    command.add_argument("-h", "--help", action=Help, nargs=0, help=about)


def new(command: Parser) -> None:
    """Add what `new` takes."""
    about = "of the study and its folders, such as spot_detection"
    command.add_argument("name", metavar="NAME", help=about)


def weights(command: Parser) -> None:
    """Add what `weights` takes."""
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
    command.add_argument("--raw", metavar="DIR", type=path, help=about)
    about = "skip bad raw files, and say how many"
    command.add_argument("--skip-bad", action="store_true", help=about)


def _stage(command: Parser, stages: Sequence[str]) -> None:
    command.set_defaults(stages=stages)
    about = f"one of {', '.join(stages)}; by default %(default)s"
    command.add_argument("--stage", metavar="STAGE", default="all", help=about)
