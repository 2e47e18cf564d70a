"""Chromium for tests of the desk as a whole: windows of people, and all that is wrong in them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from papers.rare_disease_controlnet.desk.accounts import sessions
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.tables import Role
from tests.papers.rare_disease_controlnet.desk import reading_browsers
from tests.papers.rare_disease_controlnet.desk.made_up import a_user

# Whatever the policy stops is an error of the page, also where the browser would not write it down.
TELL = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));"""


@dataclass
class Window(reading_browsers.Window):
    """Somebody's window; `wrong` has errors, dialogs, faults, and what the policy stopped."""

    def go(self, path: str) -> int:
        """Open a page of the desk and return its status."""
        return int(self.page.goto(self.home + path).status)

    def button(self, name: str) -> Any:
        """Return the button of this name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def another(self) -> "Window":
        """Return another tab, whose faults are noted here too."""
        return listening(Window(self.page.context.new_page(), self.home, wrong=self.wrong))


chrome = reading_browsers.chromium_started


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Return a browser for the tests of a file."""
    with chrome() as browser:
        yield browser


@contextmanager
def window(
    desk: Desk, browser: Any, home: str, name: str = "", role: Role | None = None, **options: Any
) -> Iterator[Window]:
    """Open a window of somebody who is logged in; without a role, of nobody."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | options)
    if role is not None:
        person = a_user(desk, name or role, role)
        with desk.write() as session:
            cookie = sessions.begin(session, person)
        secure = home.replace("http:", "https:")
        context.add_cookies([{"name": sessions.COOKIE, "value": cookie, "url": secure}])
    context.add_init_script(TELL)
    try:
        yield listening(Window(context.new_page(), home))
    finally:
        context.close()


def listening(here: Window) -> Window:
    """Return a window that notes what is wrong in its page."""
    page, wrong = here.page, here.wrong

    def asked(dialog: Any) -> None:
        wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("dialog", asked)
    page.on("console", lambda told: told.type == "error" and wrong.append(told.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "response",
        lambda answer: answer.status >= 500 and wrong.append(f"{answer.status} {answer.url}"),
    )
    return here
