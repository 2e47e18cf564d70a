"""A film's lineage in plain words, for people who want to know what they look at."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from papers.rare_disease_controlnet.corpus.tables import Film, Job
from papers.rare_disease_controlnet.desk.tables import JobDetail

_DIGITS = 12  # of a hash that is shown
SAMPLERS = {"unipc": "UniPC", "ddim": "DDIM", "pndm": "PNDM"}


def lineage(session: Session, film: Film) -> list[tuple[str, str]]:
    """Return what there is to say of how a film came to be: terms and what they are."""
    made: dict[str, Any] = json.loads(film.lineage)
    spec, platform = made["spec"], made["platform"]
    job = session.get(Job, film.job_id)
    asked_by = f", asked for by {job.asked_by}" if job else ""
    said = [
        ("Asked for", wish(spec)),
        ("Prompt", spec["prompt"]),
        ("Led away from", spec["negative"]),
        ("Follows", followed(spec)),
        (
            "Drawn with",
            f"{spec['steps']} steps of {SAMPLERS.get(spec['sampler'], spec['sampler'])}, guidance "
            f"{spec['guidance']:g}, seed {spec['seed']}, {spec['size']} × {spec['size']} pixels",
        ),
        ("Engine", engine(made)),
        ("Code", f"{_short(made['code']['digest'])}, on {platform['device']}, JAX "
                 f"{platform['jax']}"),
        ("Job", f"{film.job_id}, film {film.number + 1}{asked_by}"),
        ("Drawn", f"{film.created:%Y-%m-%d %H:%M} UTC"),
        ("File", f"SHA-256 {film.sha256}"),
    ]  # fmt: skip
    return [(term, text) for term, text in said if text]


def wish(spec: dict[str, Any]) -> str:
    """Return what a film is to show."""
    extent = spec["extent"]
    parts = [spec["label"], f"on the {spec['side']}" if spec["side"] in ("left", "right") else ""]
    parts += ["on both sides"] if spec["side"] == "both" else []
    parts += [] if extent is None else [f"of extent {extent:g} (0 to 1)"]
    return " ".join(part for part in parts if part)


def followed(spec: dict[str, Any]) -> str:
    """Return what a film keeps to; empty if nothing."""
    source = spec["depth"] if spec["control"] == "depth" else spec["structure"]
    if source is None:
        return ""
    what = "the depth map" if spec["control"] == "depth" else "the edges of film"
    region = ", changed only inside a region" if spec["region"] else ""
    return f"{what} {_short(source)}, strength {spec['strength']:g}{region}"


def engine(made: dict[str, Any]) -> str:
    """Return which engine drew a film, and what it learned from."""
    keys = {network["key"] for network in made["engine"]["networks"] if network["name"] == "unet"}
    named = f", {' '.join(sorted(keys))}" if keys - {""} else ""
    return f"{made['engine']['study']}{named}; learned from data {_short(made['engine']['data'])}"


def family(session: Session, film: Film) -> tuple[Film | None, int]:
    """Return the film that this one was drawn after again, if any, and how often that was."""
    detail = session.get(JobDetail, film.job_id)
    if detail is None or detail.parent is None:
        return None, 0
    return session.get(Film, detail.parent), detail.generation


def children(session: Session, film: Film) -> list[Film]:
    """Return the films that were drawn in place of this one."""
    query = select(Film).join(JobDetail, JobDetail.job_id == Film.job_id)
    return list(session.scalars(query.where(JobDetail.parent == film.id).order_by(Film.id)))


def _short(sha256: str) -> str:
    return f"{sha256[:_DIGITS]}…"
