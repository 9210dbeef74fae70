"""What of a text is compared: its letters, numbers and symbols, however they are dressed up."""

from __future__ import annotations

import re
import unicodedata

from hitl.folding import folded, without_links

# A name ends where ASCII ends: in scripts without spaces, words follow it directly.
_MENTION = re.compile(r"(?<![a-z0-9_.+-])@[a-z0-9_][a-z0-9_.-]*")
_STRETCHED = re.compile(r"(\w)\1{2,}")

# By Unicode category: letters, the marks that scripts are written with, numbers, symbols.
_KEPT = ("L", "Mn", "Mc", "N", "S")


class _Kept(dict[int, str]):
    """A table for `str.translate` that fills itself."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        category = unicodedata.category(letter)
        if category == "Cf" or 0xFE00 <= code <= 0xFE0F:
            kept = ""  # invisible; or it only chooses how an emoji is drawn
        elif category.startswith(_KEPT):
            kept = letter
        else:
            kept = " "
        self[code] = kept
        return kept


_TABLE = _Kept()


def plain(text: str) -> str:
    """The text in one case and width, without links, mentions, punctuation, invisible characters;
    letters that are stretched stand twice, words are one space apart.

    A text of nothing else is compared by all that it holds but its spaces.
    """
    whole = folded(text)
    bare = without_links(whole)
    if "@" in bare:
        bare = _MENTION.sub(" ", bare)
    kept = " ".join(_STRETCHED.sub(r"\1\1", bare.translate(_TABLE)).split())
    return kept or "".join(whole.split())
