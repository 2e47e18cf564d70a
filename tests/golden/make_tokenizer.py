"""Writes tokenizer.npz: ids that transformers' CLIPTokenizer gives to 1,000 texts of all kinds.

pip install transformers==5.24.0 tokenizers==0.23.3 diffusers==0.42.1 torch==2.13.0
pip download --no-deps open-clip-torch==3.3.0 && unzip open_clip_torch-3.3.0-py3-none-any.whl
python tests/golden/make_tokenizer.py open_clip/bpe_simple_vocab_16e6.txt.gz

Once with CLIP's vocabulary, which is data of its own, and once with a small one that is written
down here: of every byte and of 38 merges. Of the small one the files are kept too.
"""

import gzip
import json
import sys
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
from diffusers.loaders import TextualInversionLoaderMixin
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

LENGTH = 77
SMALL = (
    "t h|th e</w>|i n|a n|r e|e r|in g</w>|an d</w>|o n</w>|c h|e s|es t</w>|ch est</w>|x -|r a|"
    "ra y</w>|l u|n g</w>|lu ng</w>|g g|g g</w>|gg gg|1 2|' s</w>|' l|'l l</w>|. .|. .</w>|.. ..|"
    "! !</w>|Ã ¤|Ã¤ n|í ķ|íķ ľ</w>|ð Ł|ðŁ ĺ|f i|fi l"
)
WORDS = {
    "English": "chest x-ray showing clear lungs pneumothorax cardiomegaly left-sided no effusion "
    "a an the MRI of Brain tumor film it's I'll we've they're don't I'm he'd 'S O'Neill "
    "rock'n'roll",
    "numbers": "0 7 12 2024 3.14 1e-5 50% $9.99 -40°C 3/4 10,000 v1.5 2x3 ½ ²³ Ⅷ ⅷ ① ㊿ ４５ ٣٤ ५ "
    "〇 十 ௧",
    "signs": '... !!! ?! -- ——  ,;: (a) [b] {c} <d> #tag @you a/b\\c ** ~ `x` "y" «z» „w“ ’s ‘t’ '
    "& | || ^^ :-) 'tis '' ''s !'s ¿qué? ± µ × ÷ © § ¶ ¡",
    "Latin": "Röntgen größe naïve café élève España São Łódź Þór Đorđe ﬁlm ŒUVRE ǅ ĳ ŉ ß ẞ "
    "İstanbul ISPARTA ısı I\u0307 ſt \u212a Å ｆｕｌｌ ＷＩＤＥ",
    "combining": "e\u0301 cafe\u0301 A\u030a n\u0303 o\u0308 \u1100\u1161\u11a8 a\u0323\u0302 "
    "q\u0307\u0323 \u0301 x\u0336y\u0336 \u212b \u2126 \u0958 \ufb2a u\u0308\u0304",
    "Korean": "흉부 엑스레이 폐렴 정상 심장 비대 뇌종양 자기공명영상 한국어 ㅋㅋㅋ ㄱ 강아지가 "
    "12개",
    "Chinese": "胸部 X光片 肺炎 正常 肺癌 第十二 三〇 繁體字 「引用」 ，。！ 𠮷野家",
    "Japanese": "胸部レントゲン ひらがな カタカナ ｶﾀｶﾅ ガ カ\u3099 ー 々 東京2020",
    "Greek": "ΣΑΣ ΟΔΥΣΣΕΥΣ Σ σς ἄλφα Ω ΐ Ϊ\u0301 ᾼ ᾈ πνεύμονας",
    "Cyrillic": "Рентген ГРУДНАЯ клетка ёлка Й й Ѐ ӑ п’ять Ѣ",
    "right to left": "אשעה צילום חזה שָׁלוֹם صدر الأشعة السِّينية ٢٠٢٤ ﷺ ܫܠܡܐ \u200fab\u200e",
    "Indic and Thai": "छाती का एक्स-रे क्षत्रिय বুক মার্গ தமிழ் สวัสดี เอกซเรย์ ປອດ មនុស្ស ཀྵ",
    "emoji": "😀 🫁 ❤\ufe0f ❤ 👩\u200d⚕\ufe0f 👨\u200d👩\u200d👧\u200d👦 🏳\ufe0f\u200d🌈 🇰🇷 🇩🇪 "
    "👍🏽 1\ufe0f\u20e3 ☠\ufe0f ✓ ★ ♥♥ 🩻x 😀😀",
    "spaces": "a\tb c\nd e\r\nf g\u00a0h i\u200bj k\u3000l m\u2009n o\u2028p q\u0085r s\u000bt "
    "u\ufeffv w\u202fx y\u180ez a\u1680b",
    "control": "a\x00b \x01 c\x1cd e\x1ff \x7f g\x80h \x9f \u00adsoft \u2060 \ufffd \ufffe \ue000 "
    "\U000f0000 \U0010ffff \u202eabc",
    "special": "<|endoftext|> <|startoftext|> a<|endoftext|>b <|ENDOFTEXT|> <|StartOfText|>> "
    "!<|ENDOFTEXT|>! <|end <|endoftext|>'s </w> a</w> <|ENDOFTEXT|><|endoftext|> <film> <film>_1",
    "mathematics": "𝐁𝐨𝐥𝐝 𝒳 𝟙𝟚 ∑∫√ ≤≥ ℝ ℵ x² H₂O ∞ ¼",
}
PROMPTS = (
    "A {} b",
    "  {}  ",
    "{}",
    "photo of {}, 4k",
    "{}{}",
    "{} {}",
    "{}.{}!",
    "'{}'",
    "{}'s {}",
)
PLACEHOLDERS = {"<film>": 3, "charturner": 1, "<Old-Style>": 1, "흉부": 2}
EMBEDDED = (
    "a <film> of a chest",
    "<film>",
    "a<film>b <film><film>",
    "  a   <film>\n,<film>!",
    "one <film>_1 alone and <film>_2",
    "<film>_3 is no such",
    "charturner, charturnerv2, ReCharTurnerX",
    "an <Old-Style> film, an <OLD-style>  film",
    "흉부 흉부의",
    "<|endoftext|><film><|startoftext|>",
    "no placeholder at all",
    "long " * 73 + "<film> cut",
)


