"""A text as the set of its short runs of characters, each a hash of 64 bits; many texts at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitl.twins.compiling import compiled

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
    starts = np.concatenate([[0], np.cumsum(np.maximum(sizes - length + 1, 1))])
    return _hashed(codes, ends, starts, length), starts.astype(np.uint64)


@compiled
def _hashed(codes: Any, ends: Any, starts: Any, length: Any) -> Any:
    hashes = np.empty(starts[-1], dtype=np.uint64)
    for row in range(len(length)):
        size = min(length[row], ends[row + 1] - ends[row])  # 0 where there is nothing at all
        for run in range(starts[row + 1] - starts[row]):
            begin = ends[row] + run
            hashed = np.uint64(0)
            for at in range(begin, begin + size):
                hashed = _mixed(hashed * _STEP + np.uint64(codes[at]) + np.uint64(1))
            hashes[starts[row] + run] = _mixed(hashed + np.uint64(length[row]))
    return hashes


@compiled
def _mixed(value: Any) -> Any:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


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
