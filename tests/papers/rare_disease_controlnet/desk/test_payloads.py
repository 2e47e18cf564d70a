"""What users write is shown as it is, and never runs; no template goes around that."""

from tests.papers.rare_disease_controlnet.desk.made_up import (  # isort: skip
    a_desk, a_user, browser,
)  # fmt: skip

import re
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from papers.rare_disease_controlnet.desk import pages
from papers.rare_disease_controlnet.desk.audit.log import record

PAYLOADS = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'-alert(1)-'",
    "</title><svg onload=alert(1)>",
    "{{ 7 * 7 }}",
    "javascript:alert(1)",
)  # fmt: skip


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_users_write_is_shown_and_never_run(tmp_path, payload):
    desk = a_desk(tmp_path)
    a_user(desk, payload[:64], "researcher")
    with desk.write() as session:
        record(session, payload, payload, payload, {payload: payload})
    admin = browser(desk, "root", "admin")
    answers = [
        admin.get("/people"),
        admin.get("/audit"),
        admin.get("/audit", params={"actor": payload, "action": payload}),
        admin.post("/people", {"name": payload, "role": payload}),
        admin.get("/audit", params={"actor": payload + "x"}),
        browser(desk).get("/login", params={"next": payload}),
        browser(desk).post("/login", {"name": payload, "password": payload, "next": payload}),
        browser(desk, payload[:64], "researcher").get("/account"),
        admin.get(f"/{quote(payload, safe='')}"),
    ]
    for answer in answers:
        assert answer.status_code != 500
        assert answer.headers["content-type"].startswith("text/html")
        assert not running(answer.text)
        assert ">49<" not in answer.text


class Running(HTMLParser):
    """What in a page would run: scripts that are no files, handlers, addresses of scripts."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        own = (values.get("src") or "").startswith("/static/")
        if (tag in ("script", "img") and not own) or tag in ("svg", "style", "iframe", "base"):
            self.found.append((tag, values))
        self.found += [(tag, name) for name in values if name.startswith("on") or name == "style"]
        links = [values.get(name) or "/" for name in ("href", "src", "action", "formaction")]
        self.found += [(tag, link) for link in links if not re.match(r"/(?!/)|[?#]", link)]


def running(text):
    parser = Running()
    parser.feed(text)
    return parser.found


def test_what_would_run_is_found_by_these_tests():
    assert running('<a href="javascript:alert(1)">x</a>')
    assert running("<p onclick=alert(1)>") == [("p", "onclick")]
    assert running("<script>alert(1)</script>")
    assert not running('<a href="/x">&lt;script&gt;</a><script src="/static/x.js"></script>')


def test_an_error_is_told_to_scripts_as_json_and_no_page(tmp_path):
    admin = browser(a_desk(tmp_path), "root", "admin")
    answer = admin.client.get("/audit?actor=<script>", headers={"accept": "*/*"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"].startswith("actor '<script>'")


def test_no_template_and_no_script_goes_around_the_policy():
    inline = r"""<style|\sstyle\s*=|\son[a-z]+\s*=\s*["']|<script(?![^>]*\ssrc=)|javascript:"""
    elsewhere = r"https?://(?!www\.w3\.org/)|\|\s*safe\b|autoescape"
    found = []
    for file in sorted((pages.HERE / "templates").rglob("*.html")):
        text = file.read_text()
        found += [(file.name, match.group()) for match in re.finditer(inline, text)]
        found += [(file.name, match.group()) for match in re.finditer(elsewhere, text)]
        for form in re.findall(r"<form[^>]*method=.post.*?</form>", text, re.DOTALL):
            if "{{ token }}" not in form and file.name != "login.html":  # nobody has one yet
                found.append((file.name, form[:80]))
    writing = r"(inner|outer)HTML\s*\+?=[^=]|insertAdjacentHTML|document\.write|\beval\("
    for file in sorted(pages.STATIC.rglob("*.js")):
        found += [(file.name, match.group()) for match in re.finditer(writing, file.read_text())]
    assert not found
