"""Prompts, and the findings' own words."""

from math import nan

import pytest

from common.latent_diffusion.tokenizer import Tokenizer
from common.latent_diffusion.vocabulary import END, START, Vocabulary
from papers.rare_disease_controlnet.prompts import NORMAL, label_word, prompt_of, with_labels


@pytest.mark.parametrize(
    ("film", "prompt"),
    [
        (((), "", nan), "frontal chest X-ray without a finding <normal>"),
        (
            (("pneumothorax",), "left", 0.9),
            "frontal chest X-ray showing large pneumothorax on the left <pneumothorax>",
        ),
        (
            (("Effusion", "Mass"), "both", 0.0),
            "frontal chest X-ray showing small effusion and mass on both sides <effusion> <mass>",
        ),
        (
            (("viral pneumonia",), "", nan),
            "frontal chest X-ray showing viral pneumonia <viral-pneumonia>",
        ),
        ((("mass",), "right", 1.0), "frontal chest X-ray showing large mass on the right <mass>"),
    ],
)  # fmt: skip
def test_prompts_say_what_is_known(film, prompt):
    assert prompt_of(*film) == prompt
    assert prompt_of(*film, label=False) == prompt.partition(" <")[0]


def test_every_finding_is_one_token_of_its_own():
    bare = Tokenizer(Vocabulary({START: 0, END: 1}, {}, END), 8)
    known = with_labels(bare, ("nodule", "viral pneumonia"))
    ids = [known(label_word(name))[0, 1] for name in (NORMAL, "nodule", "viral pneumonia")]
    assert ids == [2, 3, 4]
    assert known.size == 5
