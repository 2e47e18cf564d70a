"""What CLIP's tokenizer knows: pieces of words, and in what order pairs of them are merged.

Words are written in letters that stand for bytes, their last one followed by `</w>`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from common import structured
from common.errors import InputError
from common.files import write_atomic
from common.pretrained.published_weights import CLIP_VOCABULARY
from common.pretrained.weights import weights_path

START, END, END_OF_WORD = "<|startoftext|>", "<|endoftext|>", "</w>"
_VISIBLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = [byte for byte in range(256) if byte not in _VISIBLE]
# the letter of each byte in a vocabulary: itself where it shows, else one of those from U+0100
LETTERS = {byte: chr(byte) for byte in _VISIBLE} | {b: chr(256 + i) for i, b in enumerate(_OTHERS)}
_BYTES = {letter: byte for byte, letter in LETTERS.items()}
_MERGES = 48_894  # of those in the published file; 49,408 pieces with bytes, start and end
_NEVER = 1 << 62  # the rank of two pieces that are not merged
_LONGEST = 1 << 16  # ids of a text; files without a limit state 10^30

Pair = tuple[str, str]


@dataclass(frozen=True)
class Vocabulary:
    """Ids of pieces and ranks of the merges that make them; `added` are names that texts hold.

    `pad` is the piece that fills a text up.
    """

    ids: Mapping[str, int]
    ranks: Mapping[Pair, int]
    pad: str = END
    added: Mapping[str, int] = field(default_factory=dict)

    def encode(self, word: str) -> list[int]:
        """Return a word's ids: merges the first-ranked pair, of equal ones the leftmost, while any.

        A piece that is not in the vocabulary is the end token, as for transformers.
        """
        pieces = [LETTERS[byte] for byte in word.encode()]
        pieces[-1] += END_OF_WORD
        ranks = [self.ranks.get(pair, _NEVER) for pair in pairwise(pieces)]
        while ranks and (first := min(ranks)) != _NEVER:
            i = ranks.index(first)
            pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
            del ranks[i]
            for j in range(max(i - 1, 0), min(i + 1, len(ranks))):
                ranks[j] = self.ranks.get((pieces[j], pieces[j + 1]), _NEVER)
        return [self.ids.get(piece, self.ids[END]) for piece in pieces]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the words of ids with a space after each; parts of a character become U+FFFD."""
        names = {id_: name for name, id_ in (*self.ids.items(), *self.added.items())}
        text = b"".join(map(_bytes, map(names.__getitem__, ids))).decode(errors="replace")
        return text.replace(END_OF_WORD, " ").strip()


def _bytes(piece: str) -> bytes:
    """Return the bytes that a piece's letters stand for; a name with other letters is itself."""
    if all(letter in _BYTES for letter in piece):
        return bytes(map(_BYTES.__getitem__, piece))
    return piece.encode()


def published_vocabulary(path: Path | None = None) -> Vocabulary:
    """Return CLIP's vocabulary, which is Stable Diffusion 1's, from a file or fetched once.

    Raises:
        InputError: there is no file, or it is not CLIP's.
    """
    path = weights_path(CLIP_VOCABULARY, path)
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            lines = file.read().split("\n")[1 : _MERGES + 1]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not CLIP's vocabulary ({error}); fetch it again") from None
    if len(lines) < _MERGES:
        raise InputError(
            f"{path}: not CLIP's vocabulary: {len(lines)} merges, expected at least {_MERGES}; "
            "fetch it again"
        )
    merges = _pairs(path, lines)
    letters = [LETTERS[byte] for byte in (*_VISIBLE, *_OTHERS)]
    ends = [letter + END_OF_WORD for letter in letters]
    pieces = [*letters, *ends, *map("".join, merges), START, END]
    return _vocabulary(path, {piece: i for i, piece in enumerate(pieces)}, merges)


def read_vocabulary(folder: Path) -> tuple[Vocabulary, int | None]:
    """Return the vocabulary of a folder that transformers wrote, and the ids of a text if stated.

    The folder holds tokenizer.json, or vocab.json and merges.txt; tokenizer_config.json,
    special_tokens_map.json and added_tokens.json count where they are.

    Raises:
        InputError: a file is missing, cannot be read, or is another tokenizer's.
    """
    config, special = (
        _json(folder / name) if (folder / name).exists() else {}
        for name in ("tokenizer_config.json", "special_tokens_map.json")
    )
    pad = special.get("pad_token") or config.get("pad_token") or END
    pad = str(pad.get("content")) if isinstance(pad, dict) else str(pad)
    length = config.get("model_max_length")
    stated = isinstance(length, int) and 2 <= length <= _LONGEST
    vocabulary = _vocabulary(*_pieces(folder), pad=pad, added=_added(folder, config))
    return vocabulary, length if stated else None


