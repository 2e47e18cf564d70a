"""The first page: where the work of a visitor's role is."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse

from papers.rare_disease_controlnet.desk.access import MEMBERS, Access, visitor_of

router = APIRouter()
ACCESS: Access = {("GET", "/"): MEMBERS}


@router.get("/")
def home(request: Request) -> RedirectResponse:
    """Lead reviewers to what they read, and all others to the queue."""
    reading = visitor_of(request).role == "reviewer"
    return RedirectResponse("/reading" if reading else "/jobs", 303)
