"""A report as PDF: tagged, and the same bytes each time.

Texts go in as data, never as markup; the compiler opens no file but the template and fonts.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Literal

import matplotlib
import typst

from papers.rare_disease_controlnet.desk.pages import HERE, NOTICE
from papers.rare_disease_controlnet.desk.reports.document import Document
from papers.rare_disease_controlnet.desk.reports.figures import svg
from papers.rare_disease_controlnet.desk.reports.findings import Findings

TEMPLATE = HERE / "templates" / "reports" / "report.typ"
_FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FONTS = [_FOLDER / f"DejaVuSans{kind}.ttf" for kind in ("", "-Bold")]  # as in figures


def pdf(document: Document, found: Findings) -> bytes:
    """Return a report as PDF; by PDF/UA, where all letters of its texts have a font."""
    try:
        return _compiled(document, found, "pdf", ("ua-1",))[0]
    except typst.TypstError:
        return _compiled(document, found, "pdf")[0]


def images(document: Document, found: Findings) -> list[bytes]:
    """Return the pages of a report as PNG files, to be looked at."""
    return _compiled(document, found, "png")


def _compiled(
    document: Document,
    found: Findings,
    form: Literal["pdf", "png"],
    standards: tuple[Literal["ua-1"], ...] = (),
) -> list[bytes]:
    """Return the one file, or for images one of each page."""
    inputs = {
        "document": json.dumps(dataclasses.asdict(document), ensure_ascii=False),
        "notice": NOTICE,
    }
    for section in document.sections:
        for figure in section.figures:
            inputs[figure.name] = svg(figure.name, found).decode()
    content = typst.compile(
        TEMPLATE,
        root=TEMPLATE.parent,
        font_paths=FONTS,
        format=form,
        ppi=80,
        sys_inputs=inputs,
        pdf_standards=list(standards),
    )
    return content if isinstance(content, list) else [content]
