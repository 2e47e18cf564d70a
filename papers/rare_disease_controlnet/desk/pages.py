"""Pages: templates with what all of them show, and words for errors."""

from __future__ import annotations

import gc
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from common.files import sha256
from papers.rare_disease_controlnet.desk.access import ADMINS, FORM_TOKEN, MEMBERS, RESEARCHERS

HERE = Path(__file__).parent
STATIC = HERE / "static"
NAVIGATION = (  # title, address, roles
    ("Queue", "/jobs", RESEARCHERS),
    ("Reading room", "/reading", MEMBERS),
    ("Sets", "/sets", RESEARCHERS),
    ("Corpus", "/corpus", RESEARCHERS),
    ("Impact", "/impact", RESEARCHERS),
    ("People", "/people", ADMINS),
    ("Log", "/audit", ADMINS),
)
NOTICE = "Research code, no medical device"


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page.

    Args:
        request: whose visitor the page is for.
        template: below ``templates``; it extends ``base.html``.
        status: of the answer.
        values: what the template shows; texts are escaped.
    """
    visitor = getattr(request.state, "visitor", None)
    role = visitor.role if visitor else ""
    common = {
        "visitor": visitor,
        "form_token": visitor.form_token if visitor else "",
        "token": _token_field(visitor.form_token) if visitor else "",
        "navigation": [(title, path) for title, path, roles in NAVIGATION if role in roles],
        "here": request.url.path,
        "notice": NOTICE,
    }
    text = environment().get_template(template).render(common | values)
    headers = {"Cache-Control": "no-store"}  # of a page that may be of somebody else next
    return HTMLResponse(text, status, headers=headers)


def _token_field(token: str) -> Markup:
    """Return the hidden field that every form which changes something has."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(FORM_TOKEN, token)


@cache
def environment() -> Environment:
    """Return the templates; what they are given is escaped, and what is not given is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["static"] = static
    made.filters["ordinal"] = ordinal
    return made


def prepare() -> None:
    """Do now what the first visitors would wait for; for a process that does nothing else.

    All templates are read, and what was imported is no longer looked through for garbage, which
    would hold up everybody for a third of a second now and then.
    """
    for name in environment().list_templates(("html",)):
        environment().get_template(name)
    gc.collect()
    gc.freeze()


def ordinal(number: int) -> str:
    """Return 1st, 2nd, 3rd, 4th and so on."""
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ends.get(number % 10, 'th')}"


@cache
def static(name: str) -> str:
    """Return the address of a file of ``static``, another one whenever it has changed."""
    return f"/static/{name}?{sha256(STATIC / name)[:12]}"
