"""What holds for every route: headers, no other site's forms, no path out."""

from tests.papers.rare_disease_controlnet.desk.made_up import (  # isort: skip
    HOME, PAGE, a_desk, browser,
)  # fmt: skip

import asyncio
import itertools
import re
from urllib.parse import quote, unquote

import pytest
from starlette.testclient import TestClient

from papers.rare_disease_controlnet.desk import pages
from papers.rare_disease_controlnet.desk.access import EVERYBODY, TOKEN_HEADER
from papers.rare_disease_controlnet.desk.accounts.sessions import COOKIE
from papers.rare_disease_controlnet.desk.app import HEADERS, build


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return a_desk(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def admin(desk):
    return browser(desk, "root", "admin")


def addresses(app, safe):
    """Return method and address of all routes that change something, or of those that do not."""
    return [
        (method, re.sub(r"\{[^}]+\}", "1", path))
        for method, path in sorted(app.state.access)
        if (method == "GET") == safe
    ]


def assert_guarded(answer):
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


# headers


def test_the_policy_lets_only_own_files_in():
    policy = dict(part.split(" ", 1) for part in HEADERS["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert "object-src" not in policy  # so that the default holds
    assert {policy[kind] for kind in ("script-src", "style-src", "form-action")} == {"'self'"}
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


def test_every_answer_has_the_headers(desk, admin):
    app = admin.client.app
    for visitor in (admin, browser(desk)):
        for _, address in addresses(app, safe=True):
            if not address.endswith("/events"):  # which go on
                assert_guarded(visitor.get(address))
        for method, address in addresses(app, safe=False):
            answer = visitor.client.request(method, address, headers=PAGE)
            assert_guarded(answer)
    answers = [
        admin.get("/nothing"),
        admin.get("/audit?before=x"),
        admin.get(pages.static("desk.css")),
        admin.get("/static/nothing.css"),
        admin.client.put("/people"),
        admin.client.post("/login", content=b"x" * (desk.settings.limits.body + 1)),
        browser(desk).get("/people"),
    ]
    assert [answer.status_code for answer in answers] == [404, 422, 200, 404, 405, 413, 303]
    for answer in answers:
        assert_guarded(answer)


def test_a_fault_of_the_desk_has_them_too_and_tells_nothing(desk):
    app = build(desk)

    @app.get("/login/fault")
    def fault() -> None:
        raise RuntimeError("of the inside")

    app.state.access[("GET", "/login/fault")] = EVERYBODY
    answer = TestClient(app, HOME, raise_server_exceptions=False).get("/login/fault")
    assert (answer.status_code, "inside" in answer.text) == (500, False)
    assert_guarded(answer)


def test_pages_are_not_kept_by_the_browser(admin):
    for address in ("/people", "/account", "/audit", "/nothing"):
        assert admin.get(address).headers["cache-control"] == "no-store"


def test_nothing_tells_what_runs_here(admin):
    answer = admin.get("/people")
    assert not {"server", "x-powered-by"} & set(answer.headers)
    for address in ("/docs", "/redoc", "/openapi.json"):
        assert admin.get(address).status_code == 404


# other sites


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "nonsense"])
def test_what_another_site_sends_is_refused(admin, site):
    for method, address in addresses(admin.client.app, safe=False):
        headers = {"sec-fetch-site": site, TOKEN_HEADER: admin.form_token}
        answer = admin.client.request(method, address, headers=headers)
        assert (address, answer.status_code) == (address, 403)


@pytest.mark.parametrize("token", [None, "", "x", "0" * 43, "\u00e9", "another session's"])
def test_without_the_sessions_form_token_nothing_changes(desk, admin, token):
    if token == "another session's":
        token = browser(desk, "emil", "admin").form_token
    for method, address in addresses(admin.client.app, safe=False):
        headers = {"sec-fetch-site": "same-origin"}
        if token is not None:
            headers[TOKEN_HEADER] = token.encode("latin-1")
        answer = admin.client.request(method, address, headers=headers)
        assert (address, answer.status_code) == (address, 403)
        form = {"form_token": token or ""}
        answer = admin.client.request(method, address, headers=PAGE, data=form)
        assert (address, answer.status_code) == (address, 403)


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://evil.test", 403), ("null", 403), ("https://desk.test:444", 403),
     ("https://desk.test.evil.test", 403), (HOME, 303), (None, 303)],
)  # fmt: skip
def test_without_that_header_the_origin_counts(desk, origin, status):
    here = browser(desk, "nova", "admin")
    headers = {TOKEN_HEADER: here.form_token} | ({"origin": origin} if origin else {})
    assert here.client.post("/account/sessions", headers=headers).status_code == status


