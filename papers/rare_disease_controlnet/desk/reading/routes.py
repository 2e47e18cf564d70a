"""Routes of the reading room and of sets."""

from __future__ import annotations

from fastapi import APIRouter

from papers.rare_disease_controlnet.desk.access import Access
from papers.rare_disease_controlnet.desk.reading import room_routes, set_routes

router = APIRouter()
router.include_router(room_routes.router)
router.include_router(set_routes.router)
ACCESS: Access = {**room_routes.ACCESS, **set_routes.ACCESS}
