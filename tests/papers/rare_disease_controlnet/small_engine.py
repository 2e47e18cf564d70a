"""The smallest engine: sizes, made-up films, and words without CLIP's vocabulary."""

import numpy as np
import pytest

from common.latent_diffusion.tokenizer import Tokenizer
from common.latent_diffusion.vocabulary import END, END_OF_WORD, START, Vocabulary
from papers.rare_disease_controlnet import prompts
from papers.rare_disease_controlnet.config import (
    AdaptConfig,
    ArmsConfig,
    ClassifierConfig,
    Config,
    DataConfig,
    EngineConfig,
    ReviewConfig,
    SynthesisConfig,
)
from papers.rare_disease_controlnet.data import Part

FINDINGS = ("effusion", "pneumothorax")
SIZE = 32
WORDS = (
    *("frontal", "chest", "x", "ray", "showing", "without", "a", "finding", "small", "moderate"),
    *("large", "effusion", "pneumothorax", "on", "the", "left", "right", "both", "sides"),
    *("blurry", "low", "quality", "distorted", "anatomy"),
)
CONFIG = Config(
    data=DataConfig("films", SIZE, FINDINGS, "pneumothorax", films=(12, 8, 8)),
    engine=EngineConfig(
        weights="", controlnet="", autoencoder_channels=(8, 8, 8), latent_channels=2,
        channels=(8, 8), head_channels=4, context=8, text_layers=1, groups=4,
        hint_channels=(4, 4, 4), autoencoder_learning_rate=1e-2, learning_rate=5e-3,
        control_learning_rate=5e-3,
    ),
    adapt=AdaptConfig("full", rank=2, steps=2, batch_size=4),
    synthesis=SynthesisConfig(steps=10, accepted=4, others=2, tries=2, batch_size=4),
    review=ReviewConfig(visible=0.0, edges=0.0, steps=2),
    classifier=ClassifierConfig((4, 8), (1, 1), "small", steps=4, batch_size=8),
    arms=ArmsConfig((2, 4), 4, ("real", "selected"), (2, 4), 2),
)  # fmt: skip


def know_few_words(patch: pytest.MonkeyPatch) -> None:
    """Let a few words be CLIP's vocabulary, a token each, so that prompts keep their ends."""
    ids, merges = {START: 0, END: 1}, []
    for word in WORDS:
        pieces = [*word[:-1], word[-1] + END_OF_WORD]
        for count in range(1, len(word)):
            merges.append(("".join(pieces[:count]), pieces[count]))
        ids["".join(pieces)] = len(ids)
    known = Tokenizer(Vocabulary(ids, {pair: i for i, pair in enumerate(merges)}, END))
    patch.setattr(Tokenizer, "published", classmethod(lambda cls, path=None: known))
    prompts.tokenizer.cache_clear()


@pytest.fixture
def few_words(monkeypatch):
    """Do without CLIP's vocabulary."""
    know_few_words(monkeypatch)
    yield
    prompts.tokenizer.cache_clear()


def part(count: int = 12, seed: int = 0) -> Part:
    """Return made-up films: a third normal, bright below with effusion, dark above otherwise."""
    random = np.random.default_rng(seed)
    images = random.integers(90, 130, (count, SIZE, SIZE, 1)).astype(np.uint8)
    images[:, :, SIZE // 2 - 2 : SIZE // 2 + 2] = 220  # a mediastinum
    structures, masks = images.copy(), np.zeros((count, SIZE, SIZE), bool)
    labels = np.zeros((count, 2), np.uint8)
    sides = [""] * count
    for index in range(count):
        if not index % 3:
            continue
        labels[index, index % 3 - 1] = 1
        sides[index] = ("left", "right")[index // 3 % 2]
        columns = slice(SIZE // 2 + 2, SIZE) if sides[index] == "left" else slice(0, SIZE // 2 - 2)
        rows = slice(SIZE // 2, SIZE) if index % 3 == 1 else slice(0, SIZE // 3)
        masks[index, rows, columns] = True
        images[index][masks[index]] = 240 if index % 3 == 1 else 10
    extents = np.where(labels.any(1), 0.5, np.nan).astype(np.float32)
    names = tuple(f"film-{index}" for index in range(count))
    return Part(
        FINDINGS, names, names, images, labels, tuple(sides), extents, ("PA",) * count, masks,
        structures,
    )  # fmt: skip
