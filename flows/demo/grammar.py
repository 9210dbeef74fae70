"""Invented posts from small grammars: the same words on both sides of the line.

SYNTHETIC. Groups, people and products do not exist. What a sentence is about does not give its
label away: a violating sentence may be quoted to report it, denied, or asked about by someone
who wants to help, and then breaks no rule.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.random import Generator

CATEGORIES = ("hate", "harassment", "spam", "selfharm")
LANGUAGES = ("en", "pt", "de")
SURFACES = ("comments", "bios", "playlists", "podcasts")

_SLOT = re.compile(r"\{([a-z_]+)\}")
_LEET = str.maketrans("aeiost", "431057")
_COINED = frozenset({"group", "person", "site"})
_COINED_PART = 0.45
_PEOPLE = {"en": "ians", "pt": "anos", "de": "ier"}
_SYLLABLES = (
    *("ka", "lo", "mir", "ven", "tas", "ro", "ni", "bel", "dor", "fa", "gu", "hes", "ji", "kol"),
    *("lun", "mo", "nar", "pe", "quo", "ril", "sa", "tev", "ul", "vy", "wen", "xo", "yar", "zim"),
)
_EMOJI = ("🔥", "✨", "😂", "🎧", "💯", "👏", "🙏", "😡", "💸", "❤️", "🤖", "👇")


@dataclass(frozen=True)
class Words:
    """One language: slots by name, and forms by category and kind."""

    slots: dict[str, tuple[str, ...]]
    benign: dict[str, tuple[str, ...]]
    forms: dict[str, dict[str, tuple[str, ...]]]


@cache
def words_of(language: str) -> Words:
    """Read a language's grammar from the file beside this one."""
    body = tomllib.loads(
        (Path(__file__).parent / f"words_{language}.toml").read_text(encoding="utf-8")
    )
    slots = {name: tuple(values) for name, values in (body["slots"] | body["small"]).items()}
    forms = {
        category: {kind: tuple(values) for kind, values in body[category].items()}
        for category in CATEGORIES
    }
    benign = {surface: tuple(values) for surface, values in body["benign"].items()}
    return Words(slots, benign, forms)


@dataclass(frozen=True)
class Speaker:
    """Writes in one language; `is_late` knows the groups, goods and sites of the second half."""

    language: str
    is_late: bool

    def benign(self, rng: Generator, *, surface: str) -> str:
        """Something that has nothing to do with any rule."""
        return self._fill(rng, _one(rng, words_of(self.language).benign[surface]), None)

    def violating(self, rng: Generator, *, category: str) -> str:
        """A sentence that breaks the category's rule."""
        return self._fill(rng, _one(rng, self._forms(category, "say")), category)

    def look_alike(self, rng: Generator, *, category: str) -> str:
        """A sentence with the same words that breaks no rule."""
        kind = "flip" if rng.random() < 0.55 else "near"
        return self._fill(rng, _one(rng, self._forms(category, kind)), category)

    def _forms(self, category: str, kind: str) -> tuple[str, ...]:
        return words_of(self.language).forms[category][kind]

    def _fill(self, rng: Generator, form: str, category: str | None) -> str:
        def word(found: re.Match[str]) -> str:
            name = found.group(1)
            if name == "say":
                assert category is not None  # noqa: S101 - only forms of a category quote
                return self.violating(rng, category=category)
            return self._fill(rng, self._slot(rng, name), category)

        return _SLOT.sub(word, form)

    def _slot(self, rng: Generator, name: str) -> str:
        slots = words_of(self.language).slots
        if name in _COINED and rng.random() < _COINED_PART:
            return self._coined(rng, name)
        if self.is_late and f"{name}_late" in slots and rng.random() < 0.6:
            name = f"{name}_late"
        return _one(rng, slots[name])

    def _coined(self, rng: Generator, name: str) -> str:
        """A name nobody has met before: a model that learns names by heart gets no further."""
        parts = [_SYLLABLES[int(k)] for k in rng.integers(len(_SYLLABLES), size=3)]
        match name:
            case "person":
                return f"@{''.join(parts[:2])}{int(rng.integers(100))}"
            case "site":
                return f"{parts[0]}{parts[1]}-{int(rng.integers(100))}.example"
            case _:
                return "".join(parts).capitalize() + _PEOPLE[self.language]


def _one(rng: Generator, values: tuple[str, ...]) -> str:
    """Earlier values come more often, as words do: the chance falls slowly with the place."""
    return values[int(len(values) * rng.random() ** 1.5)]


def roughen(rng: Generator, text: str, *, strength: float) -> str:
    """Typos, leet, stretched and spaced-out words, capitals and emoji, as people type.

    Args:
        strength: the chance in [0, 1] that a text is touched at all; several touches may meet.
    """
    if rng.random() >= strength:
        return text
    words = text.split(" ")
    for _ in range(1 + int(rng.integers(0, 2))):
        at = int(rng.integers(len(words)))
        word = words[at]
        if len(word) < 4 or word[0] in '@"' or ".example" in word:
            continue
        where = int(rng.integers(1, len(word) - 2))
        touch = int(rng.integers(5))
        if touch == 0:
            word = word.translate(_LEET)
        elif touch == 1:
            word = word[:where] + word[where + 1] + word[where] + word[where + 2 :]
        elif touch == 2:
            word = word[:where] + word[where + 1 :]
        elif touch == 3:
            word = word[:where] + word[where] * 3 + word[where:]
        else:
            word = ".".join(word)
        words[at] = word
    text = " ".join(words)
    extra = rng.random()
    if extra < 0.15:
        text = text.upper()
    elif extra < 0.55:
        text = f"{text} {_EMOJI[int(rng.integers(len(_EMOJI)))]}"
    return text


def copy_with_edits(rng: Generator, text: str, speaker: Speaker) -> str:
    """A near copy, as a wave of spam is made of: another name, number, sign or emoji."""
    edit = int(rng.integers(4))
    if edit == 0:
        return f"{speaker._slot(rng, 'person')} {text}"
    if edit == 1:
        return f"{text} {int(rng.integers(10, 1000))}"
    if edit == 2:
        return f"{text}{'!' * int(rng.integers(1, 4))}"
    signs = np.asarray(_EMOJI)[rng.integers(len(_EMOJI), size=int(rng.integers(1, 3)))]
    return f"{text} {''.join(signs)}"
