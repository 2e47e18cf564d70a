"""Prompts: what the engine is told of a film, in words and by the finding's own learned word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from math import isnan

from common.latent_diffusion.tokenizer import Tokenizer
from papers.rare_disease_controlnet.film import Side

POSITIONS = 32  # tokens of a prompt for a small model, start and end among them
NORMAL = "normal"
_SIZES = ("small", "moderate", "large")  # by thirds of the extent


def prompt_of(
    findings: Sequence[str], side: Side = "", extent: float = float("nan"), label: bool = True
) -> str:
    """Return the prompt of a film: its findings, how large and on which side where that is known.

    With `label`, each finding's learned word follows (`label_word`), that of a normal film if there
    is none. The template is ours; the source writes a prompt by hand.
    """
    size = "" if isnan(extent) else _SIZES[min(2, int(3 * extent))]
    named = " and ".join(finding.lower() for finding in findings)
    where = {"": "", "both": "on both sides"}.get(side, f"on the {side}")
    what = f"showing {size} {named} {where}" if findings else "without a finding"
    words = [label_word(finding) for finding in findings or (NORMAL,)] if label else []
    return " ".join(f"frontal chest X-ray {what} {' '.join(words)}".split())


def label_word(finding: str) -> str:
    """Return the placeholder of a finding: a word of its own, whose embedding is learned."""
    return f"<{finding.lower().replace(' ', '-')}>"


@cache
def tokenizer(findings: tuple[str, ...], label: bool = True) -> Tokenizer:
    """Return CLIP's tokenizer, for short prompts, that knows the findings' words."""
    short = replace(Tokenizer.published(), length=POSITIONS)
    return with_labels(short, findings) if label else short


def with_labels(known: Tokenizer, findings: Sequence[str]) -> Tokenizer:
    """Return a tokenizer that knows the findings' words as well, that of a normal film first."""
    return known.with_tokens({label_word(finding): 1 for finding in (NORMAL, *findings)})
