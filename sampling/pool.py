"""The candidates as arrays: what every strategy reads, checked once, with an order of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sampling.errors import BadEmbedding, BadPool, BadProbabilities

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

_SUM_TOLERANCE = 1e-3  # float32 softmax over a few hundred categories stays well inside
_ROWS_PER_BLOCK = 4096  # 6 MB of float32 at D = 384: a block stays in the cache of one core


class Rows(Protocol):
    """A matrix that gives some of its rows when asked."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: IntArray, /) -> NDArray[np.floating[Any]]: ...


class Pool:
    """N candidates: their ids, what the model thinks of them, where they lie.

    Args:
        item_ids: N distinct strings. They, and not the order of the rows, break ties.
        probabilities: shape (N, C), C >= 1, each in [0, 1]. No NaN: what stands for a category
            that the model does not know is the caller's decision (0.5 asks for it, the base rate
            does not), so it is refused here, naming the item and the column.
        embeddings: shape (N, D) or None. Any scale: every use is by direction only. A row of
            zeros means that nothing is known of the item. They are read, and checked for NaN,
            only where a strategy looks at them, so a memory-mapped array is never read whole
            for the sake of a check. Anything with a `shape` that gives rows for an array of row
            numbers will do: one that computes embeddings when they are asked for, too.
        groups: N names or None; a None inside is an item on its own. Items of one group (near
            copies, one creator's posts) rarely teach twice: diverse strategies take one each
            before a second of any.
        exclusive: the categories exclude each other and each row adds up to 1 (C >= 2).
            False: any number of them can hold at once.

    The arrays are not copied and never written to; the caller must not write to them either.

    Raises:
        BadPool: lengths differ, an id is not a string or is there twice, or a shape is wrong.
        BadProbabilities: names the first item and category column that is wrong.
    """

    def __init__(
        self,
        item_ids: Sequence[str],
        probabilities: ArrayLike,
        embeddings: ArrayLike | Rows | None = None,
        groups: Sequence[str | None] | None = None,
        exclusive: bool = False,
    ) -> None:
        ids = tuple(str(item_id) for item_id in _strings(item_ids))
        self._ids = ids
        self._probabilities = _read_only(_as_floats(probabilities))
        self._exclusive = exclusive
        self._by_id = _order_of(ids)
        self._embeddings = None if embeddings is None else _embeddings(embeddings, len(ids))
        # Which rows of `_embeddings` are ours; None: all, in order. Lets `take` copy none of them.
        self._embedding_rows: IntArray | None = None
        self._groups = None if groups is None else _group_codes(groups, len(ids))
        _check_probabilities(self._probabilities, ids, exclusive=exclusive)

    def __len__(self) -> int:
        return len(self._ids)

    def __repr__(self) -> str:
        dimensions = None if self._embeddings is None else self._embeddings.shape[1]
        return (
            f"Pool(items={len(self)}, categories={self._probabilities.shape[1]}, "
            f"dimensions={dimensions}, exclusive={self._exclusive})"
        )

    @property
    def item_ids(self) -> tuple[str, ...]:
        return self._ids

    @property
    def probabilities(self) -> FloatArray:
        """Shape (N, C), read-only."""
        return self._probabilities

    @property
    def exclusive(self) -> bool:
        return self._exclusive

    @property
    def has_embeddings(self) -> bool:
        return self._embeddings is not None

    @property
    def groups(self) -> IntArray | None:
        """Shape (N,): equal numbers are one group. None where the pool knows no groups."""
        return self._groups

    @property
    def by_id(self) -> IntArray:
        """Shape (N,): the rows in the order of their ids.

        Everything random is drawn over this order, so that a shuffled pool gives the same items.
        """
        return self._by_id

    def id_ranks(self) -> IntArray:
        """Shape (N,): place of each row in the order of ids; what breaks a tie."""
        ranks = np.empty(len(self), dtype=np.intp)
        ranks[self._by_id] = np.arange(len(self))
        return ranks

    def take(self, rows: IntArray) -> Pool:
        """These rows as a pool of their own; row i of it is `rows[i]` of this one."""
        rows = np.asarray(rows, dtype=np.intp)
        part = Pool.__new__(Pool)
        part._ids = tuple(self._ids[row] for row in rows)
        part._probabilities = _read_only(self._probabilities[rows])
        part._exclusive = self._exclusive
        part._by_id = np.argsort(self.id_ranks()[rows], kind="stable")
        part._embeddings = self._embeddings
        part._embedding_rows = rows if self._embedding_rows is None else self._embedding_rows[rows]
        part._groups = None if self._groups is None else self._groups[rows]
        return part

    def embeddings(self, rows: IntArray) -> NDArray[np.float32]:
        """Embeddings of these rows as they were given, shape (len(rows), D).

        Raises:
            BadPool: the pool has no embeddings.
            BadEmbedding: names the first item with a number that is not finite.
        """
        if self._embeddings is None:
            raise BadPool(
                "this pool has no embeddings; give Pool(embeddings=...) an (N, D) array, "
                "or choose a strategy that needs none"
            )
        source = rows if self._embedding_rows is None else self._embedding_rows[rows]
        block = np.ascontiguousarray(self._embeddings[source], dtype=np.float32)
        # One sum says whether all is finite; only when it is not do we look for the culprit.
        if block.size and not np.isfinite(np.abs(block).sum(dtype=np.float64)):
            row, column = np.argwhere(~np.isfinite(block))[0]
            raise BadEmbedding(self._ids[int(rows[row])], int(column))
        return block

    def unit_embeddings(self, rows: IntArray) -> NDArray[np.float32]:
        """As `embeddings`, each row scaled to length 1; a row of zeros stays zeros."""
        return unit(self.embeddings(rows))

    def embedding_blocks(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """All unit embeddings in the order of ids, a block at a time: (places, unit rows)."""
        for start in range(0, len(self), _ROWS_PER_BLOCK):
            places = slice(start, min(start + _ROWS_PER_BLOCK, len(self)))
            yield places, self.unit_embeddings(self._by_id[places])


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row scaled to length 1; zeros stay zeros."""
    # In float64, and by the largest entry first: a row of 1e30s must not overflow to length inf.
    scale = np.abs(rows).max(axis=1, initial=0.0, keepdims=True)
    scaled = rows / np.where(scale > 0.0, scale, 1.0)
    length = np.sqrt(np.einsum("ij,ij->i", scaled, scaled, dtype=np.float64))[:, None]
    ones: NDArray[np.float32] = (scaled / np.where(length > 0.0, length, 1.0)).astype(np.float32)
    return ones


def best_first(worth: FloatArray, *, limit: int, tie: IntArray) -> IntArray:
    """Rows of the `limit` highest worths, highest first; equals in the order of `tie`."""
    limit = min(limit, len(worth))
    if limit <= 0:
        return np.empty(0, dtype=np.intp)
    candidates: IntArray = np.arange(len(worth))
    if limit < len(worth):
        bar = np.partition(worth, len(worth) - limit)[len(worth) - limit]
        candidates = np.flatnonzero(worth >= bar)  # with every equal of the last one
    order = np.lexsort((tie[candidates], -worth[candidates]))[:limit]
    rows: IntArray = candidates[order]
    return rows


def _strings(item_ids: Sequence[str]) -> Sequence[str]:
    if isinstance(item_ids, str):
        raise BadPool("item_ids is one string; give a sequence of ids")
    for row, item_id in enumerate(item_ids):
        if not isinstance(item_id, str):
            raise BadPool(
                f"item_ids[{row}] is {type(item_id).__name__}, not str; turn the ids into strings"
            )
    return item_ids


def _order_of(ids: tuple[str, ...]) -> IntArray:
    order = sorted(range(len(ids)), key=ids.__getitem__)
    for before, after in pairwise(order):
        if ids[before] == ids[after]:
            raise BadPool(
                f"item {ids[before]} is in the pool twice (rows {before} and {after}); "
                "keep one row an item"
            )
    return np.asarray(order, dtype=np.intp)


def _as_floats(values: ArrayLike) -> FloatArray:
    array = np.asarray(values)
    wanted = array.dtype if array.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    floats: FloatArray = array.astype(wanted, copy=False)
    return floats


def _read_only(array: FloatArray) -> FloatArray:
    view = array.view()
    view.flags.writeable = False
    return view


def _embeddings(values: ArrayLike | Rows, items: int) -> FloatArray | Rows:
    # asanyarray: a memmap stays one
    is_plain = isinstance(values, np.ndarray) or not hasattr(values, "shape")
    rows: FloatArray | Rows = np.asanyarray(values) if is_plain else values  # type: ignore[assignment]
    if len(rows.shape) != 2 or rows.shape[0] != items:
        raise BadPool(
            f"embeddings has shape {rows.shape}, the pool {items} items; give one row an item"
        )
    return _read_only(rows) if isinstance(rows, np.ndarray) else rows


def _group_codes(groups: Sequence[str | None], items: int) -> IntArray:
    if len(groups) != items:
        raise BadPool(f"groups has {len(groups)} names, the pool {items} items; give one an item")
    seen: dict[object, int] = {}
    codes = (
        seen.setdefault(row if name is None else str(name), row) for row, name in enumerate(groups)
    )
    return np.fromiter(codes, dtype=np.intp, count=items)


def _check_probabilities(values: FloatArray, ids: tuple[str, ...], *, exclusive: bool) -> None:
    if values.ndim != 2 or len(values) != len(ids) or values.shape[1] < 1:
        raise BadPool(
            f"probabilities has shape {values.shape}, the pool {len(ids)} items; "
            "give one row an item and one column a category"
        )
    if not ((values >= 0.0) & (values <= 1.0)).all():  # NaN fails both
        row, column = (int(x) for x in np.argwhere(~((values >= 0.0) & (values <= 1.0)))[0])
        problem = (
            "the probability is NaN; decide what an unknown category is worth and fill it in"
            if np.isnan(values[row, column])
            else f"the probability is {values[row, column]:g}; it must lie in [0, 1]"
        )
        raise BadProbabilities(ids[row], column, problem)
    if not exclusive:
        return
    if values.shape[1] < 2:
        raise BadPool("exclusive categories need at least two columns; add 'none of these'")
    sums = values.sum(axis=1)
    wrong = np.flatnonzero(np.abs(sums - 1.0) > _SUM_TOLERANCE)
    if len(wrong):
        raise BadProbabilities(
            ids[wrong[0]],
            None,
            f"the probabilities add up to {sums[wrong[0]]:.4g}; exclusive categories must add up "
            "to 1 (for independent categories make the pool with exclusive=False)",
        )
