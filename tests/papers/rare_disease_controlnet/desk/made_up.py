"""What tests of the desk share: a desk in a folder, people, and browsers that are logged in."""

import pytest

pytest.importorskip("fastapi", reason="the desk: install the extra desk")

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import select
from starlette.testclient import TestClient

from papers.rare_disease_controlnet.corpus.corpus import open_corpus
from papers.rare_disease_controlnet.desk.access import FORM_TOKEN
from papers.rare_disease_controlnet.desk.accounts import sessions
from papers.rare_disease_controlnet.desk.app import build
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.settings import Limits, Settings
from papers.rare_disease_controlnet.desk.tables import Role, User, UserSession

PAGE = {"accept": "text/html"}
HOME = "https://desk.test"


def a_desk(folder: Path, database: str | None = None, **limits: Any) -> Desk:
    """Return a desk without users; the tables are made."""
    settings = Settings(folder, database=database, limits=Limits(**limits))
    return Desk(settings, open_corpus(folder, database))


def a_user(desk: Desk, name: str, role: Role) -> User:
    """Return a user, made where there is none of the name."""
    with desk.write() as session:
        user = session.scalar(select(User).where(User.name == name))
        if user is None:
            user = User(name=name, role=role)
            session.add(user)
            session.flush()
        return user


@dataclass
class Browser:
    """Somebody's browser: sends the cookie, and with what changes something the form token."""

    client: TestClient
    form_token: str = ""

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return self.client.get(path, headers=PAGE | options.pop("headers", {}), **options)

    def post(
        self, path: str, data: dict[str, Any] | None = None, **options: Any
    ) -> httpx2.Response:
        headers = PAGE | {"sec-fetch-site": "same-origin"} | options.pop("headers", {})
        form = {FORM_TOKEN: self.form_token} | (data or {})
        return self.client.post(path, data=form, headers=headers, **options)


def browser(desk: Desk, name: str = "", role: Role | None = None) -> Browser:
    """Return the browser of somebody who is logged in; without a role, of nobody."""
    client = TestClient(build(desk), base_url=HOME, follow_redirects=False)
    if role is None:
        return Browser(client)
    user = a_user(desk, name or role, role)
    with desk.write() as session:
        cookie = sessions.begin(session, user)
        own = session.scalars(select(UserSession).where(UserSession.user_id == user.id)).all()
    client.cookies.set(sessions.COOKIE, cookie)
    return Browser(client, own[-1].form_token)