def texts() -> list[str]:
    """Return 1,000 texts: every word alone, in prompts, random characters, over-long ones."""
    random = np.random.RandomState(0)
    words = {kind: of.split(" ") for kind, of in WORDS.items()}
    every = [word for of in words.values() for word in of]
    out = ["", " ", "\n\t", *every]
    while len(out) < 700:
        of = every if random.rand() < 0.4 else words[random.choice(list(words))]
        picked = [of[random.randint(len(of))] for _ in range(2)]
        out.append(PROMPTS[random.randint(len(PROMPTS))].format(*picked))
    while len(out) < 750:
        out.append(" ".join(every[random.randint(len(every))] for _ in range(random.randint(3, 9))))
    # of Unicode 3.2 alone: no version of Python or of the reference classes these otherwise
    assigned = [c for c in range(1, 0x30000) if unicodedata.ucd_3_2_0.category(chr(c)) != "Cn"]
    assigned = [c for c in assigned if not 0xD800 <= c < 0xF900]
    while len(out) < 950:
        codes = random.choice(assigned, random.randint(1, 9))
        out.append("".join(map(chr, codes)))
    while len(out) < 1000:
        of = words[random.choice(list(words))] if random.rand() < 0.5 else every
        out.append(" ".join(of[random.randint(len(of))] for _ in range(random.randint(20, 60))))
    return out


def small() -> tuple[dict[str, int], list[str]]:
    """Return the small vocabulary, ids in an order of its own, and its merges."""
    alphabet = sorted(ByteLevel.alphabet())
    merges = SMALL.split("|")
    pieces = ["<|startoftext|>", *alphabet, *(letter + "</w>" for letter in alphabet)]
    pieces += [*("".join(merge.split()) for merge in merges), "<|endoftext|>"]
    return {piece: i for i, piece in enumerate(pieces)}, merges


def clip(file: str) -> tuple[dict[str, int], list[str]]:
    """Return CLIP's vocabulary and merges, from the file that OpenAI published."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    alphabet = [chr(byte) for byte in visible] + [chr(256 + i) for i in range(256 - len(visible))]
    merges = gzip.decompress(Path(file).read_bytes()).decode().split("\n")[1:48895]
    pieces = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    pieces += [*("".join(merge.split()) for merge in merges), "<|startoftext|>", "<|endoftext|>"]
    return {piece: i for i, piece in enumerate(pieces)}, merges


def tokenizer(folder: Path, vocabulary: dict[str, int], merges: list[str], **options):
    folder.mkdir(exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", "utf-8")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=LENGTH, **options)


def ids(tokenizer, texts):
    """Return ids as diffusers asks for them."""
    options = {"padding": "max_length", "truncation": True, "max_length": LENGTH}
    return np.array(tokenizer(texts, **options).input_ids, np.uint16)


def cut(tokenizer, texts):
    """Return what diffusers says was cut off."""
    whole = tokenizer(texts).input_ids
    return tokenizer.batch_decode([one[LENGTH - 1 : -1] for one in whole])


def packed(value) -> np.ndarray:
    return np.frombuffer(json.dumps(value, ensure_ascii=False).encode(), np.uint8)


def main() -> None:
    every = texts()
    assert len(every) == 1000
    golden = {"texts": packed(every), "embedded": packed(EMBEDDED)}
    golden["placeholders"] = packed(PLACEHOLDERS)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, (vocabulary, merges) in (("small", small()), ("clip", clip(sys.argv[1]))):
            read = tokenizer(folder / name, vocabulary, merges)
            golden[f"{name}_ids"] = ids(read, every)
            golden[f"{name}_cut"] = packed(cut(read, every[-50:]))
            bang = tokenizer(folder / name, vocabulary, merges, pad_token="!")
            golden[f"{name}_pad_ids"] = ids(bang, every[::10])
            if name == "small":
                saved = folder / "saved"
                read.save_pretrained(saved)
                golden["small_files"] = packed(
                    {file.name: file.read_text("utf-8") for file in sorted(saved.iterdir())}
                    | {file.name: file.read_text("utf-8") for file in (folder / name).iterdir()}
                )
            for word, n in PLACEHOLDERS.items():  # as load_textual_inversion does
                for token in [word, *(f"{word}_{i}" for i in range(1, n))]:
                    read.add_tokens(token)
            prompts = TextualInversionLoaderMixin().maybe_convert_prompt(list(EMBEDDED), read)
            golden[f"{name}_embedded_ids"] = ids(read, prompts)
            golden[f"{name}_embedded_cut"] = packed(cut(read, prompts))
    np.savez_compressed(Path(__file__).with_name("tokenizer.npz"), **golden)


if __name__ == "__main__":
    main()
