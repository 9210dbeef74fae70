"""Spellings that are no difference: the form in which texts are compared for being near copies."""

from __future__ import annotations

import re
import unicodedata

# A link ends where ASCII ends: in scripts without spaces, words follow it directly.
# Starts are anchored and lengths bounded, so that no text makes the search quadratic.
_LINK = re.compile(
    r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{1,15}://[!-~]+|www\.[!-~]+"
    r"|(?<![a-z0-9.-])(?:[a-z0-9-]{1,63}\.){1,10}[a-z]{2,24}/[!-~]*"
)


def folded(text: str) -> str:
    """The text in one case and width: NFKC, case folded, and NFKC of that."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def without_links(text: str) -> str:
    """A folded text with a space for each link in it."""
    # Most texts have none, and looking for a character is far cheaper than the search.
    return _LINK.sub(" ", text) if "/" in text or "www." in text else text
