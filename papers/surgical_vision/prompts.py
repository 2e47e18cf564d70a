"""Prompts: what a diffusion model is told of a face, and words as its tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import UInt8

from common.latent_diffusion.tokenizer import Tokenizer
from common.latent_diffusion.vocabulary import END, START, Vocabulary
from papers.surgical_vision.pair import DOMAINS

BEFORE = "A portrait of a person before surgery"
LENGTH = 16  # tokens of a prompt, start and end among them


def prompt_of(label: Sequence[int] | UInt8[np.ndarray, 3]) -> str:
    """Return the prompt of a face: where it was operated, or that it was not.

    Ours; the source gives that of its LoRA alone.
    """
    operated = [name for name, one in zip(DOMAINS, label, strict=True) if one]
    if not operated:
        return BEFORE
    return f"A portrait of a person after surgery of {' and '.join(operated)}"


def every_prompt() -> dict[tuple[int, int, int], str]:
    """Return the prompt of every label."""
    labels = [(eyes, nose, chin) for eyes in (0, 1) for nose in (0, 1) for chin in (0, 1)]
    return {label: prompt_of(label) for label in labels}


def word_tokenizer(prompts: Iterable[str]) -> Tokenizer:
    """Return a tokenizer with an id for each word of the prompts, for a model trained from nothing.

    A word of none of them is read as the end of the text.
    """
    words = sorted({word for prompt in prompts for word in prompt.lower().split()})
    vocabulary = Vocabulary({START: 0, END: 1}, {}, END)
    return Tokenizer(vocabulary, LENGTH).with_tokens(dict.fromkeys(words, 1))
