"""The routes of accounts, joined."""

from __future__ import annotations

from fastapi import APIRouter

from papers.rare_disease_controlnet.desk.access import Access
from papers.rare_disease_controlnet.desk.accounts import login, own, staff

router = APIRouter()
ACCESS: Access = {}
for _part in (login, own, staff):
    router.include_router(_part.router)
    ACCESS = {**ACCESS, **_part.ACCESS}