def test_reading_changes_nothing_from_another_site_either(admin):
    answer = admin.get("/people", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 200  # a link from elsewhere may lead here
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


# what comes in


def test_bodies_are_bounded_before_they_are_read(desk, admin):
    limit = desk.settings.limits.body

    def chunks():
        yield b"x"

    sizes = {
        str(limit + 1): 413,
        str(10**30): 413,
        "-1": 413,
        "x": 413,
        "": 413,
        "1e3": 413,
        "\u00b2": 413,
    }
    for told, status in sizes.items():
        headers = {"content-length": told.encode("latin-1"), TOKEN_HEADER: admin.form_token}
        answer = admin.client.post("/account/sessions", content=b"", headers=headers)
        assert (told, answer.status_code) == (told, status)
    assert admin.client.post("/account/sessions", content=chunks()).status_code == 411


def test_other_methods_are_refused(admin):
    for method, path in itertools.product(
        ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "CONNECT"),
        ("/people", "/login", "/audit", "/account/password", "/"),
    ):
        headers = {TOKEN_HEADER: admin.form_token, "content-length": "0"}
        answer = admin.client.request(method, path, headers=headers)
        assert (method, path, answer.status_code) == (method, path, 405)
    assert admin.get("/people/1/disable").status_code == 405  # no change by a link


def escapes():
    """Return 200 ways to write a path that leads elsewhere."""
    targets = ("etc/passwd", "corpus.db", "windows\\win.ini", "proc/self/environ")
    ups = (
        "..",
        "....",
        "%2e%2e",
        "%252e%252e",
        "..%00",
        "..%c0%af",
        "%c0%ae%c0%ae",
        "\uff0e\uff0e",
    )
    joints = ("/", "\\", "%2f", "%5c", "%252f", "//")
    written = [
        joint.join([up] * 4 + [target])
        for up, joint, target in itertools.product(ups, joints, targets)
    ]
    alone = ["/etc/passwd", "file:///etc/passwd", "..", ".", "%00", "1%00.png", "~root", "1/../2"]
    found = list(dict.fromkeys(written + alone))
    assert len(found) == 200
    return found


def test_no_way_of_writing_a_path_leads_out(desk, admin):
    """200 spellings, as they are and quoted, in every place where a path takes a value."""
    paths = sorted(
        {(method, path) for method, path in admin.client.app.state.access if "{" in path}
    )
    cases = [
        (method, _filled(path, place, spelling))
        for method, path in paths
        for place in range(path.count("{"))
        for spelling in escapes()
    ]
    cases += [("GET", f"/static/{spelling}") for spelling in escapes()]
    cookie = admin.client.cookies[COOKIE]
    outcomes = asyncio.run(_statuses(admin.client.app, cookie, admin.form_token, cases))
    wrong = [
        (case, status)
        for case, (status, body) in zip(cases, outcomes, strict=True)
        if status not in (403, 404, 405, 422) or b"root:" in body or b"SQLite format" in body
    ]
    assert not wrong, wrong[:20]


def _filled(path, place, spelling):
    """Return a route's path, one of whose values is a spelling and the others 1."""
    parts = re.split(r"\{[^}]+\}", path)
    values = [spelling if index == place else "1" for index in range(len(parts) - 1)]
    return "".join(itertools.chain(*itertools.zip_longest(parts, values, fillvalue="")))


async def _statuses(app, cookie, token, cases):
    """Return status and body of requests whose path comes as servers hand it over: unquoted."""
    headers = [
        (b"host", b"desk.test"), (b"cookie", f"{COOKIE}={cookie}".encode()),
        (b"accept", b"*/*"), (b"sec-fetch-site", b"same-origin"),
        (b"content-length", b"0"), (b"x-form-token", token.encode()),
    ]  # fmt: skip
    outcomes = []
    for method, path in cases:
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
            "scheme": "https", "path": unquote(path), "raw_path": quote(path, "/%").encode(),
            "query_string": b"", "root_path": "", "headers": headers,
            "client": ("192.0.2.1", 1), "server": ("desk.test", 443), "state": {},
        }  # fmt: skip
        sent = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message, sent=sent):
            sent.append(message)

        await asyncio.wait_for(app(scope, receive, send), 20)
        outcomes.append((sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:])))
    return outcomes
