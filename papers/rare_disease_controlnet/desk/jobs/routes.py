"""Routes; see the package."""

from __future__ import annotations

from fastapi import APIRouter

from papers.rare_disease_controlnet.desk.access import Access
from papers.rare_disease_controlnet.desk.jobs import asking_routes, image_routes, queue_routes

router = APIRouter()
ACCESS: Access = {}
for _part in (asking_routes, image_routes, queue_routes):  # in this order: /jobs/new, /jobs/{job}
    router.routes.extend(_part.router.routes)
    ACCESS = {**ACCESS, **_part.ACCESS}
