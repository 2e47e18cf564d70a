"""CLIP's tokenizer (Radford et al. 2021, arXiv:2103.00020): text to the ids of byte pairs.

Equal to transformers' `CLIPTokenizer` (5.24.0), which unlike OpenAI's code neither repairs broken
encodings nor reads HTML. Characters newer than Python's Unicode tables count as signs.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import count, groupby, islice, takewhile
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from common.errors import InputError
from common.latent_diffusion.vocabulary import (
    END,
    START,
    Vocabulary,
    published_vocabulary,
    read_vocabulary,
    write_vocabulary,
)

# Unicode's White_Space; `\s` of Python's has the separators U+001C to U+001F too
_SPACE = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_SURROGATE = re.compile("[\ud800-\udfff]")  # half of a pair, as names of files may hold


@dataclass(frozen=True)
class Tokenizer:
    """A function from texts to ids: each text's start, its tokens, its end, and padding.

    A text that is too long loses its last tokens. `words` remembers what was encoded.
    """

    vocabulary: Vocabulary
    length: int = 77  # ids of a text, start and end among them
    words: dict[str, list[int]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def published(cls, path: Path | None = None) -> Tokenizer:
        """Return CLIP's tokenizer, which is Stable Diffusion 1's; fetches its vocabulary once."""
        return cls(published_vocabulary(path))

    @classmethod
    def from_folder(cls, folder: Path) -> Tokenizer:
        """Return the tokenizer of the folder `tokenizer` of a diffusers model.

        Raises `InputError` where a file is missing, cannot be read, or is another tokenizer's.
        """
        vocabulary, length = read_vocabulary(folder)
        return cls(vocabulary, length or cls.length)

    def save(self, folder: Path) -> None:
        """Write the folder `tokenizer` of a diffusers model."""
        write_vocabulary(folder, self.vocabulary, self.length)

    @property
    def size(self) -> int:
        """How many ids there are, those of placeholders among them."""
        return len(self.vocabulary.ids) + len(self.vocabulary.added)

    def __call__(self, texts: str | Sequence[str]) -> Int32[np.ndarray, "texts length"]:
        """Return the ids of one text or of several."""
        texts = [texts] if isinstance(texts, str) else texts
        start, end, pad = map(self.vocabulary.ids.__getitem__, (START, END, self.vocabulary.pad))
        ids = np.full((len(texts), self.length), pad, np.int32)
        for row, text in zip(ids, texts, strict=True):
            body = self._body(text)[: self.length - 2]
            row[: len(body) + 2] = [start, *body, end]
        return ids

    def truncated(self, text: str) -> str:
        """Return the end of a text that is left out, as tokens spell it; "" where nothing is."""
        left_out = self._body(text)[self.length - 2 :]
        return self.vocabulary.decode(left_out) if left_out else ""

    def with_tokens(self, vectors: Mapping[str, int]) -> Tokenizer:
        """Return a tokenizer that knows placeholders, each of which stands for so many new ids.

        `{"<film>": 3}` gives the next free ids to `<film>`, `<film>_1` and `<film>_2`, and
        `<film>` in a text is all three, in any case and inside of words too. As diffusers'
        `load_textual_inversion`, which of a name with capitals though reads the first id only.

        Raises:
            InputError: less than one id; a name that is empty, known, or has spaces around it.
        """
        added = dict(self.vocabulary.added)
        for name, n in vectors.items():
            if n < 1:
                raise InputError(f"placeholder {name!r}: {n} vectors, expected at least 1")
            if not name or name != name.strip():
                raise InputError(f"placeholder {name!r}: expected a word without spaces around it")
            for one in islice(_series(name), n):
                alike = {_normalized(other) for other in added} | self.vocabulary.ids.keys()
                if not alike.isdisjoint((one, _normalized(one))):
                    raise InputError(f"placeholder {name!r}: {one!r} is known; choose another name")
                added[one] = len(self.vocabulary.ids) + len(added)
        return replace(self, vocabulary=replace(self.vocabulary, added=added))

    @cached_property
    def placeholders(self) -> dict[str, tuple[int, ...]]:
        """The ids that each placeholder stands for; `<film>_1` is also one by itself."""
        added = self.vocabulary.added
        return {
            name: tuple(added[one] for one in takewhile(added.__contains__, _series(name)))
            for name in added
        }

    def _body(self, text: str) -> list[int]:
        """Return the ids of a whole text, however long, without start and end."""
        if broken := _SURROGATE.search(text):
            raise InputError(f"text {text!r}: {broken[0]!r} is no character; remove it")
        ids: list[int] = []
        for part, special in _parts(self._special, text):
            if special:
                ids.append(self.vocabulary.ids[part])
                continue
            for words, placeholder in _parts(self._placeholder, _normalized(part)):
                if placeholder:
                    ids.extend(self._by_normalized[words])
                else:
                    for word in _word().findall(words):
                        ids.extend(self._word_ids(word))
        return ids

    def _word_ids(self, word: str) -> list[int]:
        if word not in self.words:
            # a special token that was written in capitals is text: two signs, a word, two signs
            parts = re.findall(r"\w+|\W+", word) if word in (START, END) else [word]
            self.words[word] = [id_ for part in parts for id_ in self.vocabulary.encode(part)]
        return self.words[word]

    @cached_property
    def _special(self) -> re.Pattern[str]:
        return _any_of({START, END, self.vocabulary.pad})

    @cached_property
    def _by_normalized(self) -> dict[str, tuple[int, ...]]:
        first_last = reversed(self.placeholders.items())  # of names that read alike it counts
        return {_normalized(name): ids for name, ids in first_last}

    @cached_property
    def _placeholder(self) -> re.Pattern[str]:
        return _any_of(self._by_normalized)


def _normalized(text: str) -> str:
    """Return a text composed (NFC), with single spaces, in lower case."""
    text = _SPACE.sub(" ", unicodedata.normalize("NFC", text))
    return text.replace("Σ", "σ").lower()  # a last sigma is as any other


def _series(name: str) -> Iterator[str]:
    """Yield a placeholder's name and those of its further ids, as diffusers calls them."""
    yield name
    for i in count(1):
        yield f"{name}_{i}"


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern of the longest of these names; of no name, one that nothing matches."""
    longest_first = sorted(map(re.escape, names), key=len, reverse=True)
    return re.compile(f"({'|'.join(longest_first)})" if longest_first else "((?!))")


def _parts(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, bool]]:
    """Yield what a text consists of, and of each part whether it matches."""
    for i, part in enumerate(pattern.split(text)):
        yield part, i % 2 == 1


@cache
def _word() -> re.Pattern[str]:
    """Return the pattern of a word: an English ending, letters, one digit, or other signs."""
    ranges: dict[str, str] = defaultdict(str)
    every = map(chr, range(sys.maxunicode + 1))
    for kind, run in groupby(every, lambda character: unicodedata.category(character)[0]):
        first, *rest = run
        ranges[kind] += f"{first}-{rest[-1]}" if rest else first
    letters, numbers = ranges["L"], ranges["N"]
    special = "|".join(map(re.escape, (START, END)))
    return re.compile(
        f"{special}|'s|'t|'re|'ve|'m|'ll|'d|[{letters}]+|[{numbers}]|[^ {letters}{numbers}]+"
    )
