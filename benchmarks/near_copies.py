"""Invented texts, and near copies of them: what people change when they post a thing again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

_SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "el", "or")]
_CYRILLIC = [a + b for a in "бвгдклмнпрст" for b in ("а", "е", "и", "о", "у", "ан")]
_ARABIC = [a + b for a in "بتجدرسعفقكلم" for b in ("ا", "و", "ي", "ان")]
_HANGUL = [chr(code) for code in range(0xAC00, 0xAC00 + 400)]
_HAN = [chr(code) for code in range(0x4E00, 0x4E00 + 600)]


def _worded(syllables: list[str]) -> Callable[[Generator, int], str]:
    def made(rng: Generator, words: int) -> str:
        return " ".join(
            "".join(rng.choice(syllables, size=rng.integers(1, 4))) for _ in range(words)
        )

    return made


def _signs(rng: Generator, words: int) -> str:
    return "".join(rng.choice(_HAN, size=2 * words))


LANGUAGES: dict[str, Callable[[Generator, int], str]] = {
    "latin": _worded(_SYLLABLES),
    "cyrillic": _worded(_CYRILLIC),
    "arabic": _worded(_ARABIC),
    "hangul": _worded(_HANGUL),
    "han": _signs,
}


def shouted(text: str, rng: Generator) -> str:
    return text.upper() + "!!!"


def with_a_link(text: str, rng: Generator) -> str:
    return f"{text} https://example.org/{rng.integers(1 << 30)}?from=me"


def dressed_up(text: str, rng: Generator) -> str:
    return "...".join(["", *text.split(), ""]) + " @somebody"


def with_invisible_characters(text: str, rng: Generator) -> str:
    return text.replace(" ", "\u200b \u00ad").replace("a", "a\u200d")


def fullwidth(text: str, rng: Generator) -> str:
    return text.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)})


def with_a_word_changed(text: str, rng: Generator) -> str:
    if " " not in text:
        place = int(rng.integers(len(text)))
        return text[:place] + "".join(rng.choice(_HAN, size=1)) + text[place + 1 :]
    words = text.split()
    words[int(rng.integers(len(words)))] = str(rng.choice(_SYLLABLES)) * 2
    return " ".join(words)


def with_a_slip(text: str, rng: Generator) -> str:
    place = int(rng.integers(1, len(text) - 1))
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def with_a_call_at_the_end(text: str, rng: Generator) -> str:
    return text + (" now!" if " " in text else "！")


CHANGES = {
    one.__name__: one
    for one in (
        shouted,
        with_a_link,
        dressed_up,
        with_invisible_characters,
        fullwidth,
        with_a_word_changed,
        with_a_slip,
        with_a_call_at_the_end,
    )
}


def vocabulary(rng: Generator, *, words: int = 20_000) -> list[str]:
    """Invented words of one to three syllables."""
    drawn = rng.choice(_SYLLABLES, size=(words, 3))
    lengths = rng.integers(1, 4, size=words).tolist()
    return ["".join(row[:size]) for row, size in zip(drawn.tolist(), lengths, strict=True)]


def written(rng: Generator, words: list[str], length: int) -> str:
    """A text of so many of these words."""
    return " ".join([words[one] for one in rng.integers(len(words), size=length).tolist()])


def wave(rng: Generator, count: int, *, words: int = 30) -> list[str]:
    """Copies of one text, each changed in two ways or none."""
    text = LANGUAGES["latin"](rng, words)
    made = []
    for _ in range(count):
        copy = text
        for change in rng.choice(list(CHANGES), size=rng.integers(0, 3), replace=False):
            copy = CHANGES[str(change)](copy, rng)
        made.append(copy)
    return made


def different(rng: Generator, count: int, *, words: int = 25) -> list[str]:
    """Texts that have nothing in common, in all languages by turns."""
    made = list(LANGUAGES.values())
    return [made[k % len(made)](rng, int(rng.integers(6, words))) for k in range(count)]


def shuffled(rng: Generator, texts: list[str]) -> list[str]:
    return [texts[row] for row in np.asarray(rng.permutation(len(texts)))]
