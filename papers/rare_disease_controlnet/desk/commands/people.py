"""People by the command line: the first admin, and one-time links for others."""

from __future__ import annotations

import getpass
import sys

from sqlalchemy import select

from common.errors import InputError
from papers.rare_disease_controlnet.desk.accounts import passwords
from papers.rare_disease_controlnet.desk.accounts.people import (
    checked_name,
    has_admin,
    invite,
    new_link,
    set_password,
)
from papers.rare_disease_controlnet.desk.audit.log import DESK
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.settings import Settings
from papers.rare_disease_controlnet.desk.tables import User

ADMIN = "admin"  # what the first one is called, if they do not say


def ask_for_admin(desk: Desk, address: str) -> None:
    """See to it that somebody can let others in: ask for a password, or print a one-time link."""
    with desk.read() as session:
        if has_admin(session):
            return
    if sys.stdin is not None and sys.stdin.isatty():
        print("Nobody can log in yet. Who is the first admin?")
        try:
            _ask(desk)
            return
        except EOFError:
            print()
    with desk.write() as session:
        link = linked(address, invite(session, ADMIN, ADMIN))
    print(f"first admin: {link} (works once, for a day; at every start there is a new one)")


def address_of(settings: Settings, port: int | None = None) -> str:
    """Return where the pages of a desk are, as far as this machine knows."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port if port is None else port}"


def add(desk: Desk, address: str, name: str, role: str) -> str:
    """Add a person; return the link by which they choose their password."""
    with desk.write() as session:
        return linked(address, invite(session, name, role))


def link(desk: Desk, address: str, name: str) -> str:
    """Return a new one-time link for somebody, as after a forgotten password."""
    with desk.write() as session:
        user = session.scalar(select(User).where(User.name == name))
        if user is None:
            known = ", ".join(session.scalars(select(User.name).order_by(User.name)))
            raise InputError(f"name {name}: nobody is called so; choose one of {known or 'none'}")
        return linked(address, new_link(session, user, actor=DESK))


def listed(desk: Desk) -> list[str]:
    """Return a line for everybody."""
    with desk.read() as session:
        users = session.scalars(select(User).order_by(User.name)).all()
    return [f"{user.name}\t{user.role}\t{_state(user)}" for user in users]


def linked(address: str, token: str) -> str:
    """Return the address of a one-time link."""
    return f"{address}/set-up/{token}"


def _state(user: User) -> str:
    if user.disabled:
        return "disabled"
    return "active" if user.password else "has not used the link yet"


def _ask(desk: Desk) -> None:
    """Ask for name and password until both will do."""
    while True:
        try:
            name = checked_name(input(f"Name [{ADMIN}]: ").strip().lower() or ADMIN)
            password = getpass.getpass("Password: ")
            passwords.check(password, name)
            if getpass.getpass("Once more: ") != password:
                raise InputError("password: the two differ; try again")
            with desk.write() as session:
                invite(session, name, ADMIN)
                user = session.scalar(select(User).where(User.name == name))
                assert user is not None
                set_password(session, user, passwords.hashed(password), actor=DESK)
            return
        except InputError as error:
            print(error)
