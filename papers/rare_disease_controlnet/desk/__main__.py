"""The desk's command line: ``python -m papers.rare_disease_controlnet.desk [COMMAND]``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from common import paths, terminal, xla
from common.errors import InputError, UserError, of_system
from common.pipeline.process import prepare_process
from papers.rare_disease_controlnet.desk.settings import Settings

DATABASE = "DESK_DATABASE"  # the variable, so that no password need stand in a list of processes
COMMANDS = ("serve", "worker", "people", "backup", "restore", "audit", "check", "sweep")
EPILOG = """\
exit status:
  0    done
  1    a check found that something is wrong
  2    bad input: one line names it
  130  interrupted

The key of S3 and its server are AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and
AWS_ENDPOINT_URL. docs/desk.md says more.
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options
        )

    def error(self, message: str) -> NoReturn:
        """Raise what `main` prints."""
        raise InputError(f"{message} (see {self.prog} --help)")


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    terminal.prepare()
    try:
        given = list(sys.argv[1:] if words is None else words)
        if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help")):
            given.insert(0, "serve")
        options = parser().parse_args(given)
        prepare_process()
        return _run(options, settings_of(options))
    except UserError as error:
        terminal.refuse(error)
        return error.status
    except BrokenPipeError:  # the reader, such as head, has seen enough
        return terminal.hang_up()
    except KeyboardInterrupt:
        terminal.note("interrupted")
        return 130
    except Exception as error:
        if (refused := of_system(error)) is None:
            raise
        terminal.refuse(refused)
        return refused.status


def parser() -> Parser:
    """Return the parser of all commands."""
    whole = Parser(
        prog="desk", description="The review desk. Without COMMAND it is served.", epilog=EPILOG
    )
    group = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    abouts = {
        "serve": "show the pages, with an engine that draws beside them",
        "worker": "an engine more, perhaps on another machine",
        "people": "add people, or give them new links",
        "backup": "write the whole desk into one file, while it runs",
        "restore": "make an empty desk what a backup holds",
        "audit": "verify that nobody changed the log",
        "check": "check that films and rows fit each other",
        "sweep": "delete what nobody needs any more",
    }
    added = {name: group.add_parser(name, help=about) for name, about in abouts.items()}
    for name, command in added.items():
        command.description = f"{abouts[name].capitalize()}."
        _where(command)
    _serving(added["serve"])
    for name in ("serve", "worker"):
        about = "the folder of a trained engine; by default the one that was trained last"
        added[name].add_argument("--engine", metavar="CHECKPOINT", type=Path, help=about)
    for name in ("backup", "restore"):
        added[name].add_argument("file", metavar="FILE", type=Path)
    about = "a backup, through whose last entry the log must lead; may be repeated"
    added["audit"].add_argument(
        "--backup", metavar="FILE", type=Path, action="append", default=[], help=about
    )
    people = added["people"]
    about = "add NAME ROLE (researcher, reviewer or admin), link NAME, or list"
    people.add_argument("words", metavar="WORD", nargs="+", help=about)
    _listening(people)
    return whole


def settings_of(options: argparse.Namespace) -> Settings:
    """Return the desk that is meant."""
    given = {
        name: getattr(options, name)
        for name in ("storage", "host", "port", "tls_proxy", "engine")
        if getattr(options, name, None) is not None
    }
    folder = options.folder
    if folder is None:
        folder = paths.home() / ("desk-demo" if getattr(options, "demo", False) else "desk")
    database = options.database or os.environ.get(DATABASE) or None
    return Settings(folder.expanduser().absolute(), database=database, **given)


def _run(options: argparse.Namespace, settings: Settings) -> int:
    if options.command == "serve":
        from papers.rare_disease_controlnet.desk.commands.serve import serve

        return serve(settings, worker=not options.web_only, demo=options.demo)
    if options.command == "worker":
        from papers.rare_disease_controlnet.desk.commands.keeper import work

        return work(settings)
    status, lines = _kept_up(options, settings)
    terminal.show("\n".join(lines))
    return status


def _kept_up(options: argparse.Namespace, settings: Settings) -> tuple[int, list[str]]:
    """Run a command that ends by itself; return its status and what it prints."""
    from papers.rare_disease_controlnet.desk.commands import upkeep
    from papers.rare_disease_controlnet.desk.opening import open_desk

    if options.command == "restore":
        return 0, upkeep.restore_from(settings, options.file)
    desk = open_desk(settings)
    if options.command == "people":
        return 0, _people(options, settings, desk)
    if options.command == "backup":
        return 0, upkeep.back_up(desk, options.file)
    if options.command == "audit":
        return upkeep.audit(desk, options.backup)
    if options.command == "check":
        return upkeep.check(desk)
    return 0, upkeep.sweep(desk)


def _people(options: argparse.Namespace, settings: Settings, desk: Any) -> list[str]:
    from papers.rare_disease_controlnet.desk.commands import people

    address = people.address_of(settings)
    match options.words:
        case ["add", name, role]:
            return [people.add(desk, address, name, role)]
        case ["link", name]:
            return [people.link(desk, address, name)]
        case ["list"]:
            return people.listed(desk)
    raise InputError(
        f"people {' '.join(options.words)}: expected add NAME ROLE, link NAME, or list"
    )


def _where(command: Parser) -> None:
    """Add where a desk is."""
    about = "of the films and of SQLite's database; by default one in the user's cache folder"
    command.add_argument("--folder", metavar="DIR", type=Path, help=about)
    about = f"postgresql://USER@HOST/NAME instead of SQLite; better by the variable {DATABASE}"
    command.add_argument("--database", metavar="URL", help=about)
    about = "s3://BUCKET/PREFIX instead of the folder's films"
    command.add_argument("--storage", metavar="URL", help=about)


def _listening(command: Parser) -> None:
    command.add_argument("--host", metavar="ADDRESS", help="by default 127.0.0.1")
    command.add_argument("--port", metavar="N", type=int, help="by default 8765; 0 is any free one")
    about = "a proxy with TLS stands before the desk, and says whom requests are from"
    command.add_argument(
        "--behind-tls-proxy", dest="tls_proxy", action="store_true", default=None, help=about
    )


def _serving(command: Parser) -> None:
    _listening(command)
    about = "films, people and a small engine to try it with, in a folder of their own"
    command.add_argument("--demo", action="store_true", help=about)
    about = "no engine beside the pages: workers draw elsewhere"
    command.add_argument("--web-only", action="store_true", help=about)


if __name__ == "__main__":
    xla.restart_with_huge_pages()
    sys.exit(main())
