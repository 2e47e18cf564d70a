r"""A report as LaTeX, from a template with `\VAR{}` for values, all of which are escaped."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from papers.rare_disease_controlnet.desk.pages import HERE
from papers.rare_disease_controlnet.desk.reports.document import Document

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "-": "-{}",  # two of them are a dash
    "±": r"\ensuremath{\pm}",
    "−": r"\ensuremath{-}",
    "κ": r"\ensuremath{\kappa}",
    "α": r"\ensuremath{\alpha}",
}


def latex(document: Document) -> str:
    """Return a report as a LaTeX document."""
    return _environment().get_template("reports/report.tex").render(report=document)


def escaped(value: Any) -> str:
    """Return a text that LaTeX sets as it is; control characters are spaces."""
    letters = (" " if unicodedata.category(one) in _UNSEEN else one for one in str(value))
    return "".join(SPECIAL.get(one, one) for one in letters)


_UNSEEN = ("Cc", "Cs", "Zl", "Zp")  # controls, halves of letters, ends of lines and paragraphs


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        block_start_string=r"\BLOCK{",
        block_end_string="}",
        variable_start_string=r"\VAR{",
        variable_end_string="}",
        comment_start_string=r"\NOTE{",
        comment_end_string="}",
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        finalize=escaped,
        undefined=StrictUndefined,
    )
