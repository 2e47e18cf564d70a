"""The web application: all features behind one guard, and what every answer carries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as StarletteHTTPException

from common.errors import InputError
from papers.rare_disease_controlnet.desk import home
from papers.rare_disease_controlnet.desk.access import authorize, recognize
from papers.rare_disease_controlnet.desk.accounts import routes as accounts
from papers.rare_disease_controlnet.desk.audit import routes as audit
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.jobs import routes as jobs
from papers.rare_disease_controlnet.desk.pages import STATIC, page
from papers.rare_disease_controlnet.desk.reading import routes as reading
from papers.rare_disease_controlnet.desk.release import routes as release
from papers.rare_disease_controlnet.desk.reports import routes as reports

FEATURES = (home, accounts, audit, jobs, reading, reports, release)
CONTENT_SECURITY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_TITLES = {401: "Log in first", 403: "Not allowed", 404: "Not here", 413: "Too large",
           422: "That does not work", 429: "Too often"}  # fmt: skip
Next = Callable[[Request], Awaitable[Response]]


def build(desk: Desk) -> FastAPI:
    """Return the application of a desk."""
    app = FastAPI(
        title="Review desk",
        dependencies=[Depends(authorize)],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.desk = desk
    app.state.access = {}
    for feature in FEATURES:
        app.include_router(feature.router)
        app.state.access |= feature.ACCESS
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.middleware("http")(_guarded)
    app.add_exception_handler(InputError, _problem)
    app.add_exception_handler(StarletteHTTPException, _problem)
    app.add_exception_handler(RequestValidationError, _problem)
    app.add_exception_handler(Exception, _failure)
    return app


async def _guarded(request: Request, answer: Next) -> Response:
    """Refuse what is too large, and give every answer its headers."""
    limit = request.app.state.desk.settings.limits.body
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or int(length) > limit:
        response: Response = PlainTextResponse(f"at most {limit} bytes", 413)
    elif request.method not in ("GET", "HEAD") and "content-length" not in request.headers:
        response = PlainTextResponse("say how long it is", 411)
    else:
        response = await answer(request)
    if request.url.path.startswith("/static/"):  # modules import each other without a hash
        response.headers["Cache-Control"] = "no-cache"
    return _with_headers(response)


def _with_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def _failure(request: Request, error: Exception) -> Response:
    """Answer with the headers too, and nothing of the error, where the desk itself is at fault."""
    return _with_headers(PlainTextResponse("something went wrong; it is in the log", 500))


async def _problem(request: Request, error: Exception) -> Response:
    """Answer with what is wrong: a page for a browser, JSON for a script."""
    status, reason, headers = 422, str(error), None
    if isinstance(error, StarletteHTTPException):
        status, reason, headers = error.status_code, str(error.detail), error.headers
    elif isinstance(error, RequestValidationError):
        reason = "; ".join(_line(one) for one in error.errors())
    if status in (303, 307):
        return Response(status_code=status, headers=headers)
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"error": reason}, status, headers)
    if status == 404 and reason == "Not Found":  # no route, which would have asked who it is
        reason = "there is no such page"
        with suppress(InputError):
            await recognize(request)
    title = _TITLES.get(status, "Something is wrong")
    response = page(request, "problem.html", status, title=title, reason=reason)
    response.headers.update(headers or {})
    return response


def _line(error: dict[str, object]) -> str:
    """Return a refusal of one field, naming it and never its value."""
    place = error.get("loc", ())
    names = [str(part) for part in place if part not in ("body", "query", "path")]  # type: ignore[attr-defined]
    return f"{' '.join(names) or 'request'}: {error.get('msg', 'not admitted')}"