def write_vocabulary(folder: Path, vocabulary: Vocabulary, length: int) -> None:
    """Write the files that `read_vocabulary` and transformers read."""
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": vocabulary.pad,
        "model_max_length": length,
    }
    merges = [
        "#version: 0.2",
        *map(" ".join, sorted(vocabulary.ranks, key=vocabulary.ranks.__getitem__)),
    ]
    write_atomic(folder / "vocab.json", json.dumps(dict(vocabulary.ids), ensure_ascii=False))
    write_atomic(folder / "merges.txt", "\n".join(merges) + "\n")
    write_atomic(folder / "tokenizer_config.json", json.dumps(config, indent=2) + "\n")
    if vocabulary.added:
        added = json.dumps(dict(vocabulary.added), ensure_ascii=False)
        write_atomic(folder / "added_tokens.json", added)


def _pieces(folder: Path) -> tuple[Path, dict[str, Any], list[Pair]]:
    """Return the file that ids are from, the ids, and the merges."""
    whole, ids, merges = (folder / name for name in ("tokenizer.json", "vocab.json", "merges.txt"))
    if whole.exists():
        model = _json(whole).get("model")
        if not isinstance(model, dict) or model.get("end_of_word_suffix") != END_OF_WORD:
            raise _foreign(whole, f"its model has no end_of_word_suffix {END_OF_WORD}")
        if not isinstance(model.get("vocab"), dict) or not isinstance(model.get("merges"), list):
            raise _foreign(whole, "its model has no vocab or no merges")
        return whole, model["vocab"], _pairs(whole, model["merges"])
    if not ids.exists() or not merges.exists():
        raise InputError(
            f"{folder}: neither tokenizer.json nor both vocab.json and merges.txt there; give the "
            "folder `tokenizer` of a diffusers model"
        )
    lines = [line for line in _text(merges).split("\n") if line and not line.startswith("#version")]
    return ids, _json(ids), _pairs(merges, lines)


def _added(folder: Path, config: dict[str, Any]) -> dict[str, int]:
    """Return names and ids of what was added to a vocabulary, in the order of the ids."""
    whole, legacy = folder / "tokenizer.json", folder / "added_tokens.json"
    try:
        listed = _json(whole).get("added_tokens", []) if whole.exists() else []
        found = {token["content"]: int(token["id"]) for token in listed}
        for id_, token in config.get("added_tokens_decoder", {}).items():
            found[token["content"]] = int(id_)
        for name, id_ in (_json(legacy) if legacy.exists() else {}).items():
            found[name] = int(id_)
    except (AttributeError, KeyError, TypeError) as error:
        raise _foreign(folder, f"its added tokens cannot be read ({error!r})") from None
    return dict(sorted(found.items(), key=lambda token: token[1]))


def _vocabulary(
    path: Path,
    ids: dict[str, Any],
    merges: list[Pair],
    pad: str = END,
    added: Mapping[str, int] | None = None,
) -> Vocabulary:
    """Return a vocabulary, checked: CLIP's in kind, with one id after the other."""
    if not {START, END} <= ids.keys():
        raise _foreign(path, f"without {START} and {END}")
    unknown = {piece for pair in merges for piece in (*pair, "".join(pair))} - ids.keys()
    if unknown:
        raise _foreign(path, f"{min(unknown)!r} of its merges has no id")
    new = {name: id_ for name, id_ in (added or {}).items() if name not in ids}
    if {*ids.values(), *new.values()} != set(range(len(ids) + len(new))):
        raise _foreign(path, f"its {len(ids) + len(new)} ids are not 0, 1, 2, …")
    if pad not in ids:
        raise InputError(f"{path}: pad token {pad!r} has no id; set pad_token to {END}")
    return Vocabulary(ids, {pair: i for i, pair in enumerate(merges)}, pad, new)


def _pairs(path: Path, merges: Any) -> list[Pair]:
    """Return merges as pairs, given strings of two pieces or, as newer files have them, lists."""
    pairs = [tuple(merge.split(" ") if isinstance(merge, str) else merge) for merge in merges]
    for i, pair in enumerate(pairs):
        if len(pair) != 2:
            raise _foreign(path, f"merge {i + 1} is {' '.join(pair)!r}, expected two pieces")
    return pairs


def _json(path: Path) -> dict[str, Any]:
    return structured.read_json(path, "copy the file again")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); copy the file again") from None


def _foreign(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: not a CLIP tokenizer: {reason}; give the model's own file")
