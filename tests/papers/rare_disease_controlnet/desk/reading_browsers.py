"""Real browsers for tests of pages: a desk that is served, and windows of people logged in."""

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from papers.rare_disease_controlnet.desk.accounts import sessions
from papers.rare_disease_controlnet.desk.app import build
from papers.rare_disease_controlnet.desk.desk import Desk
from tests.papers.rare_disease_controlnet.desk.made_up import a_user

playwright = pytest.importorskip("playwright.sync_api", reason="browser: install the group dev")
CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.exists():
    pytest.skip("browser: no /usr/bin/chromium, install chromium", allow_module_level=True)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Window:
    """Somebody's browser window, and what it asked for and complained of."""

    page: Any
    home: str
    asked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def go(self, path):
        self.page.goto(self.home + path)

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def film(self, number):
        """Wait until a film is there to be judged."""
        self.page.get_by_role("heading", name=f"Film {number}", exact=True).wait_for()
        self.page.wait_for_function(
            "() => document.querySelector('canvas').dataset.shown"
            " === document.querySelector('.stage').dataset.film"
        )

    def answer(self, verdict="a", score="4", origin="2"):
        """Judge the film that is there, by keyboard."""
        self.press(verdict, score, "Enter")
        self.page.locator("input[name=origin]").first.wait_for(state="attached")
        self.press(origin, "Enter")


@contextmanager
def chromium_started():
    """Start Chromium, without windows."""
    with playwright.sync_playwright() as starter:
        browser = starter.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def served(desk: Desk):
    """Serve a desk on a port of its own; yield its address."""
    server = uvicorn.Server(uvicorn.Config(build(desk), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def window(desk, chromium, home, name="rosalind", role="reviewer", **options):
    """Open a window of somebody who is logged in."""
    person = a_user(desk, name, role)
    with desk.write() as session:
        cookie = sessions.begin(session, person)
    size = {"width": 1280, "height": 800}
    context = chromium.new_context(**{"viewport": size} | options)
    secure = home.replace("http:", "https:")
    context.add_cookies([{"name": sessions.COOKIE, "value": cookie, "url": secure}])
    opened = Window(context.new_page(), home)
    opened.page.on("request", lambda request: opened.asked.append(request.url))
    opened.page.on("console", lambda told: told.type == "error" and opened.wrong.append(told.text))
    opened.page.on("pageerror", lambda error: opened.wrong.append(str(error)))
    try:
        yield opened
    finally:
        context.close()
