"""What of a text is compared: its letters, numbers and symbols, however they are dressed up."""

from __future__ import annotations

import re
import unicodedata

# A link or a name ends where ASCII ends: in scripts without spaces, words follow it directly.
# Starts are anchored and lengths bounded, so that no text makes the search quadratic.
_LINK = re.compile(
    r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{1,15}://[!-~]+|www\.[!-~]+"
    r"|(?<![a-z0-9.-])(?:[a-z0-9-]{1,63}\.){1,10}[a-z]{2,24}/[!-~]*"
)
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
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    bare = folded
    # Most texts have neither, and looking for a character is far cheaper than the search.
    if "/" in bare or "www." in bare:
        bare = _LINK.sub(" ", bare)
    if "@" in bare:
        bare = _MENTION.sub(" ", bare)
    kept = " ".join(_STRETCHED.sub(r"\1\1", bare.translate(_TABLE)).split())
    return kept or "".join(folded.split())
