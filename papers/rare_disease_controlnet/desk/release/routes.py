"""Routes of what follows reading: the corpus, its snapshots, and what they came to."""

from __future__ import annotations

from fastapi import APIRouter

from papers.rare_disease_controlnet.desk.access import Access
from papers.rare_disease_controlnet.desk.release import (
    corpus_routes,
    impact_routes,
    snapshot_routes,
)

_PARTS = (snapshot_routes, corpus_routes, impact_routes)
router = APIRouter()
for _part in _PARTS:
    router.include_router(_part.router)
ACCESS: Access = {row: roles for part in _PARTS for row, roles in part.ACCESS.items()}
