"""A text as the set of its short runs of characters, each a hash of 64 bits; many texts at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

UInt64 = NDArray[np.uint64]
Codes = NDArray[np.uint32]

LETTERS = 4
"""Characters of a run in scripts that spell sounds: with fewer, strangers have much in common; with
more, a slip changes much of a short text."""

SIGNS = 2
"""And in scripts where one sign says what a syllable or a word does."""

# Han and what stands beside it, kana, Bopomofo, Yi; Hangul syllables; Han past the first plane.
_SIGNS = (
    (0x2E80, 0xA4CF),
    (0xAC00, 0xD7AF),
    (0xF900, 0xFAFF),
    (0x1F200, 0x1F2FF),
    (0x20000, 0x3FFFF),
)
_SPACE = 0x20
_STEP = np.uint64(0x9E3779B97F4A7C15)


def shingles(texts: Sequence[str]) -> tuple[UInt64, UInt64]:
    """The runs of each text, one text after the other.

    Returns:
        Their hashes, and of each text where it begins, with the end at last: (N + 1,). A text has
        one run at least; a run that stands in it twice is there twice.
    """
    codes, ends = _codes(texts)
    length = np.where(_is_in_signs(codes, ends), SIGNS, LETTERS)
    sizes = np.diff(ends)
    length = np.clip(np.minimum(length, sizes), 1, None)  # a short text is one run
    # Past the last text, so that a run may be read from anywhere.
    padded = np.concatenate([codes, np.zeros(LETTERS, dtype=np.uint32)]).astype(np.uint64)
    runs = np.maximum(sizes - length + 1, 1)
    starts = np.concatenate([[0], np.cumsum(runs)])
    of = np.repeat(np.arange(len(sizes)), runs)
    at = ends[:-1][of] + np.arange(starts[-1]) - starts[:-1][of]
    hashes: UInt64 = np.zeros(len(at), dtype=np.uint64)
    for place in range(LETTERS):
        inside = place < np.minimum(length, sizes)[of]
        more = mixed(hashes * _STEP + padded[at + place] + np.uint64(1))
        hashes = np.where(inside, more, hashes)
    return mixed(hashes + length[of].astype(np.uint64)), starts.astype(np.uint64)


def mixed(values: UInt64) -> UInt64:
    """Every bit depends on every bit: the finisher of SplitMix64 (Steele, Lea and Flood, 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _codes(texts: Sequence[str]) -> tuple[Codes, NDArray[np.int64]]:
    """Code points of all texts, and where each begins, with the end at last."""
    ends = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum([len(one) for one in texts], out=ends[1:])
    # A half of a surrogate pair is a code point to us, as it is to Python.
    whole = "".join(texts).encode("utf-32-le", "surrogatepass")
    return np.frombuffer(whole, dtype="<u4"), ends


def _is_in_signs(codes: Codes, ends: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of each text whether most of its characters, but spaces, are signs."""
    is_sign = np.zeros(len(codes), dtype=np.bool_)
    for low, high in _SIGNS:
        is_sign |= (codes >= low) & (codes <= high)

    def count(of: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.diff(np.concatenate([[0], np.cumsum(of)])[ends])

    return 2 * count(is_sign) > count(codes != _SPACE)
