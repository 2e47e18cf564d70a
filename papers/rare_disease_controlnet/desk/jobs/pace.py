"""How long films take, from what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from papers.rare_disease_controlnet.corpus.tables import now
from papers.rare_disease_controlnet.desk.tables import Pace


@dataclass(frozen=True)
class Speed:
    """Seconds before the first step of a film, those after the last among them, and a step's."""

    start: float
    step: float

    def film(self, steps: int) -> float:
        """Return the seconds of a film."""
        return self.start + self.step * steps

    def left(self, films: int, drawn: int, steps: int, step: int) -> float:
        """Return the seconds of the films that are not drawn yet, one of them at `step`."""
        begun = self.start + self.step * step if step else 0.0
        return max(0.0, (films - drawn) * self.film(steps) - begun)


def measured(begun: float, ended: float, seen: Sequence[tuple[int, float]]) -> Speed | None:
    """Return the speed of a film by when it was seen at which step; None if that was once only."""
    if len(seen) < 2 or seen[-1][0] <= seen[0][0]:
        return None
    (first, at_first), (last, at_last) = seen[0], seen[-1]
    step = (at_last - at_first) / (last - first)
    return Speed(max(0.0, ended - begun - step * last), step)


def note(session: Session, work: str, device: str, speed: Speed) -> None:
    """Keep the speed of a kind of work on a device in place of what was known."""
    query = select(Pace).where(Pace.work == work, Pace.device == device).limit(1)
    pace = session.scalar(query) or Pace(work=work, device=device)
    pace.start, pace.step, pace.at = speed.start, speed.step, now()
    session.add(pace)


def speed_of(session: Session, work: str) -> Speed | None:
    """Return the newest speed of a kind of work on any device; None where it was never done."""
    newest = select(Pace).where(Pace.work == work).order_by(Pace.at.desc()).limit(1)
    pace = session.scalar(newest)
    return Speed(pace.start, pace.step) if pace else None


def in_words(seconds: float) -> str:
    """Return a time as people say it, never more exact than it is known."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 55:
        return f"{round(seconds, -1):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{max(1, minutes)} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours < 10 and rest else f"{round(minutes / 60)} h"
