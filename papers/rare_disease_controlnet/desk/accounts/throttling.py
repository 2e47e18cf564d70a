"""Throttling: who fails to log in waits, longer each time, by account and by address.

An account that somebody else locks stays open to who is logged in already. What was typed as a name
is kept as a hash, since it may be a password, and whether anybody has the name makes no difference.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.tables import now
from papers.rare_disease_controlnet.desk.desk import desk_of
from papers.rare_disease_controlnet.desk.tables import Attempt

WINDOW = timedelta(minutes=15)  # after which a failure is forgotten
FREE = {
    "name": 5,
    "account": 5,
    "address": 20,
}  # failures before one waits; many people share an address
FIRST = timedelta(seconds=15)  # to wait after so many; each further failure doubles it
_NETWORK = 64  # bits of an IPv6 address that one customer of a provider has


def by_name(name: str) -> str:
    """Return the key of who tries to log in under a name."""
    return f"name:{digest(name)}"


def by_address(address: str) -> str:
    """Return the key of who tries to log in from an address."""
    return f"address:{address}"


def by_account(user: int) -> str:
    """Return the key of who is logged in and says their password again."""
    return f"account:{user}"


def begin(session: Session, keys: tuple[str, ...], *, at: datetime | None = None) -> timedelta:
    """Return how long to wait before trying; if not at all, the try counts as failed for now.

    So tries at the same time are counted before any of them is answered; `forget` takes back what
    did not fail.
    """
    at = at or now()
    session.execute(delete(Attempt).where(Attempt.at <= at - WINDOW))
    wait = max(_wait(session, key, at) for key in keys)
    if not wait:
        session.add_all(Attempt(key=key, at=at) for key in keys)
    return wait


def forget(session: Session, keys: tuple[str, ...]) -> None:
    """Forget the failures under a name, and the last try from an address, of who has succeeded."""
    for key in keys:
        last = select(func.max(Attempt.id)).where(Attempt.key == key).scalar_subquery()
        chosen = Attempt.id == last if key.startswith("address:") else Attempt.key == key
        session.execute(delete(Attempt).where(chosen))


def address_of(request: HTTPConnection) -> str:
    """Return whom a request comes from; from a proxy, whom the proxy says it comes from.

    Only the last name in the header is the proxy's own, the others anybody can write.
    """
    told = request.client.host if request.client else ""
    if desk_of(request).settings.tls_proxy:
        told = request.headers.get("x-forwarded-for", told).rpartition(",")[2].strip()
    try:
        found = ipaddress.ip_address(told)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address) and not found.ipv4_mapped:
        return str(ipaddress.ip_network((found, _NETWORK), strict=False))
    return str(getattr(found, "ipv4_mapped", None) or found)


def _wait(session: Session, key: str, at: datetime) -> timedelta:
    query = select(func.count(), func.max(Attempt.at)).where(Attempt.key == key)
    count, last = session.execute(query).one()
    beyond = count - FREE[key.partition(":")[0]]
    if beyond < 0:
        return timedelta(0)
    longest = int(WINDOW / FIRST)
    pause = FIRST * min(2**beyond, longest)
    return max(last + pause - at, timedelta(0))
