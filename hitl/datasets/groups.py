"""Near copies of a text get one key, so that a copy of a training text never measures.

What this key cannot see: a word added, left out or replaced, another order of words, look-alike
letters of another script (Cyrillic "а" for Latin "a"), digits in place of letters. Such copies
get different keys and may land on both sides; those that differ in a word are found by the room
`twins`, and parted in `leaks.py`. What it sees too much of: texts that differ in numbers, links or
doubled letters only ("good" and "god") share a key. That costs nothing but a common side.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from hitl.folding import folded, without_links

# A name ends where ASCII ends: in scripts without spaces, words follow it directly.
# What may stand before it is bounded, so that no text makes the search quadratic.
_MENTION = re.compile(r"(?:(?<![a-z0-9_.+-])[a-z0-9_.+-]{1,64})?@[a-z0-9_][a-z0-9_.-]*")
_REPEATED = re.compile(r"(.)\1+", re.DOTALL)

# By Unicode category: letters and the marks that scripts are written with.
_KEPT = ("L", "Mn", "Mc")


class _Kept(dict[int, str | None]):
    """A table for `str.translate` that fills itself: drops what is no letter and no mark."""

    def __missing__(self, code: int) -> str | None:
        letter = chr(code)
        # U+FE0F and its like are marks by category and only choose how an emoji is drawn.
        keeps = unicodedata.category(letter).startswith(_KEPT) and not 0xFE00 <= code <= 0xFE0F
        self[code] = letter if keeps else None
        return self[code]


_KEEP_LETTERS = _Kept()


def group_key(text: str) -> str:
    """The group of a text whose source names none: equal for near copies.

    Compared are the letters alone: NFKC and case folded, without links, mentions, digits,
    punctuation, emoji, spaces and invisible characters, runs of one letter as one. A text without
    any letter is only near to what has the same characters.
    """
    whole = folded(text)
    bare = without_links(whole)
    if "@" in bare:
        bare = _MENTION.sub(" ", bare)
    letters = _REPEATED.sub(r"\1", bare.translate(_KEEP_LETTERS))
    # The two kinds are told apart, or the text "…" could meet a text of the letters of its hash.
    kind, heart = ("letters", letters) if letters else ("text", "".join(whole.split()))
    digest = hashlib.sha256(f"{kind}:{heart}".encode("utf-8", "surrogatepass"))
    return f"near-{digest.hexdigest()[:32]}"


def group_keys(texts: Iterable[str]) -> list[str]:
    """`group_key` of many texts, in their order."""
    return [group_key(one) for one in texts]
