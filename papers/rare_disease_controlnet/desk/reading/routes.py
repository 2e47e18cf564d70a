"""Routes; see the package."""

from __future__ import annotations

from fastapi import APIRouter

from papers.rare_disease_controlnet.desk.access import Access

router = APIRouter()
ACCESS: Access = {}
