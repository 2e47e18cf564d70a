"""Who reads an open set does not see which films are synthetic, whatever else they may do."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException

from papers.rare_disease_controlnet.desk.access import visitor_of
from papers.rare_disease_controlnet.desk.accounts.sessions import Visitor
from papers.rare_disease_controlnet.desk.desk import Desk, desk_of
from papers.rare_disease_controlnet.desk.reading.blinding import reads


def unblinded(
    desk: Annotated[Desk, Depends(desk_of)], visitor: Annotated[Visitor, Depends(visitor_of)]
) -> Visitor:
    """Return who makes a request, unless they read a set that is open; a dependency of routes."""
    with desk.read() as session:
        if reads(session, visitor.id):
            raise HTTPException(
                403,
                "you are reading a set that is still open; synthetic films are shown to you when "
                "it is closed",
            )
    return visitor
