"""Text to hashed n-grams: the same row for the same text, whatever it is batched with.

Words (1-2 grams) and characters inside words (2-5 grams, padded by a space) are hashed with fixed
constants into two blocks of buckets. Nothing here depends on Python's salted `hash`; it does depend
on Python's Unicode tables, whose version the bundle keeps.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hitl.training.recipe import FeatureRecipe

# Any change to what a text hashes to is a new version: an older bundle must not be read with it.
FEATURE_VERSION = 1

# Planes 0 to 3 hold every letter and symbol there is; the rest is tags and private use.
_ASSIGNED_PLANES = 0x40000
_SPACE = 32
_OTHER, _WORD, _SYMBOL = 0, 1, 2
# Odd 64-bit constants: the golden ratio's, and those of the splitmix64 finaliser (Steele, Lea and
# Flood, 2014). An odd step has an inverse modulo 2**64, which the word hash divides by.
_STEP = 0x9E3779B97F4A7C15
_STEP_INVERSE = pow(_STEP, -1, 1 << 64)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_CHUNK_TEXTS = 1024
_CHUNK_CHARACTERS = 400_000
# Invisible characters are dropped: they are how a word is hidden from a filter.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]")

UInt64 = NDArray[np.uint64]
Int64 = NDArray[np.int64]


def normalise(text: str, *, max_characters: int) -> str:
    """Cut, compatibility-fold (NFKC), lower-case; single spaces; invisible characters dropped.

    Cut before folding, so that a huge text costs nothing, and after, because folding can expand.
    """
    folded = text[:max_characters]
    if not folded.isascii():
        folded = _INVISIBLE.sub("", unicodedata.normalize("NFKC", folded))
    return " ".join(folded.lower()[:max_characters].split())


@dataclass(frozen=True)
class Vocabulary:
    """The kept buckets (sorted ids, words below 2**bits and characters above) and their weights."""

    buckets: Int64  # (D,)
    idf: NDArray[np.float32]  # (D,)
    recipe: FeatureRecipe

    def __len__(self) -> int:
        return len(self.buckets)

    def rows(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """TF-IDF rows (N, D), float32: sublinear counts, each block scaled to length 1."""
        parts = [self._weigh(c) for c in _count(texts, self.recipe, self._column_of, len(self))]
        if not parts:
            parts = [sparse.csr_matrix(np.zeros((0, len(self)), dtype=np.float32))]
        stacked: sparse.csr_matrix = sparse.vstack(parts, format="csr")
        return stacked

    @functools.cached_property
    def _column_of(self) -> NDArray[np.int32]:
        """By bucket, its column; -1 for one that was not kept."""
        columns = np.full(2 << self.recipe.bits, -1, dtype=np.int32)
        columns[self.buckets] = np.arange(len(self.buckets), dtype=np.int32)
        return columns

    def _weigh(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        values = (1.0 + np.log(counts.data)) * self.idf[counts.indices]
        words = int(np.searchsorted(self.buckets, 1 << self.recipe.bits))
        row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        block = row * 2 + (counts.indices >= words)
        squares = np.bincount(block, weights=values**2, minlength=2 * counts.shape[0])
        values /= np.sqrt(squares)[block]
        counts.data = values.astype(np.float32)
        return counts


def learn_vocabulary(
    texts: Sequence[str], recipe: FeatureRecipe
) -> tuple[Vocabulary, sparse.csr_matrix]:
    """The vocabulary of these texts, and their rows (N, D) under it."""
    space = 2 << recipe.bits
    parts = list(_count(texts, recipe, None, space))
    counts = sparse.vstack(parts, format="csr")
    items = np.bincount(counts.indices, minlength=space)
    words = _most_frequent(items[: space // 2], recipe.min_items, recipe.max_word_buckets)
    chars = _most_frequent(items[space // 2 :], recipe.min_items, recipe.max_char_buckets)
    buckets = np.concatenate([words, chars + space // 2])
    if not len(buckets):
        buckets = np.zeros(1, dtype=np.int64)  # an idle column: no texts, or none alike
    idf = np.log((1.0 + len(texts)) / (1.0 + items[buckets])) + 1.0
    vocabulary = Vocabulary(buckets, idf.astype(np.float32), recipe)

    columns = vocabulary._column_of[counts.indices]
    kept = columns >= 0
    before = np.concatenate([[0], np.cumsum(kept)])
    narrow = sparse.csr_matrix(
        (counts.data[kept], columns[kept], before[counts.indptr]),
        shape=(len(texts), len(buckets)),
    )
    return vocabulary, vocabulary._weigh(narrow)


def _most_frequent(items: Int64, least: int, limit: int) -> Int64:
    kept = np.flatnonzero(items >= least)
    if len(kept) > limit:
        # Ties break by bucket id, so that the choice does not depend on the sort.
        kept = np.sort(kept[np.lexsort((kept, -items[kept]))[:limit]])
    return kept


def _count(
    texts: Sequence[str],
    recipe: FeatureRecipe,
    column_of: NDArray[np.int32] | None,
    width: int,
) -> Iterator[sparse.csr_matrix]:
    """Counts (n, width) of consecutive chunks of the texts, columns in order within a row."""
    for chunk in _chunks(texts, recipe.max_characters):
        rows, buckets = _grams(chunk, recipe)
        if column_of is not None:
            columns = column_of[buckets]
            known = columns >= 0
            rows, buckets = rows[known], columns[known].astype(np.int64)
        keys: NDArray[Any] = rows * np.int64(width) + buckets
        if len(chunk) * width <= 1 << 32:
            keys = keys.astype(np.uint32)  # sorts twice as fast
        keys.sort()
        first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
        counts = np.diff(np.append(first, len(keys))).astype(np.float32)
        row, column = np.divmod(keys[first], keys.dtype.type(width))
        starts = np.searchsorted(row, np.arange(len(chunk) + 1))
        yield sparse.csr_matrix(
            (counts, column.astype(np.int32), starts), shape=(len(chunk), width)
        )


def _chunks(texts: Sequence[str], max_characters: int) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for text in texts:
        text = normalise(text, max_characters=max_characters)
        chunk.append(text)
        size += len(text) + 2
        if len(chunk) == _CHUNK_TEXTS or size >= _CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _grams(texts: list[str], recipe: FeatureRecipe) -> tuple[NDArray[np.int32], Int64]:
    """Every n-gram of every text: its row in `texts` and its bucket."""
    lengths = np.fromiter((len(t) + 2 if t else 0 for t in texts), np.int64, len(texts))
    # Each text stands between two spaces; that is what keeps a gram from crossing to the next.
    joined = "".join(f" {t} " for t in texts if t).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(joined, dtype=np.uint32)
    row_of = np.repeat(np.arange(len(texts), dtype=np.int32), lengths)
    rows: list[NDArray[np.int32]] = []
    buckets: list[Int64] = []
    for at, hashes in _word_grams(codes, row_of, recipe.word_grams):
        rows.append(row_of[at])
        buckets.append(_bucket(hashes, recipe.bits))
    for at, hashes in _char_grams(codes, recipe.char_grams):
        rows.append(row_of[at])
        buckets.append(_bucket(hashes, recipe.bits) + (1 << recipe.bits))
    return np.concatenate(rows), np.concatenate(buckets)


def _char_grams(
    codes: NDArray[np.uint32], sizes: tuple[int, int]
) -> Iterator[tuple[Int64, UInt64]]:
    """Start and hash of each run of `sizes` characters that has a space at its ends only."""
    wide = codes.astype(np.uint64)
    space = codes == _SPACE
    hashes = wide + np.uint64(1)
    clean: NDArray[np.bool_] = np.ones(len(codes), dtype=bool)
    for size in range(2, sizes[1] + 1):
        hashes = hashes[:-1] * np.uint64(_STEP) + wide[size - 1 :]
        clean = clean[:-1]
        if size == 2:
            # Two spaces in a row are the seam between two texts.
            clean = clean & ~(space[:-1] & space[1:])
        else:
            clean = clean & ~space[size - 2 : len(space) - 1]
        if size >= sizes[0]:
            at = np.flatnonzero(clean)
            yield at, hashes[at]


def _word_grams(
    codes: NDArray[np.uint32], row_of: NDArray[np.int32], longest: int
) -> Iterator[tuple[Int64, UInt64]]:
    """Start and hash of each run of 1 to `longest` tokens within a text."""
    kind = _kinds()[codes]
    word = kind == _WORD
    symbol = kind == _SYMBOL
    # The first and last code of the batch are spaces, so rolling round is harmless.
    starts = np.flatnonzero(symbol | (word & ~np.roll(word, 1)))
    ends = np.flatnonzero(symbol | (word & ~np.roll(word, -1)))
    # A token's hash is a difference of prefix sums, divided by the power of its place: exact
    # modulo 2**64, so it does not depend on where in the batch the token stands.
    powers = np.multiply.accumulate(np.full(len(codes), _STEP, dtype=np.uint64))
    inverse = np.multiply.accumulate(np.full(len(codes), _STEP_INVERSE, dtype=np.uint64))
    prefix: UInt64 = np.cumsum(codes.astype(np.uint64) * powers, dtype=np.uint64)
    tokens = _mixed((prefix[ends] - prefix[starts - 1]) * inverse[starts])
    grams = tokens
    for size in range(1, longest + 1):
        if size > 1:
            grams = grams[:-1] * np.uint64(_STEP) + tokens[size - 1 :]
        within = row_of[starts[: len(grams)]] == row_of[starts[size - 1 :]]
        yield starts[: len(grams)][within], grams[within]


def _mixed(hashes: UInt64) -> UInt64:
    hashes = (hashes ^ (hashes >> np.uint64(30))) * _MIX_1
    hashes = (hashes ^ (hashes >> np.uint64(27))) * _MIX_2
    return hashes ^ (hashes >> np.uint64(31))


def _bucket(hashes: UInt64, bits: int) -> Int64:
    return (_mixed(hashes) >> np.uint64(64 - bits)).astype(np.int64)


@functools.cache
def _kinds() -> NDArray[np.uint8]:
    """By code point: part of a word (letter, number, mark, _), a token of its own, or neither."""
    kinds = np.zeros(sys.maxunicode + 1, dtype=np.uint8)
    for code in range(_ASSIGNED_PLANES):
        category = unicodedata.category(chr(code))
        if category[0] in "LNM" or code == 0x5F:
            kinds[code] = _WORD
        elif category == "So":
            kinds[code] = _SYMBOL
    return kinds
