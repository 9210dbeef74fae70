"""Which texts speak of a group of people, by words that the user of the loop has listed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from hitl.evaluation.arrays import BoolArray
from hitl.folding import folded


def speaks_of(texts: Sequence[str], terms: Mapping[str, Sequence[str]]) -> dict[str, BoolArray]:
    """For each name of `terms`, shape (N,): does the text hold one of its words.

    Whole words and phrases, whatever their case and width, and however many spaces are between
    those of a phrase. A text may be of several names.
    """
    plain = [folded(text) for text in texts]
    found = {}
    for name, words in terms.items():
        pattern = _pattern(words)
        found[name] = np.array([pattern.search(text) is not None for text in plain], dtype=bool)
    return found


def _pattern(words: Sequence[str]) -> re.Pattern[str]:
    """Longest first, so that no word hides a longer one. A word's ends are where no letter, digit
    or underscore follows; scripts without spaces have no such ends inside a sentence."""
    listed = sorted({folded(word).strip() for word in words}, key=lambda word: (-len(word), word))
    either = "|".join(r"\s+".join(re.escape(part) for part in word.split()) for word in listed)
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)")
