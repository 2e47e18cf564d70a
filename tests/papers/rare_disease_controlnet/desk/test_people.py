"""People: added by an admin, with roles that end sessions when they change."""

from tests.papers.rare_disease_controlnet.desk.made_up import (  # isort: skip
    a_desk, a_user, browser,
)  # fmt: skip

import re
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from common.errors import InputError
from papers.rare_disease_controlnet.desk.accounts import passwords, people
from papers.rare_disease_controlnet.desk.tables import User
from tests.papers.rare_disease_controlnet.corpus_made_up import new_database, postgresql

SOME, OTHER = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
HASHED = passwords.hashed(SOME)


@pytest.fixture
def desk(tmp_path):
    return a_desk(tmp_path)


def with_password(desk, name, role):
    user = a_user(desk, name, role)
    with desk.write() as session:
        people.set_password(session, session.get_one(User, user.id), HASHED)
    return user


def user_of(desk, name):
    with desk.read() as session:
        return session.scalar(select(User).where(User.name == name))


def link_in(answer):
    return re.search(r'value="https://desk\.test(/set-up/[^"]+)"', answer.text).group(1)


def test_an_admin_adds_a_person_and_sees_the_link_once(desk):
    admin = browser(desk, "root", "admin")
    answer = admin.post("/people", {"name": "Anna", "role": "researcher"})
    link = link_in(answer)
    assert link not in admin.get("/people").text
    assert "no-store" in answer.headers["cache-control"]
    there = browser(desk)
    assert there.post(link, {"password": SOME, "again": SOME}).status_code == 303
    assert there.get("/").headers["location"] == "/jobs"
    renewed = link_in(admin.post(f"/people/{user_of(desk, 'anna').id}/link"))
    assert there.get("/account").status_code == 200  # until it is used
    browser(desk).post(renewed, {"password": OTHER, "again": OTHER})
    assert there.get("/account").status_code == 303


@pytest.mark.parametrize(
    ("name", "role", "reason"),
    [("a", "reviewer", "2 to 64"), ("a" * 65, "reviewer", "2 to 64"), ("anna", "", "role"),
     ("an na", "reviewer", "2 to 64"), ("anna", "king", "choose one"), ("root", "admin", "taken"),
     ("<b>x</b>", "reviewer", "2 to 64"), ("automatic", "reviewer", "none of"),
     ("desk", "admin", "none of"), ("..", "admin", "2 to 64"), ("änna", "reviewer", "2 to 64")],
)  # fmt: skip
def test_other_names_and_roles_are_refused_with_the_reason(desk, name, role, reason):
    answer = browser(desk, "root", "admin").post("/people", {"name": name, "role": role})
    assert answer.status_code == 422
    assert reason in answer.text
    assert "<b>x" not in answer.text
    with desk.read() as session:
        assert session.scalars(select(User.name)).all() == ["root"]


def test_another_role_and_disabling_end_sessions_at_once(desk):
    admin = browser(desk, "root", "admin")
    anna = browser(desk, "anna", "reviewer")
    number = user_of(desk, "anna").id
    assert admin.post(f"/people/{number}/role", {"role": "reviewer"}).status_code == 303
    assert anna.get("/account").status_code == 200  # nothing has changed
    assert admin.post(f"/people/{number}/role", {"role": "researcher"}).status_code == 303
    assert anna.get("/account").status_code == 303
    anna = browser(desk, "anna", "researcher")
    assert anna.get("/account").status_code == 200
    admin.post(f"/people/{number}/disable")
    assert anna.get("/account").status_code == 303
    assert admin.post(f"/people/{number}/link").status_code == 422
    admin.post(f"/people/{number}/enable")
    assert anna.get("/account").status_code == 303  # its session has ended for good
    assert admin.post("/people/999/disable").status_code == 404


def test_the_last_admin_stays(desk):
    root = with_password(desk, "root", "admin")
    admin = browser(desk, "root", "admin")
    assert "last admin" in admin.post(f"/people/{root.id}/disable").text
    assert "last admin" in admin.post(f"/people/{root.id}/role", {"role": "reviewer"}).text
    with desk.write() as session:
        people.invite(session, "nova", "admin")  # who has not used the link cannot log in yet
    assert admin.post(f"/people/{root.id}/disable").status_code == 422
    with_password(desk, "nova", "admin")
    assert admin.post(f"/people/{root.id}/disable").status_code == 303
    assert admin.get("/people").status_code == 303


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_admins_cannot_remove_each_other(tmp_path, kind):
    if kind == "sqlite":
        return _remove_each_other(a_desk(tmp_path))
    with postgresql() as folder:
        return _remove_each_other(a_desk(tmp_path, new_database(folder)))


def _remove_each_other(desk):
    both = [with_password(desk, name, "admin") for name in ("root", "nova")]

    def remove(user):
        try:
            with desk.write() as session:
                people.disable(session, session.get_one(User, user.id), actor="the other")
        except InputError as error:
            return str(error)
        return "removed"

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(remove, both))
    assert outcomes[1] == "removed"
    assert "is the last admin" in outcomes[0]
    with desk.read() as session:
        assert people.has_admin(session)


def test_the_first_admin_is_asked_for_until_there_is_one(desk):
    with desk.write() as session:
        assert not people.has_admin(session)
        people.invite(session, "root", "admin")
        assert not people.has_admin(session)
        token = people.invite(session, "root", "admin")  # the desk was started again
        people.set_password(session, people.linked(session, token), HASHED)
        assert people.has_admin(session)
        with pytest.raises(InputError, match="taken"):
            people.invite(session, "root", "admin")
        with pytest.raises(InputError, match="taken"):
            people.invite(session, "root", "reviewer")
