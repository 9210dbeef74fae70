"""Item ids as one column: their order breaks ties, and a keyed hash of each draws by chance.

A draw by a keyed hash of the id owes nothing to the order of rows, to the number of threads or to
how a pool is cut into partitions; and whoever has the key can compute it again, item by item.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sampling.errors import BadPool

UInt64 = NDArray[np.uint64]
Ids: TypeAlias = "Sequence[str] | NDArray[np.str_] | pa.Array | pa.ChunkedArray"

KEY_BYTES = 16
_NO_KEY = bytes(KEY_BYTES)


class ItemIds:
    """N distinct strings.

    Raises:
        BadPool: one is not a string, or there twice.
    """

    def __init__(self, item_ids: Ids) -> None:
        self.column = _column(item_ids)
        self.digests = _digests(self.column)
        _check_distinct(self.column, self.digests)

    def __len__(self) -> int:
        return len(self.column)

    @cached_property
    def strings(self) -> tuple[str, ...]:
        return tuple(self.column.to_pylist())

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """Shape (N,): the rows in the order of their ids, by code point."""
        return _positions(pc.sort_indices(self.column))

    def of(self, rows: NDArray[np.intp]) -> tuple[str, ...]:
        return tuple(self.column.take(pa.array(rows)).to_pylist())

    def take(self, rows: NDArray[np.intp]) -> ItemIds:
        part = ItemIds.__new__(ItemIds)
        part.column = self.column.take(pa.array(rows))
        part.digests = self.digests[rows]
        return part

    def lowest(self, rows: NDArray[np.intp], *, limit: int) -> NDArray[np.intp]:
        """The `limit` of these rows that come first in the order of ids, in that order."""
        ids = self.column.take(pa.array(rows))
        if limit < len(rows):
            first = pc.select_k_unstable(ids, k=limit, sort_keys=[("ids", "ascending")])
        else:
            first = pc.sort_indices(ids)
        chosen: NDArray[np.intp] = rows[_positions(first)]
        return chosen

    def ranks(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Shape of `rows`: the place of each among these rows in the order of ids."""
        ranks = np.empty(len(rows), dtype=np.intp)
        ranks[_positions(pc.sort_indices(self.column.take(pa.array(rows))))] = np.arange(len(rows))
        return ranks

    def uniforms(self, key: bytes) -> NDArray[np.float64]:
        """Shape (N,), in (0, 1): a number for each id that anyone with the key can compute again.

        Args:
            key: 16 bytes.

        Source: SipHash-1-3 (Aumasson and Bernstein, 2012) under `key` of the eight bytes, low
        first, of the id's own SipHash-1-3 under a key of zeros; its upper 52 bits and a half,
        over 2**52: exact in float64, and never 0 or 1.
        """
        from sampling import kernels  # loading numba takes half a second; most commands need none

        drawn: NDArray[np.float64] = kernels.uniforms(self.digests, *_halves(key))
        return drawn

    def lowest_uniforms(
        self, key: bytes, *, limit: int, below: float = 0.0
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Of `uniforms` the lowest: rows in their order, and each one's number.

        The `limit` lowest are among them, all below `below`, and few others: so few of a large
        pool that drawing from it costs little more than the hash.
        """
        from sampling import kernels

        limit = min(limit, len(self))
        # Six standard deviations more than wanted: once in a billion draws it has to look again.
        bar = max(below, (limit + 6.0 * np.sqrt(limit) + 18.0) / max(len(self), 1))
        while True:
            rows, numbers, _ = kernels.uniforms_below(self.digests, *_halves(key), bar)
            if len(rows) >= limit:
                return rows, numbers
            bar *= 2.0


def _column(item_ids: Ids) -> pa.Array:
    if isinstance(item_ids, str):
        raise BadPool("item_ids is one string; give a sequence of ids")
    given: Any = item_ids
    if isinstance(given, np.ndarray) and given.dtype.kind in "UT":
        given = given.tolist()  # as it is, Arrow would end each at its first NUL
    elif not isinstance(given, pa.Array | pa.ChunkedArray | np.ndarray):
        given = list(given)
    try:
        # Arrow has to see for itself what it is given: told to make text, it takes bytes for it.
        column = pa.array(given) if isinstance(given, list | np.ndarray) else given
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as cause:
        raise _not_strings(given) from cause
    if column.null_count or (len(column) and not _is_text(column.type)):
        raise _not_strings(given)
    column = column.cast(pa.large_string())  # before they are one: chunks may pass 2 GB together
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def _not_strings(item_ids: Any) -> BadPool:
    for row, item_id in enumerate(item_ids):
        plain = item_id.as_py() if isinstance(item_id, pa.Scalar) else item_id
        if not isinstance(plain, str):
            kind = type(plain).__name__
            return BadPool(f"item_ids[{row}] is {kind}, not str; turn the ids into strings")
        if any("\ud800" <= letter <= "\udfff" for letter in plain):
            return BadPool(
                f"item_ids[{row}] cannot be written as UTF-8 (half a surrogate pair is in it); "
                "read the ids again with the right encoding"
            )
    return BadPool("the item ids are no column of strings; turn them into strings")


def _check_distinct(column: pa.Array, digests: UInt64) -> None:
    ordered = np.sort(digests)
    shared = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(shared):
        return
    # Equal digests are almost surely equal ids; only the strings can tell.
    rows = np.flatnonzero(np.isin(digests, shared))
    seen: dict[str, int] = {}
    for row, item_id in zip(rows.tolist(), column.take(pa.array(rows)).to_pylist(), strict=True):
        if item_id in seen:
            raise BadPool(
                f"item {item_id} is in the pool twice (rows {seen[item_id]} and {row}); "
                "keep one row an item"
            )
        seen[item_id] = row


def _digests(column: pa.Array) -> UInt64:
    _validity, offsets, text = column.buffers()
    if not len(column):
        return np.empty(0, dtype=np.uint64)
    ends = np.frombuffer(offsets, dtype=np.int64)[column.offset : column.offset + len(column) + 1]
    letters = np.frombuffer(text or b"\0", dtype=np.uint8)
    from sampling import kernels

    digests: UInt64 = kernels.hash_strings(letters, ends, *_halves(_NO_KEY))
    return digests


def _positions(found: pa.Array) -> NDArray[np.intp]:
    places: NDArray[np.intp] = found.to_numpy(zero_copy_only=False).astype(np.intp)
    return places


def _halves(key: bytes) -> tuple[np.uint64, np.uint64]:
    if len(key) != KEY_BYTES:
        raise ValueError(f"the key has {len(key)} bytes; give {KEY_BYTES}")
    low, high = np.frombuffer(key, dtype="<u8")
    return np.uint64(low), np.uint64(high)
