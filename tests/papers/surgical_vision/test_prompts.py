"""Prompts of faces, and the words of a model that is trained from nothing."""

import numpy as np
import pytest

from papers.surgical_vision.config import Config
from papers.surgical_vision.models.latent import tokenizer
from papers.surgical_vision.prompts import (
    BEFORE,
    LENGTH,
    every_prompt,
    prompt_of,
    word_tokenizer,
)

START, END = 0, 1


@pytest.mark.parametrize(
    ("label", "prompt"),
    [
        ((0, 0, 0), "A portrait of a person before surgery"),
        ((0, 1, 0), "A portrait of a person after surgery of nose"),
        ((1, 0, 1), "A portrait of a person after surgery of eyes and chin"),
        ((1, 1, 1), "A portrait of a person after surgery of eyes and nose and chin"),
    ],
)
def test_a_prompt_says_what_was_operated(label, prompt):
    assert prompt_of(label) == prompt_of(np.array(label, np.uint8)) == prompt


def test_every_label_has_a_prompt_at_the_place_of_its_bits():
    prompts = every_prompt()
    assert len(set(prompts.values())) == len(prompts) == 8
    places = [int(np.array(label) @ [4, 2, 1]) for label in prompts]  # as training looks them up
    assert places == list(range(8))
    assert next(iter(prompts.values())) == BEFORE


def test_each_word_has_its_own_token_between_start_and_end():
    tokens = word_tokenizer(["A b c", "c d"])
    ids = tokens(["a c", "D c b a"])
    assert ids.shape == (2, LENGTH)
    assert (ids[:, 0] == START).all()
    a, c, end = ids[0, 1:4]
    assert end == END
    assert ids[1, 2] == c
    assert ids[1, 4] == a
    words = set(ids[1, 1:5].tolist())
    assert len(words) == 4
    assert not words & {START, END}
    assert (ids[0, 3:] == END).all()
    np.testing.assert_array_equal(tokens(""), tokens(["  "]))
    assert max(words) < tokens.size


def test_a_word_of_no_prompt_is_the_end():
    tokens = word_tokenizer(["a b"])
    assert tokens("a z b")[0, :4].tolist()[2] == END


def test_the_study_s_prompts_differ_as_tokens_and_fit():
    config = Config()
    prompts = [*every_prompt().values(), config.diffusion.lora_prompt]
    ids = tokenizer(config)(prompts)
    assert len({row.tobytes() for row in ids}) == len(prompts)
    assert (ids[:, -1] == END).all()  # none is cut off
    known = [row[1 : 1 + len(text.split())] for row, text in zip(ids, prompts, strict=True)]
    assert all((words > END).all() for words in known)
